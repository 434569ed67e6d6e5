"""Tests of mta.template."""
