"""Hostile and random input for parsers and framing; bounded in time."""
