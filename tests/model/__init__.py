"""Tests of mta.model."""
