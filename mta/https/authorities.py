"""Whom to trust: the authorities of the system, or those in a PEM file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates


def trust_of(path: str | Path) -> Any:
    """The authorities in a PEM file, as a trust root.

    :raise ValueError: if it cannot be read.
    """
    try:
        found = x509.load_pem_x509_certificates(Path(path).read_bytes())
        ours = [Certificate.loadPEM(one.public_bytes(Encoding.PEM)) for one in found]
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"{path}: no PEM certificates can be read from it") from None
    return trustRootFromCertificates(ours)


def options_for(host: str, trust: Any = None) -> Any:
    """TLS with a host whose certificate is for its name.

    :param trust: Twisted's trust root; ``None``: the system's authorities.
    """
    return optionsForClientTLS(host) if trust is None else optionsForClientTLS(host, trust)
