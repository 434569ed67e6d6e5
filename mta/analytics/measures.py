"""What is counted, by what, and the rates that follow; pure."""

from __future__ import annotations

from collections.abc import Mapping

#: What is counted.  Numbers are those of the database: never give one to something else.
ACCEPTED, RECIPIENTS, OCTETS, REFUSED, SUPPRESSED = 1, 2, 3, 4, 5
ATTEMPTED, DELIVERED, DEFERRED, BOUNCED, EXPIRED, BOUNCED_LATER = 10, 11, 12, 13, 14, 15
COMPLAINED, UNSUBSCRIBED = 20, 21
OPENED, OPENS, OPENS_PROXY, OPENS_SCANNER = 30, 31, 32, 33
CLICKED, CLICKS, CLICKS_PROXY, CLICKS_SCANNER = 40, 41, 42, 43
#: Numbers from here on are buckets of the histogram of delivery times.
DELAYS = 1000

#: By number: name, and what it is.
MEASURES: Mapping[int, tuple[str, str]] = {
    ACCEPTED: ("accepted", "messages that were taken"),
    RECIPIENTS: ("recipients", "recipients of messages that were taken"),
    OCTETS: ("octets", "size of messages that were taken"),
    REFUSED: ("refused", "refusals of clients"),
    SUPPRESSED: ("suppressed", "recipients that got nothing, for they are on a suppression list"),
    ATTEMPTED: ("attempted", "ends of attempts, one for each recipient"),
    DELIVERED: ("delivered", "recipients that have it"),
    DEFERRED: ("deferred", "attempts after which another is due"),
    BOUNCED: ("bounced", "recipients that will not get it, at once or as a bounce told later"),
    EXPIRED: ("expired", "of those that bounced: for only time decided"),
    BOUNCED_LATER: ("bounced_later", "of those that bounced: after another server had taken it"),
    COMPLAINED: ("complained", "complaints"),
    UNSUBSCRIBED: ("unsubscribed", "recipients who left"),
    OPENED: ("opened", "recipients who opened it, each once"),
    OPENS: ("opens", "opens by people"),
    OPENS_PROXY: ("opens_proxy", "opens by proxies of mailbox providers, of which nobody knows who saw it"),
    OPENS_SCANNER: ("opens_scanner", "opens by scanners"),
    CLICKED: ("clicked", "recipients who followed a link, each once"),
    CLICKS: ("clicks", "links followed by people"),
    CLICKS_PROXY: ("clicks_proxy", "links followed by proxies"),
    CLICKS_SCANNER: ("clicks_scanner", "links followed by scanners"),
}
NUMBERS: Mapping[str, int] = {name: number for number, (name, _) in MEASURES.items()}

#: By what is counted.  Numbers are those of the database.
TOTAL, TENANT, TAG, DOMAIN, PROVIDER, CAMPAIGN, SOURCE, CLASS, REPLY, TLS, TEMPLATE, VARIANT, RULE = range(13)
PROVIDER_CLASS = 13
#: Of these it is known how long deliveries took.
TIMED = frozenset({TOTAL, TENANT, DOMAIN, PROVIDER, CAMPAIGN, SOURCE, TAG})

#: By name: number, and what it is.
DIMENSIONS: Mapping[str, tuple[int, str]] = {
    "tenant": (TENANT, "tenant; for the operator"),
    "tag": (TAG, "tag; a message counts for each of its tags"),
    "domain": (DOMAIN, "domain of the recipient"),
    "provider": (PROVIDER, "mailbox provider, by the host that answered"),
    "campaign": (CAMPAIGN, "campaign"),
    "source": (SOURCE, "address that the attempt left from"),
    "class": (CLASS, "class of the reply that deferred or bounced"),
    "reply": (REPLY, "first digit of other servers' replies"),
    "tls": (TLS, "whether the attempt was inside TLS"),
    "template": (TEMPLATE, "template"),
    "variant": (VARIANT, "variant of a campaign, as campaign/variant"),
    "rule": (RULE, "rule that refused a client"),
    "provider-class": (PROVIDER_CLASS, "provider and class, as provider/class"),
}
NAMES: Mapping[int, str] = {number: name for name, (number, _) in DIMENSIONS.items()}

#: By name: of what, of what all, and what it tells.
RATES: Mapping[str, tuple[tuple[int, ...], tuple[int, ...], str]] = {
    "delivery_rate": ((DELIVERED,), (DELIVERED, BOUNCED), "delivered, of those that are decided"),
    "bounce_rate": ((BOUNCED,), (DELIVERED, BOUNCED), "bounced, of those that are decided"),
    "deferral_rate": ((DEFERRED,), (ATTEMPTED,), "deferred, of all attempts"),
    "complaint_rate": ((COMPLAINED,), (DELIVERED,), "complaints, of those delivered"),
    "open_rate": ((OPENED,), (DELIVERED,), "recipients who opened, of those delivered"),
    "click_rate": ((CLICKED,), (DELIVERED,), "recipients who clicked, of those delivered"),
    "unsubscribe_rate": ((UNSUBSCRIBED,), (DELIVERED,), "recipients who left, of those delivered"),
    "refusal_rate": ((REFUSED,), (REFUSED, ACCEPTED), "refused, of what clients tried"),
}


def rate(name: str, numbers: Mapping[int, int]) -> float | None:
    """A rate, between 0 and 1 where events came in their order; ``None``: there is nothing to divide by."""
    above, below, _ = RATES[name]
    whole = sum(numbers.get(number, 0) for number in below)
    return sum(numbers.get(number, 0) for number in above) / whole if whole else None


def volume(numbers: Mapping[int, int]) -> int:
    """How much happened, by which the largest are found."""
    return sum(count for number, count in numbers.items() if number < DELAYS and number != OCTETS)
