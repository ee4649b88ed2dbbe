"""Packaged networks that see what is not identity: expressions, the parts of a face, where faces are."""
