"""Tests of mta.batch."""
