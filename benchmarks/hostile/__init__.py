"""Hostile input over all surfaces; see __main__.py."""
