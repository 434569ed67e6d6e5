"""Mailboxes: people read what was delivered, straight from the Maildirs.

The files are the truth: what a message is stands in it, and its flags stand in its name.  An index
for each account (:mod:`~mta.mailbox.index`) remembers what would cost too much to find out again, and
what a file name cannot hold: UIDs, and the order of changes.  Other programs may change the Maildir at
any time; :mod:`~mta.mailbox.listing` sees by the times of its directories whether one has.

:mod:`~mta.mailbox.mailroom` opens accounts for sessions and does their work in threads; nothing here
but its callers runs in the reactor.  They are :mod:`mta.pop3` and :mod:`mta.imap`.  What is in a message is
read by :mod:`mta.mailbox.message`, and what it says is found by :mod:`mta.mailbox.full_text`.
"""
