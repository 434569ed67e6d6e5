"""Unit tests mirror mta/; end-to-end tests with real parts are in tests/e2e."""
