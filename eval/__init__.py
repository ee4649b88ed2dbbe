"""The judge: it scores any two photographs and never imports the engine."""
