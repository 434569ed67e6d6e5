"""What a message is made of, and how that is told.

Its parts are found by :mod:`~mta.mailbox.message.mime`; envelope and structure are written for IMAP by
:mod:`~mta.mailbox.message.rendering`.  Pure, and bounded whatever strangers send.
"""
