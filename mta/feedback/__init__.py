"""What comes back after a message was taken elsewhere: bounces, complaints, and TLS reports.

On the way out a copy gets a reverse-path that leads back to it (:mod:`~mta.feedback.return_path`:
VERP, SRS).  What returns is recognised (:mod:`~mta.feedback.bounce_addresses`), read
(:mod:`~mta.feedback.reading`), matched to the message that it is about
(:mod:`~mta.feedback.matching`), and recorded in the journal (:mod:`~mta.feedback.transport`).

Nothing here decides what follows from a bounce; readers of the journal do.
"""
