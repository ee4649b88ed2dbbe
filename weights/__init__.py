"""Which models exist, where they come from and what they may be used for."""
