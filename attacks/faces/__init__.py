"""Faces: where they are, how a crop lies in a photo, and how it is cut out."""
