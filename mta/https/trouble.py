"""What went wrong in a connection over TLS, in words."""

from __future__ import annotations

from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from twisted.python.failure import Failure


def reasons(trouble: BaseException) -> list[BaseException]:
    """A failure of an HTTP agent, and what it came of, the outermost first."""
    found = [trouble]
    for failure in getattr(trouble, "reasons", None) or ():
        value = failure.value if isinstance(failure, Failure) else failure
        if isinstance(value, BaseException):
            found += reasons(value)
    return found


def is_wrong_name(trouble: BaseException) -> bool:
    """Whether a certificate is not for the name that was asked for."""
    return isinstance(trouble, VerificationError | CertificateError)


def is_about_tls(trouble: BaseException) -> bool:
    """Whether it is about the certificate, or the rest of TLS."""
    return any(is_wrong_name(reason) or isinstance(reason, SSL.Error) for reason in reasons(trouble))


def handshake_words(trouble: SSL.Error) -> str:
    """What OpenSSL says; ``""`` if nothing."""
    return "; ".join(str(part[-1]) for part in trouble.args[0]) if trouble.args else ""


def words(trouble: BaseException) -> str:
    """What it came of."""
    last = reasons(trouble)[-1]
    if isinstance(last, SSL.Error):
        return f"TLS: {handshake_words(last) or 'the handshake failed'}"
    return Failure(last).getErrorMessage().rstrip(".") or type(last).__name__
