"""DMARC aggregate reports (RFC 9990): what we tell others of mail in their name.

What the judge ``dmarc`` has found about each message is in the journal, whether it was accepted or
refused.  It is counted by day, domain and record (:mod:`~mta.dmarc_report.ledger`); after midnight UTC
each domain whose record names an address (:mod:`mta.dmarc.destinations`) gets a report
(:mod:`~mta.dmarc_report.composition`) by mail, once (:mod:`~mta.dmarc_report.reporter`).

What others report to us is read where bounces are: :mod:`mta.feedback.dmarc_report`.
"""
