"""Tests of mta.mailbox."""
