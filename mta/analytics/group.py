"""Events that are alike, and what they count for; pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mta.analytics import histogram
from mta.analytics import measures as m
from mta.model.bounce_data import provider_of

#: Characters of a name that are kept.
LONGEST = 200
_OPENS = {
    "opened": {"human": m.OPENS, "proxy": m.OPENS_PROXY, "scanner": m.OPENS_SCANNER},
    "clicked": {"human": m.CLICKS, "proxy": m.CLICKS_PROXY, "scanner": m.CLICKS_SCANNER},
}
#: Kinds of which a recipient counts once, and as what.
ONCE = {"opened": m.OPENED, "clicked": m.CLICKED}
ATTEMPTS = frozenset({"delivered", "deferred", "failed"})


@dataclass(frozen=True, slots=True)
class Labels:
    """What a message is counted by besides what happens to it."""

    tenant: str = ""
    campaign: str = ""
    template: str = ""
    variant: str = ""
    tags: tuple[str, ...] = ()


NO_LABELS = Labels()


@dataclass(frozen=True, slots=True)
class Group:
    """Events of one minute that are alike.

    :ivar first: the number of the first of them in its journal.
    :ivar minute: since 1970.
    :ivar count: how many.
    :ivar domain: of the recipient.
    :ivar host: that answered.
    :ivar bounce_class: of an attempt or a bounce; of a refusal the rule.
    :ivar code: first digit of the reply.
    :ivar flag: whether a failure is one of time alone, or whether a bounce is for good.
    :ivar delay: bucket of the time since acceptance.
    :ivar recipients: of all of them together.
    """

    first: int
    minute: int
    kind: str
    count: int = 1
    labels: Labels = NO_LABELS
    domain: str = ""
    host: str = ""
    transport: str = ""
    source: str = ""
    bounce_class: str = ""
    code: int = 0
    tls: bool = False
    flag: bool = False
    sort: str = "human"
    delay: int = 0
    recipients: int = 0
    octets: int = 0

    @property
    def alike(self) -> tuple[Any, ...]:
        """What decides where it counts, in which hour and as what."""
        return (
            self.minute // 60,
            self.kind,
            self.labels,
            self.domain,
            self.host,
            self.transport,
            self.source,
            self.bounce_class,
            self.code,
            self.tls,
        )

    def numbers(self) -> list[tuple[int, int]]:
        """What it counts for: measures and how many."""
        count = self.count
        match self.kind:
            case "received":
                return [(m.ACCEPTED, count), (m.RECIPIENTS, self.recipients), (m.OCTETS, self.octets)]
            case "rejected":
                return [(m.REFUSED, count)]
            case "delivered":
                return [(m.ATTEMPTED, count), (m.DELIVERED, count), (m.DELAYS + self.delay, count)]
            case "deferred":
                return [(m.ATTEMPTED, count), (m.DEFERRED, count)]
            case "failed":
                found = [(m.ATTEMPTED, count), (m.BOUNCED, count)]
                return [*found, (m.EXPIRED, count)] if self.flag else found
            case "bounced":
                return [(m.BOUNCED, count), (m.BOUNCED_LATER, count)] if self.flag else []
            case "complained":
                return [(m.COMPLAINED, count)]
            case "unsubscribed":
                return [(m.UNSUBSCRIBED, count)] if self.flag else []
            case "suppressed":
                return [(m.SUPPRESSED, count)]
            case "opened" | "clicked":
                sorts = _OPENS[self.kind]
                return [(sorts.get(self.sort, sorts["scanner"]), count)]
            case _:
                return []

    def places(self) -> list[tuple[int, str]]:
        """By what it counts: dimensions and values."""
        labels = self.labels
        found = [(m.TOTAL, "")]
        if labels.campaign:
            found.append((m.CAMPAIGN, labels.campaign))
            if labels.variant:
                found.append((m.VARIANT, f"{labels.campaign}/{labels.variant}"))
        if labels.template:
            found.append((m.TEMPLATE, labels.template))
        found += [(m.TAG, tag) for tag in dict.fromkeys(labels.tags) if tag]
        if self.kind == "rejected":
            found.append((m.RULE, self.bounce_class or "none"))
        if self.kind in ("rejected", "received"):
            return [(dimension, _clean(value)) for dimension, value in found]
        provider = provider_named(self.host, self.domain, self.transport)
        if self.domain:
            found.append((m.DOMAIN, self.domain))
        found.append((m.PROVIDER, provider))
        if self.kind in ("deferred", "failed", "bounced"):
            name = self.bounce_class or "none"
            found += [(m.CLASS, name), (m.PROVIDER_CLASS, f"{provider}/{name}")]
        if self.kind in ATTEMPTS and (self.host or self.source):
            found.append((m.SOURCE, self.source or "default"))
        if self.kind in ATTEMPTS and self.host:
            found.append((m.TLS, "yes" if self.tls else "no"))
            if self.code:
                found.append((m.REPLY, f"{self.code}xx"))
        return [(dimension, _clean(value)) for dimension, value in found]


def _clean(value: str) -> str:
    # An octet of 0 begins the names of ours.
    return (value.replace("\0", "") if "\0" in value else value)[:LONGEST]


@lru_cache(maxsize=4096)
def provider_named(host: str, domain: str, transport: str = "") -> str:
    """The provider whose host answered, or whose domain it is; ``others``: none that is known by name.

    Names are data: ``providers`` in ``mta/data/bounce-providers.toml``.
    """
    if host and (found := provider_of([host])):
        return found
    if not host and transport and transport != "relay":
        return "here"
    return (provider_of([domain]) if domain else "") or "others"


def domain_of(address: str) -> str:
    """What stands behind the last ``@``, in lower case as SQLite has it."""
    domain = address.rpartition("@")[2] if "@" in address else ""
    return "".join(c.lower() if c.isascii() else c for c in domain)[:LONGEST]


def delay_bucket(written: str) -> int:
    """See :func:`mta.analytics.histogram.bucket_of`."""
    return histogram.bucket_of(written)
