"""Tests of mta.sequence."""
