"""Tests of mta.client_setup."""
