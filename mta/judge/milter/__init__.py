"""Asks filters that speak the milter protocol, version 6: rspamd, OpenDKIM, clamav-milter, yours.

The protocol has no standard; it is what libmilter of Sendmail 8.14 and later speaks, and what
Postfix made of it where that is vague.  Bottom up:

:mod:`~mta.judge.milter.packets`     length, command, payload
:mod:`~mta.judge.milter.options`     what both sides can, and what the filter wants
:mod:`~mta.judge.milter.steps`       the steps of a session, and how each is written
:mod:`~mta.judge.milter.replies`     what the filter answers
:mod:`~mta.judge.milter.macros`      facts beside each step
:mod:`~mta.judge.milter.dialogue`    who says what when; no I/O: generators that ask to send or receive
:mod:`~mta.judge.milter.connection`  one connection, which runs dialogues
:mod:`~mta.judge.milter.connections` connections that are open, and new ones
:mod:`~mta.judge.milter.conversation` one SMTP session, as the filter has been told of it
:mod:`~mta.judge.milter.judge`       the judge of kind ``milter``
"""
