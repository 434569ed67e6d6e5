"""What a received report means, in words: whose server it is, and what to do; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mta.journal.dmarc_summary import Source
from mta.model.event_report import TlsReportReceived


class Advice(NamedTuple):
    """What is thought of it.

    :ivar tone: ``good``, ``warn`` or ``bad``.
    :ivar words: in two or three words.
    :ivar remedy: what to do.
    """

    tone: str
    words: str
    remedy: str


#: Reasons (RFC 9990, 2.1.6) that tell of somebody who forwards.
_FORWARDED = frozenset({"forwarded", "mailing_list", "trusted_forwarder"})


def known_as(source: Source) -> list[str]:
    """Domains that SPF or DKIM did authenticate for its mail, the most frequent first."""
    counts: Counter[str] = Counter()
    for name, count in source.identities.items():
        counts[name.partition("=")[2]] += count
    return [name for name, _ in counts.most_common(3) if name]


def advice_on(source: Source) -> Advice:
    """What an address is that sends in the name of a domain, and what to do about it."""
    domain = source.domain
    if not source.failed:
        if not source.dkim:
            return Advice(
                "good",
                "yours, unsigned",
                "It passes by SPF alone, which is lost when mail is forwarded: sign it with DKIM as well.",
            )
        return Advice("good", "yours", "Nothing to do.")
    if _FORWARDED & set(source.reasons):
        return Advice(
            "warn",
            "a forwarder or a list",
            "Mail of yours came by way of somebody who changed it. Sign with DKIM: what is forwarded "
            "unchanged passes; more is not in your hands.",
        )
    if source.passed:
        return Advice(
            "warn",
            "yours in part",
            "Some of what it sends is signed and some is not: find the program there that sends without a "
            f"signature of {domain}, or that writes from another address.",
        )
    others = known_as(source)
    if domain in others or any(f".{domain}".endswith(f".{one}") for one in others):
        return Advice(
            "warn",
            "yours, not aligned",
            f"SPF or DKIM vouches for {', '.join(others)}, but the record of {domain} asks for the very same "
            "name (adkim=s, aspf=s): sign as that domain, or publish adkim=r and aspf=r.",
        )
    if others:
        return Advice(
            "bad",
            "somebody else",
            f"It is a server of {others[0]}. If that sends for you, have it sign with a DKIM key of "
            f"{domain}. If not, it forges: with p=quarantine or p=reject others will not take it.",
        )
    return Advice(
        "bad",
        "a forger, probably",
        f"Nobody vouches for it. If the address is yours, put it into the SPF record of {domain} and sign "
        "there with DKIM. If not, publish p=quarantine and then p=reject, once all that is yours passes.",
    )


#: By result type (RFC 8460, 4.3).
_REMEDIES = {
    "starttls-not-supported": "The MX host did not offer STARTTLS. Give it a certificate ([tls] "
    "certificate); if it has one, look for a firewall between you that takes STARTTLS out.",
    "certificate-host-mismatch": "The certificate has not the name of the MX host. Get one for the name that "
    "stands in the MX record, and for each of them.",
    "certificate-expired": "The certificate had expired. Renew it, then reload the server (`mta reload`).",
    "certificate-not-trusted": "The certificate is not signed by an authority that others trust, or the file "
    "lacks the certificates between. Put the whole chain into the file.",
    "validation-failure": "The certificate could not be validated, for a reason that they may tell below. "
    "`mta doctor` looks at what others see.",
    "tlsa-invalid": "The TLSA records are not right, or are not those of the certificate in use. Publish "
    "those that `mta dns` prints before the certificate changes.",
    "dnssec-invalid": "The signatures of your zone are not valid. Look at the DS record of the parent, and "
    "whether signatures have expired.",
    "dane-required": "They want DANE for your hosts, and found no TLSA record. Publish those that "
    "`mta dns` prints.",
    "sts-policy-fetch-error": "The policy of MTA-STS could not be fetched. Serve "
    "https://mta-sts.DOMAIN/.well-known/mta-sts.txt as `mta dns` tells, or take the _mta-sts record away.",
    "sts-policy-invalid": "The policy of MTA-STS has a mistake. Serve the one that `mta dns` prints.",
    "sts-webpki-invalid": "The web server at mta-sts.DOMAIN has no valid certificate. Get one for that name.",
}
_POLICIES = {"sts": "MTA-STS", "tlsa": "DANE", "no-policy-found": "no policy"}
#: Hosts of one kind of failure that are named.
_HOSTS = 3


def policy_name(kind: str) -> str:
    """Of a policy type of RFC 8460, as people call it."""
    return _POLICIES.get(kind, kind)


def remedy_for(result: str, domain: str = "") -> str:
    """What to do about a kind of failure."""
    found = _REMEDIES.get(result, "They use a word of their own; what they add to it stands in the report.")
    return found.replace("DOMAIN", domain) if domain else found


@dataclass(slots=True)
class Sessions:
    """Sessions with one domain under one policy, of all reports.

    :ivar failures: by kind of failure.
    :ivar hosts: by kind of failure, the hosts where it happened.
    :ivar reporters: who tells of them.
    """

    domain: str
    policy: str
    succeeded: int = 0
    failed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    hosts: dict[str, Counter[str]] = field(default_factory=dict)
    reporters: Counter[str] = field(default_factory=Counter)

    def add(self, one: dict[str, Any], by: str) -> None:
        """Count a policy of a report."""
        summary = one.get("summary") or {}
        good = int(summary.get("total-successful-session-count") or 0)
        bad = int(summary.get("total-failure-session-count") or 0)
        self.succeeded += good
        self.failed += bad
        self.reporters[by] += good + bad
        for failure in one.get("failure-details") or ():
            kind = str(failure.get("result-type", ""))
            count = int(failure.get("failed-session-count") or 0)
            self.failures[kind] += count
            if host := str(failure.get("receiving-mx-hostname") or failure.get("receiving-ip") or ""):
                self.hosts.setdefault(kind, Counter())[host] += count

    def told(self) -> list[tuple[str, int, list[str], str]]:
        """Each kind of failure: its name, how often, where, what to do; the most frequent first."""
        return [
            (
                kind,
                count,
                [host for host, _ in self.hosts.get(kind, Counter()).most_common(_HOSTS)],
                remedy_for(kind, self.domain),
            )
            for kind, count in self.failures.most_common(20)
        ]


def policy_domain(one: dict[str, Any]) -> str:
    """The domain of a policy in a report."""
    return str((one.get("policy") or {}).get("policy-domain", "")).lower().rstrip(".")


def sessions(events: Iterable[TlsReportReceived]) -> list[Sessions]:
    """By domain and policy, those of which most fails first; a report that came twice counts once."""
    seen: set[tuple[str, str]] = set()
    found: dict[tuple[str, str], Sessions] = {}
    for event in events:
        if (event.organization, event.report) in seen:
            continue
        seen.add((event.organization, event.report))
        for one in event.policies:
            where = (policy_domain(one), str((one.get("policy") or {}).get("policy-type", "")))
            found.setdefault(where, Sessions(*where)).add(one, event.organization)
    return sorted(found.values(), key=lambda one: (-one.failed, -one.succeeded, one.domain, one.policy))
