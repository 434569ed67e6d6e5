"""Tests of mta.judge."""
