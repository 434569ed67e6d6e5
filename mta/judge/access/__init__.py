"""Rules of the operator: ``[[access.rule]]``, in their order, and files of them.

:mod:`~mta.judge.access.patterns` holds texts and addresses against patterns,
:mod:`~mta.judge.access.rules` reads rules and finds the first that fits, and
:mod:`~mta.judge.access.judge` says it to the pipeline.
"""
