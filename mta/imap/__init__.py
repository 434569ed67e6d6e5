"""IMAP: a person reads mail where it is, from many devices (RFC 3501 and its extensions).

Octets become commands (:mod:`~mta.imap.framing`), their words are read by :mod:`~mta.imap.arguments`, and
:mod:`~mta.imap.dispatch` has the module that answers: one for each noun, such as
:mod:`~mta.imap.folder_commands`.  The :mod:`~mta.imap.protocol` runs them in order;
:mod:`~mta.imap.selected` knows what a session was told of the folder that it has open.
"""
