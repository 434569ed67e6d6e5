"""Reads what happened, and tells it.

The spool writes events (:mod:`mta.model.event`) into the ``queue.db`` of each
shard.  :mod:`~mta.journal.reader` reads them from there, beside a running
server or without one, and merges the shards; :mod:`~mta.journal.text` puts one
event into one line, :mod:`~mta.journal.timeline` all events of one message
into its story.  In the server :mod:`~mta.journal.log` is told of each event
after its commit, and hands it to ``twisted.logger``, whose observer comes from
:mod:`~mta.journal.log_setup`.
"""
