"""Tests of mta.engagement."""
