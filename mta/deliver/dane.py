"""Whether a certificate is the one that TLSA records name (RFC 6698, RFC 7672)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from OpenSSL import crypto

from mta.model.tlsa import Tlsa

_DIGESTS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: lambda octets: hashlib.sha256(octets).digest(),
    2: lambda octets: hashlib.sha512(octets).digest(),
}


def fitting(
    records: Sequence[Tlsa], chain: Sequence[crypto.X509], named: Callable[[], str]
) -> tuple[Tlsa | None, str]:
    """The record that a server's certificates satisfy, or why there is none.

    Usage 3 is about the key alone: neither names nor dates count (RFC 7672, 3.1.1).
    Usage 2 names an authority in the chain; the chain must be valid up to it, and the
    certificate for a right name (3.1.2).

    :param chain: as the server sent it, its own first.
    :param named: says what is wrong with the name; ``""`` for nothing.
    """
    if not chain:
        return None, "it shows no certificate"
    for record in records:
        if record.usage == 3 and _fits(record, chain[0]):
            return record, ""
    problem = "no TLSA record fits its certificate"
    for record in records:
        if record.usage != 2:
            continue
        for anchor in _anchors(record, chain):
            trouble = _chain_trouble(anchor, chain) or named()
            if not trouble:
                return record, ""
            problem = trouble
    return None, problem


def _fits(record: Tlsa, certificate: crypto.X509) -> bool:
    try:
        if record.selector == 0:
            octets = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        else:
            octets = crypto.dump_publickey(crypto.FILETYPE_ASN1, certificate.get_pubkey())
    except crypto.Error:
        return False
    return hmac.compare_digest(_DIGESTS[record.matching](octets), record.data)


def _anchors(record: Tlsa, chain: Sequence[crypto.X509]) -> list[crypto.X509]:
    found = [certificate for certificate in chain[1:] if _fits(record, certificate)]
    if not found and (record.selector, record.matching) == (0, 0):
        # The record is the whole certificate, which the server then need not send.
        try:
            found.append(crypto.load_certificate(crypto.FILETYPE_ASN1, record.data))
        except crypto.Error:
            return []
    return found


def _chain_trouble(anchor: crypto.X509, chain: Sequence[crypto.X509]) -> str:
    store = crypto.X509Store()
    store.add_cert(anchor)
    # An authority in between is as good as a root, if the record names it.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    try:
        crypto.X509StoreContext(store, chain[0], list(chain[1:])).verify_certificate()
    except crypto.X509StoreContextError as trouble:
        return f"the chain to the authority that TLSA names is not valid: {trouble}"
    return ""
