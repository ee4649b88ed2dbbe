"""The diffusion protection engine."""
