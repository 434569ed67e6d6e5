"""From what a program gives to a message: addresses, text, HTML, attachments to MIME (RFC 5322, 2045).

Pure.  The octets are written directly, since the standard library's objects for a message cost more
than all the rest of its way: header fields in :mod:`~mta.compose.fields`, parts in
:mod:`~mta.compose.parts`, the whole in :mod:`~mta.compose.message`.
"""
