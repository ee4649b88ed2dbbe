"""Packaged networks that are no recognisers: expression, face mesh, face detector."""
