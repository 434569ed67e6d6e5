"""The judge of ``[[limit]]``: so many messages, recipients or connections in so much time.

All workers take from the same buckets, in one transaction each time, so a limit is exact however
many there are; it survives a restart.  What is refused by one limit takes nothing from the others.
When the ledger does not answer, nothing is limited, and the journal says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from mta.config.settings import Limit
from mta.interfaces import Answer, Facts, IJudge, TemporarilyUnavailable
from mta.judge.accepted import is_accepted
from mta.judge.access.patterns import Patterns, WrongPattern
from mta.model.address import domain_of
from mta.model.bucket import Bucket
from mta.model.catalogue import REPLIES
from mta.model.ledger import Book, Ledger
from mta.model.network import client_of, is_within, network_of
from mta.model.verdict import PASS, Stage, Verdict
from mta.model.waiting import in_words, rate_words

#: The name of this judge in the pipeline, and the kind of its entries.
NAME, BUCKET = "limit", "bucket"
_COMPLAIN = 600.0
#: What only RCPT tells.
_AT_RECIPIENT = frozenset({"recipient", "domain"})


@dataclass(frozen=True, slots=True)
class _Limit:
    """One table, ready to be asked."""

    name: str
    settings: Limit
    what: str
    stage: Stage
    rate: tuple[int, float]
    bucket: Bucket
    fits: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class _Due:
    """A bucket that something is to be taken from."""

    limit: _Limit
    key: str
    who: str


def take(book: Book, due: Sequence[_Due], rehearsed: bool = False) -> tuple[int, float]:
    """Take one from each bucket, or from none.

    :return: which one has none left (-1: none), and after how many seconds it has.
    """
    kept = [book.get(BUCKET, one.key) for one in due]
    waits = [one.limit.bucket.wait(level, book.now) for one, level in zip(due, kept, strict=True)]
    longest = max(range(len(due)), key=waits.__getitem__)
    if waits[longest] > 0:
        return longest, waits[longest]
    if not rehearsed:
        for one, level in zip(due, kept, strict=True):
            after = one.limit.bucket.take(level, book.now)
            book.put(BUCKET, one.key, after, one.limit.bucket.full_in(after, book.now))
    return -1, 0.0


@implementer(IJudge)
class LimitJudge:
    """See the module.

    :param settings: the tables.
    :param ledger: what all workers remember together; ``None``: there is none, and nothing is limited.
    :param tenant_of: whose the mail of an account is.
    :param seconds: gives the time.
    :raise WrongPattern: if something in ``match`` is none; ``args`` tells which table.
    """

    log = Logger()

    def __init__(
        self,
        settings: Sequence[Limit],
        ledger: Ledger | None,
        tenant_of: Callable[[str], str],
        seconds: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._tenant_of = tenant_of
        self._seconds = seconds
        self._complained = 0.0
        self._limits = [_limit(number, one) for number, one in enumerate(settings)]
        self.stages = frozenset(limit.stage for limit in self._limits)

    def judge(self, stage: Stage, facts: Facts) -> Answer[Verdict]:
        """See :class:`~mta.interfaces.IJudge`."""
        ledger = self._ledger
        if ledger is None or stage not in self.stages or is_accepted(facts):
            return PASS
        due = [
            found
            for limit in self._limits
            if limit.stage == stage and (found := self._due(limit, facts)) is not None
        ]
        return self._judge(ledger, due, facts) if due else PASS

    def _due(self, limit: _Limit, facts: Facts) -> _Due | None:
        if facts.client.role not in limit.settings.role:
            return None
        values = [self._value(by, facts) for by in limit.settings.by]
        # What has no account, or no address, is not counted by it.
        if not all(values) or not limit.fits(values[0]):
            return None
        who = ", ".join(f"{by} {value}" for by, value in zip(limit.settings.by, values, strict=True))
        return _Due(limit, f"{limit.name} {limit.what} {who}", who)

    def _value(self, by: str, facts: Facts) -> str:
        client, envelope, recipient = facts.client, facts.envelope, facts.recipient
        match by:
            case "client":
                return client_of(client.address)
            case "network":
                return network_of(client.address)
            case "account":
                return client.account.lower()
            case "tenant":
                return self._tenant_of(client.account) if client.account else ""
            case "sender":
                return (envelope.reverse_path.lower() or "<>") if envelope is not None else ""
            case "sender_domain":
                return domain_of(envelope.reverse_path) if envelope is not None else ""
            case "recipient":
                return recipient.address.lower() if recipient is not None else ""
        return domain_of(recipient.address) if recipient is not None else ""

    async def _judge(self, ledger: Ledger, due: list[_Due], facts: Facts) -> Verdict:
        client = facts.client
        try:
            which, seconds = await ledger.ask(lambda book: take(book, due, client.rehearsed))
        except TemporarilyUnavailable as trouble:
            now = self._seconds()
            if now >= self._complained:
                self._complained = now + _COMPLAIN
                self.log.warn("Nothing is limited: {trouble}", trouble=str(trouble))
            return Verdict(evidence={"not asked": str(trouble)})
        if which < 0:
            return PASS
        limit, who = due[which].limit, due[which].who
        words, wait = rate_words(limit.rate, limit.what), in_words(seconds)
        rule = f"limit.{limit.name}"
        evidence: dict[str, Any] = {"limit": words, "by": who, "more in": wait}
        if limit.settings.action == "hold":
            return Verdict("hold", rule, f"{words} by {who} is the limit", evidence)
        closes = limit.settings.action == "close" or limit.stage == "connect"
        reply = REPLIES.reply(
            "limit-closing" if closes else "limit-reached", limit=words, by=who, wait=wait, ref=client.session
        )
        return Verdict("defer", rule, f"{words} by {who} is the limit", evidence, reply)


def _limit(number: int, settings: Limit) -> _Limit:
    what = next(name for name in ("connections", "messages", "recipients") if getattr(settings, name))
    rate = getattr(settings, what)
    stage: Stage = "mail"
    if what == "connections":
        stage = "connect"
    elif what == "recipients" or _AT_RECIPIENT & set(settings.by):
        stage = "recipient"
    name = settings.name or f"{'-'.join(settings.by)}-{what}-{rate[0]}-{rate[1]:g}s"
    try:
        fits = _matcher(settings)
    except WrongPattern as wrong:
        raise WrongPattern(str(wrong), number) from None
    return _Limit(name, settings, what, stage, rate, Bucket.of(rate, settings.burst), fits)


def _matcher(settings: Limit) -> Callable[[str], bool]:
    if not settings.match:
        return lambda value: True
    if settings.by[0] in ("client", "network"):
        try:
            networks = [ip_network(text, strict=False) for text in settings.match]
        except ValueError as error:
            raise WrongPattern(str(error)) from None
        return lambda value: is_within(value.partition("/")[0], networks)
    patterns = Patterns((text, text) for text in settings.match)
    return lambda value: patterns.find("" if value == "<>" else value) is not None
