"""Signatures: DKIM (RFC 6376, 8301, 8463) and ARC (RFC 8617), made and verified.

Everything but :mod:`~mta.dkim.signer`, :mod:`~mta.dkim.bench` and :mod:`~mta.dkim.key_store`
is pure: octets and DNS answers in, results and header fields out.  A verification tells which
key records and which hashes of the body it needs, and is given them; the body is read once,
in blocks, for all signatures together.

What it promises: no signature counts that does not cover the whole body and every From field,
none by SHA-1 or with an RSA key of less than 1024 bits (RFC 8301), and what a stranger writes
costs a bounded number of look-ups and verifications.  What it leaves out: DomainKeys, and
``l=`` when signing.
"""
