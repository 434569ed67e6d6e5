"""Tests of the queue: spool, schedule, manager, notifications."""
