"""The ``mta`` command, and ``mta-sendmail``.

:mod:`~mta.cli.main` reads the command line and hands a
:class:`~mta.cli.context.Context` to one module for each group of commands.
Commands that look (``queue list``, ``trace``, ``log``) read the databases, with
or without a server; commands that act speak HTTP over the control socket of
each shard (:mod:`~mta.cli.control`).  :mod:`~mta.cli.output` prints tables for
a person and JSON for a program; what goes wrong is a
:class:`~mta.cli.context.CommandError` with an exit status of sysexits.
Modules are imported only when their command is called, so that each is quick.
"""
