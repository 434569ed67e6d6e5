"""What all workers remember together: one small SQLite database in the state directory.

Greylist, token buckets, bans, suspended accounts and failed log-ins are entries of one
table (:mod:`~mta.ledger.book`), changed by pure functions that :mod:`~mta.ledger.shared`
runs in a thread.  No mail depends on it: what is lost here costs a sender a retry or gives
a stranger one more try, so whoever asks goes on without an answer when there is none.
"""
