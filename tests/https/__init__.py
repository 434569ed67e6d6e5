"""Tests of mta.route."""
