"""Tests of mta.dkim."""
