"""TLS channel binding of a connection, for SCRAM-SHA-256-PLUS (RFC 5929, RFC 9266)."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

_EXPORTER_LABEL = b"EXPORTER-Channel-Binding"


def channel_binding(connection: Any, kind: str) -> bytes | None:
    """The binding data of a server's connection.

    :param connection: an ``OpenSSL.SSL.Connection`` whose handshake is complete.
    :param kind: ``tls-exporter``, ``tls-unique`` or ``tls-server-end-point``.
    :return: ``None`` where the connection has no such binding.
    """
    if kind == "tls-exporter":
        # RFC 9266, 3: without TLS 1.3 it is safe only with the extended master
        # secret, which nobody here can tell.
        if connection.get_protocol_version_name() != "TLSv1.3":
            return None
        exported: bytes = connection.export_keying_material(_EXPORTER_LABEL, 32, b"")
        return exported
    if kind == "tls-unique":
        return _first_finished(connection)
    if kind == "tls-server-end-point":
        return _end_point(connection)
    return None


def _first_finished(connection: Any) -> bytes | None:
    """RFC 5929, 3: the first Finished message of the handshake; TLS 1.3 has no such binding."""
    if connection.get_protocol_version_name() == "TLSv1.3":
        return None
    # The client's is first in a full handshake, the server's in a resumed one.
    # pyOpenSSL does not say which it was, so ask what lies beneath it.
    try:
        from OpenSSL._util import lib

        resumed = bool(lib.SSL_session_reused(connection._ssl))
    except (ImportError, AttributeError):
        return None
    first: bytes | None = connection.get_finished() if resumed else connection.get_peer_finished()
    return first


def _end_point(connection: Any) -> bytes | None:
    """RFC 5929, 4.1: the hash of our certificate, by the hash function of its signature."""
    found = connection.get_certificate()
    if found is None:
        return None
    certificate = found.to_cryptography() if hasattr(found, "to_cryptography") else found
    algorithm: HashAlgorithm | None = certificate.signature_hash_algorithm
    if algorithm is None:
        # Ed25519 and its like name none, so the binding is not defined.
        return None
    if isinstance(algorithm, MD5 | SHA1):
        algorithm = SHA256()
    digest = Hash(algorithm)
    digest.update(certificate.public_bytes(Encoding.DER))
    return digest.finalize()
