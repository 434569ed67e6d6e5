"""Tests of mta.feedback."""
