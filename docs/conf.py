"""Sphinx: ``make docs`` builds docs/_build/html."""

project = "mta"
copyright = "the mta maintainers"
exclude_patterns = ["_build"]
html_theme = "alabaster"
nitpicky = False
