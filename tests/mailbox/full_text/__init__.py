"""Tests of mta.mailbox.full_text."""
