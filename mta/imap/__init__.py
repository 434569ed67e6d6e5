"""IMAP: a person reads mail where it is, from many devices (RFC 3501 and its extensions).

Octets become commands (:mod:`~mta.imap.framing`, :mod:`~mta.imap.command`), the protocol runs them in
order, and answers are made of what :mod:`mta.mailbox` knows.
"""
