"""Numbers for Prometheus: counted in each worker, and shown together."""
