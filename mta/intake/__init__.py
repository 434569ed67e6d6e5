"""Between a receiving session and the queue: what a client is answered, and why.

A session (``smtp``) asks; :mod:`~mta.intake.reception` answers from judges,
router and account.  The content then flows into
:mod:`~mta.intake.incoming`, which keeps little ones in memory and streams
large ones to the spool, has the whole judged, puts trace fields on top
(:mod:`~mta.intake.trace`), completes what a submission lacks
(:mod:`~mta.intake.submission`), and answers when the spool has committed.
"""
