"""Recognisers, and the machinery that turns them into an objective."""
