"""Tells a person what the journal has, where a rule of theirs says that it matters: ``[[alert]]``.

Promises: each alert is an event; nobody is told of the same more often than their rule allows; a
restart tells nobody again; what is over is said to be.  What cannot be told does not keep anything up.
"""
