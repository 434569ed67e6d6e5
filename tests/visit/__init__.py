"""Tests of mta.visit."""
