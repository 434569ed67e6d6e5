"""Knowing people: who may log in, and which addresses exist.

A session asks :class:`~mta.identity.authenticator.Authenticator` to run a SASL
mechanism.  :mod:`~mta.identity.mechanisms` reads and writes the octets of the
exchange and knows no account; what it wants verified goes as credentials to
the ``twisted.cred`` portal of :mod:`~mta.identity.portal`, which asks the
checkers in their order and answers with the avatar, an ``Account``.

The same plugins are directories.  :class:`~mta.identity.directories.Directories`
makes several one: which mailbox an address leads to, and which addresses an
account may send as.  Shipped are :mod:`~mta.identity.file` (Dovecot's
passwd-file) and :mod:`~mta.identity.ldap`; :mod:`~mta.identity.passwd` edits
the file, :mod:`~mta.identity.strcred_factories` serves ``--auth``.
"""
