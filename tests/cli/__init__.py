"""Tests of mta.cli."""
