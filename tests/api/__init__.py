"""Tests of mta.api."""
