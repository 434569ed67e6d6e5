"""Visits: sessions of people who read their mail, as far as POP3 and IMAP have them in common.

A listener's :mod:`~mta.visit.factory` makes them, on :mod:`~mta.visit.premises` that they share; each is a
:mod:`~mta.visit.visit` from the greeting over the :mod:`~mta.visit.login` to the end.
"""
