"""Tests of mta.config and mta.plugins."""
