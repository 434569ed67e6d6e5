"""From ``mta.toml`` to settings, with an error a person can act on for anything wrong.

:mod:`~mta.config.settings` says what may be set and to what;
:mod:`~mta.config.loading` reads the file and finds the line of each mistake.
"""
