"""Tests of mta.journal."""
