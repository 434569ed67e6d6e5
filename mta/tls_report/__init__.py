"""TLS reports (RFC 8460): what we tell other domains of the TLS of our sessions with them.

Each session to an MX host is an event of the journal.  They are counted by day, domain and
policy (:mod:`~mta.tls_report.ledger`); after midnight UTC each domain is asked whether it wants
to know (:mod:`mta.model.tls_report_record`), gets a report (:mod:`~mta.tls_report.composition`)
by mail through our own queue or over HTTPS (:mod:`~mta.tls_report.post`), once
(:mod:`~mta.tls_report.reporter`).  What other reports need, too, is in :mod:`mta.daily_report`.

What others report to us is read where bounces are: :mod:`mta.feedback.tls_report`.
"""
