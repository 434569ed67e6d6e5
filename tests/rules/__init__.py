"""Tests of mta.rules."""
