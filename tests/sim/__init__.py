"""Seeded simulations on a clock of their own: same seed, same trace."""
