"""Packaged networks that judge what is not identity, and a second way to find faces."""
