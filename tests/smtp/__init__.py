"""Tests of SMTP and LMTP, server and client."""
