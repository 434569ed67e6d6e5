"""Rules of a mailbox: what its owner has done with mail on delivery.

They stand in the file ``rules.toml`` in the Maildir (:mod:`~mta.rules.rule_file`), which a person may write
by hand, by ``mta rules`` or through the API.  :mod:`~mta.rules.rule` is what may stand there,
:mod:`~mta.rules.letter` what is asked of a message, :mod:`~mta.rules.fitting` which rules fit it, and
:mod:`~mta.rules.reply` whether it may be answered by a program, and with what (RFC 3834, RFC 5230).
:mod:`~mta.rules.sorter` brings that together in the thread that delivers; whom an account has answered
lately is remembered in a database of its own (:mod:`~mta.rules.memory`).

What a rule decides is carried out so that a crash neither loses nor doubles it: the file in the Maildir is
found again by its name, and what is forwarded and answered is queued in the transaction that says that the
message was delivered.
"""
