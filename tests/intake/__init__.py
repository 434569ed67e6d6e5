"""Tests of mta.intake."""
