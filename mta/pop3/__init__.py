"""POP3: a person fetches what is in the inbox (RFC 1939).

:mod:`~mta.pop3.command` reads lines; :mod:`~mta.pop3.protocol` answers them in order, before the log-in by
:mod:`~mta.pop3.login`, after it by :mod:`~mta.pop3.mail`.  A :mod:`~mta.pop3.maildrop` is the list of
messages that a session began with, over an account of :mod:`mta.mailbox`.
"""
