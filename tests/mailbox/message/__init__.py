"""Tests of mta.mailbox.message."""
