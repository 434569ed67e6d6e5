"""Tests of mta.pop3."""
