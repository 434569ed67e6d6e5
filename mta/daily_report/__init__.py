"""What reports to other domains have in common: counted from the journal, sent once a day, each once.

:mod:`~mta.daily_report.ledger` counts events by day and domain, and keeps what is to be sent;
:mod:`~mta.daily_report.reporter` keeps the hours; :mod:`~mta.daily_report.composition` writes mails.
TLS reports (:mod:`mta.tls_report`) and DMARC aggregate reports (:mod:`mta.dmarc_report`) are made so.
"""
