"""Packaged networks that are no recognisers: expression, face meshes, face detector, hands, pose."""
