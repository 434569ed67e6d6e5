"""An outside package with one plugin for each of five seams; nothing of it is known to the server."""
