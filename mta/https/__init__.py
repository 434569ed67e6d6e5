"""HTTPS to hosts whose names strangers give us: policies that are fetched, reports that are posted.

A name is looked up once (:func:`~mta.https.one_address.addresses_of`), whoever asks decides
which of the addresses it will have (:func:`~mta.model.network.is_public`), and the connection is
made to just that address (:class:`~mta.https.one_address.OneAddress`), so that a second answer of
the DNS leads nowhere else.  What goes wrong is told in words (:mod:`~mta.https.trouble`).
:mod:`~mta.https.authorities` reads whom to trust.
"""
