"""Sphinx: ``make docs`` builds docs/_build/html."""

project = "mta"
copyright = "the mta maintainers"  # noqa: A001
exclude_patterns = ["_build"]
html_theme = "alabaster"
nitpicky = False
