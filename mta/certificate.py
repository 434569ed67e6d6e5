"""Our TLS certificate: loaded, checked, made when there is none, changed without a restart."""

from __future__ import annotations

import datetime
import fcntl
import os
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion
from zope.interface import implementer

_MINIMUM = {"1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3}
#: What TLS 1.2 may use, and all that 1.3 has: forward secrecy and authenticated encryption only
#: (RFC 9325, 4.2; RFC 8997).
_CIPHERS = AcceptableCiphers.fromOpenSSLCipherString(
    "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:"
    "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL"
)

#: What of a file tells that it was written anew.
_Mark = tuple[tuple[int, int, int], ...]


class CertificateError(ValueError):
    """The certificate or its key cannot be used; the text names the file and the remedy."""


@implementer(IOpenSSLContextFactory)
class ServerContext:
    """Gives every new TLS session the context of the certificate that was loaded last.

    :param certificate: path of a PEM file: our certificate, then its chain.
    :param key: path of the PEM file of its private key, without a passphrase.
    :param minimum: ``1.2`` or ``1.3``.
    :raise CertificateError: if they cannot be loaded.
    """

    def __init__(self, certificate: Path, key: Path, minimum: str = "1.2") -> None:
        self.certificate = certificate
        self._key = key
        self._minimum = minimum
        self._context: SSL.Context
        self._mark: _Mark = ()
        #: When the certificate expires, in seconds since 1970.
        self.expires = 0.0
        #: The host names in it.
        self.names: list[str] = []
        self.reload()

    def use(self, certificate: Path, key: Path, minimum: str) -> None:
        """Read other files from now on; on an error everything stays as it was.

        :raise CertificateError: if they cannot be loaded.
        """
        mark = _mark(certificate, key)
        options, parsed = _options(certificate, key, minimum)
        context = options.getContext()
        # Nobody can go back to older, weaker terms within a session (CVE-2009-3555), nor have us
        # shake hands over and over.
        context.set_options(SSL.OP_NO_RENEGOTIATION)
        # No session is ever resumed: no key of tickets could be stolen that opens what was recorded.
        context.set_options(SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        self.certificate, self._key, self._minimum, self._mark = certificate, key, minimum, mark
        self._context = context
        self.expires = parsed.not_valid_after_utc.timestamp()
        self.names = _names(parsed)

    def reload(self) -> None:
        """Read both files again; on an error what was loaded stays in use.

        :raise CertificateError: if they cannot be loaded.
        """
        self.use(self.certificate, self._key, self._minimum)

    def on_disk(self) -> _Mark:
        """What tells one state of both files from another."""
        return _mark(self.certificate, self._key)

    @property
    def is_current(self) -> bool:
        """Whether the files are as they were when they were loaded."""
        return self._mark == self.on_disk()

    def getContext(self) -> SSL.Context:
        """The context for one session."""
        return self._context


def _mark(*paths: Path) -> _Mark:
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return found.value.get_values_for_type(x509.DNSName)


def _options(certificate: Path, key: Path, minimum: str) -> tuple[CertificateOptions, x509.Certificate]:
    chain = _read(certificate, "tls.certificate")
    secret = _read(key, "tls.key")
    try:
        parsed = x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise CertificateError(f"{certificate}: no PEM certificate in it; set tls.certificate") from None
    try:
        private = serialization.load_pem_private_key(secret, None)
    except (ValueError, TypeError):
        raise CertificateError(
            f"{key}: no PEM private key in it, or one with a passphrase; set tls.key"
        ) from None
    if private.public_key() != parsed[0].public_key():
        raise CertificateError(f"{key}: this is not the key of {certificate}; set tls.key")
    own, *rest = [crypto.X509.from_cryptography(item) for item in parsed]
    options: Any = CertificateOptions(
        privateKey=crypto.PKey.from_cryptography_key(private),  # type: ignore[arg-type]
        certificate=own,
        extraCertChain=rest,
        raiseMinimumTo=_MINIMUM[minimum],
        acceptableCiphers=_CIPHERS,
    )
    return options, parsed[0]


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as trouble:
        raise CertificateError(f"{path}: {trouble.strerror}; set {setting}") from None


def self_signed(directory: Path, hostname: str, now: float) -> tuple[Path, Path]:
    """The self-signed certificate in this directory, made if there is none.

    :param directory: where ``certificate.pem`` and ``key.pem`` are.
    :param hostname: goes into the certificate, beside ``localhost``.
    :param now: seconds since 1970.
    :return: the paths of certificate and key.
    """
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Several workers start at once: one makes the pair, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (certificate.exists() and key.exists()):
            _make(certificate, key, hostname, now)
    finally:
        os.close(lock)
    return certificate, key


def _make(certificate: Path, key: Path, hostname: str, now: float) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    start = datetime.datetime.fromtimestamp(now, datetime.UTC)
    names = [x509.DNSName(item) for item in dict.fromkeys((hostname, "localhost")) if item.isascii()]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - datetime.timedelta(days=1))
        .not_valid_after(start + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The certificate is put in place last, whole: a pair that is there belongs together.
    certificate.unlink(missing_ok=True)
    _put(key, pem, 0o600)
    _put(certificate, signed.public_bytes(serialization.Encoding.PEM), 0o644)


def _put(path: Path, data: bytes, mode: int) -> None:
    part = path.with_suffix(".new")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    os.replace(part, path)
