"""What an attempt to open a session to a host came to, for TLS reports (RFC 8460); pure."""

from __future__ import annotations

from mta.model.tls_demand import HostTls
from mta.model.tls_result import ResultType, TlsResult
from mta.smtp.client_event import Trouble
from mta.smtp.client_protocol import TlsFound


def refused_unseen(demand: HostTls, host: str, result: ResultType, reason: str) -> TlsResult:
    """A host to which no connection was made, because it must not be used."""
    return _result(demand, host, "", "", result, reason)


def of_session(
    demand: HostTls,
    host: str,
    addresses: tuple[str, str],
    found: TlsFound | None,
    trouble: Trouble | None,
    clear: str = "",
) -> TlsResult | None:
    """A connection that was made; ``None``: it came to nothing before TLS was in question.

    :param addresses: ours and the host's.
    :param found: what the handshake led to, if there was one that ended well.
    :param trouble: over which it ended, if it is no use.
    :param clear: why it is in clear text, if it is and may be.
    """
    sending, receiving = addresses
    if found is not None:
        result: ResultType = demand.result
        reason = demand.reason
        if demand.policy != "no-policy-found" and demand.result == "success":
            # By itself, a certificate that does not fit is no failure (RFC 7435).
            if not (demand.policy == "tlsa" and not demand.records):
                result, reason = found.result, found.problem
        elif demand.policy == "no-policy-found" and demand.level == "verify":
            result, reason = found.result, found.problem
        return _result(demand, host, sending, receiving, result, reason)
    if trouble is None:
        reason = clear or "it does not offer STARTTLS"
        return _result(demand, host, sending, receiving, "starttls-not-supported", reason)
    if trouble.kind == "handshake":
        return _result(demand, host, sending, receiving, "validation-failure", trouble.problem)
    if trouble.kind == "tls":
        return _result(demand, host, sending, receiving, "starttls-not-supported", trouble.problem)
    return None


def _result(
    demand: HostTls, host: str, sending: str, receiving: str, result: ResultType, reason: str
) -> TlsResult:
    return TlsResult(
        policy=demand.policy,
        domain=demand.domain,
        host=host.rstrip(".").lower(),
        sending=sending,
        receiving=receiving,
        result=result,
        strings=demand.strings,
        patterns=demand.patterns,
        reason=reason,
    )
