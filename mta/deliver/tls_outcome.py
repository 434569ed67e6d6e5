"""What an attempt to open a session to a host came to, for TLS reports (RFC 8460); pure."""

from __future__ import annotations

from mta.model.tls_demand import HostTls
from mta.model.tls_result import ResultType, TlsResult
from mta.smtp.client_event import Trouble
from mta.smtp.client_protocol import TlsFound


def refused_unseen(demand: HostTls, host: str, result: ResultType, reason: str) -> TlsResult:
    """A host to which no connection was made, because it must not be used."""
    return _result(demand, host, ("", ""), result, reason)


def of_session(
    demand: HostTls,
    host: str,
    addresses: tuple[str, str],
    found: TlsFound | None,
    trouble: Trouble | None,
    clear: str = "",
    helo: str = "",
) -> TlsResult | None:
    """A connection that was made; ``None``: it came to nothing before TLS was in question.

    :param addresses: ours and the host's.
    :param found: what the handshake led to, if there was one that ended well.
    :param trouble: over which it ended, if it is no use.
    :param clear: why it is in clear text, if it is and may be.
    :param helo: what the host calls itself.
    """
    if found is not None:
        return _result(demand, host, addresses, *_judged(demand, found), helo)
    if trouble is None:
        reason = clear or "it does not offer STARTTLS"
        return _result(demand, host, addresses, "starttls-not-supported", reason, helo)
    if trouble.kind == "handshake":
        return _result(demand, host, addresses, "validation-failure", trouble.problem, helo)
    if trouble.kind == "tls":
        return _result(demand, host, addresses, "starttls-not-supported", trouble.problem, helo)
    return None


def _judged(demand: HostTls, found: TlsFound) -> tuple[ResultType, str]:
    """What a handshake that ended well comes to."""
    if demand.policy == "no-policy-found":
        # By itself, a certificate that does not fit is no failure (RFC 7435).
        return (found.result, found.problem) if demand.level == "verify" else (demand.result, demand.reason)
    if demand.result != "success" or (demand.policy == "tlsa" and not demand.records):
        return demand.result, demand.reason
    return found.result, found.problem


def _result(
    demand: HostTls,
    host: str,
    addresses: tuple[str, str],
    result: ResultType,
    reason: str,
    helo: str = "",
) -> TlsResult:
    return TlsResult(
        policy=demand.policy,
        domain=demand.domain,
        host=host.rstrip(".").lower(),
        sending=addresses[0],
        receiving=addresses[1],
        result=result,
        strings=demand.strings,
        patterns=demand.patterns,
        helo=helo,
        reason=reason,
    )
