"""Keeps messages until somebody else has them.

A message is admitted by the spool (:mod:`~mta.queue.spool`): its row, its
addressees and its journal events go to one SQLite file in one transaction of
the writer thread (:mod:`~mta.queue.writer`), which takes whatever came while
the last transaction was on its way to disk (:mod:`~mta.queue.work` is what it
takes, :mod:`~mta.queue.transaction` the statements, and
:mod:`~mta.queue.housekeeping` what it does when there is nothing to do).  Large
content is streamed to a file before (:mod:`~mta.queue.spoolfile`).  Another
thread reads who is due (:mod:`~mta.queue.claims`).  The manager
(:mod:`~mta.queue.manager`) holds a bounded window of messages
(:mod:`~mta.queue.window`), attempts delivery, and records what became of it
(:mod:`~mta.queue.retry` says when to try again, :mod:`~mta.queue.dsn` what the
sender is told).  :mod:`~mta.queue.reader` looks at a queue from outside.
"""
