"""One scenario in each module, each readable alone."""
