"""``kind = "greylist"``: who is not known yet is asked to come again (RFC 6647).

A network, a sender and a recipient that have not been seen together are put off once, for
``delay``.  Whoever comes again within ``window`` is known for ``remember``; a network that has
done so for several is known as a whole.  What SPF, an allow list, an ``[[access.rule]]`` or
``known`` speaks for is not put off at all, nor is the answer of somebody to whom one of ours has
written.  All workers remember the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Duration, HostPatterns, Network, Table
from mta.interfaces import Answer, Facts, IJudge, IKind, PluginContext, TemporarilyUnavailable
from mta.judge.accepted import is_accepted
from mta.judge.access.patterns import Patterns, WrongPattern
from mta.judge.reverse_name import ReverseNames
from mta.model.catalogue import REPLIES
from mta.model.ledger import Book, Ledger
from mta.model.network import block, is_within
from mta.model.verdict import PASS, Stage, Verdict
from mta.model.waiting import in_words

#: Kinds of entries: what was seen together, networks that came again, and who was written to.
GREY, NETWORK, PARTNER = "grey", "grey-network", "grey-partner"
#: Recipients of one message that are remembered; a mailing to more is no correspondence.
_PARTNERS = 50
#: Seconds between two words about a ledger that does not answer.
_COMPLAIN = 600.0
#: What changes in a sender from message to message: VERP, tags, numbers.
_CHANGES = re.compile(r"[0-9a-f]*[0-9][0-9a-f]*")


class GreylistSettings(Table):
    """Settings of ``kind = "greylist"``."""

    delay: Duration = 300.0
    window: Duration = 2 * 86400.0
    remember: Duration = 36 * 86400.0
    ipv4: int = Field(24, ge=8, le=32)
    ipv6: int = Field(64, ge=16, le=128)
    known_after: int = Field(5, ge=0)
    spf_pass: bool = True
    allow_lists: bool = True
    answers: bool = True
    known: list[Network] = Field([])
    known_names: HostPatterns = Field([])


@dataclass(frozen=True, slots=True)
class Seen:
    """What is remembered.

    :ivar wait: seconds until it may pass; 0.0: now.
    :ivar first: when it was seen first.
    :ivar tries: how often it was put off, this time included.
    """

    wait: float
    first: float = 0.0
    tries: int = 0


def look(
    book: Book, key: str, network: str, settings: GreylistSettings, rehearsed: bool = False, pair: str = ""
) -> Seen:
    """Look, and remember that it was there.

    :param key: network, sender and recipient.
    :param rehearsed: remember nothing.
    :param pair: sender and recipient as they are.
    """
    if settings.answers and book.get(PARTNER, pair) is not None:
        return Seen(0.0)
    count = book.get(NETWORK, network) or 0
    if settings.known_after and count >= settings.known_after:
        if not rehearsed:
            book.put(NETWORK, network, count, settings.remember)
        return Seen(0.0)
    kept = book.get(GREY, key)
    if kept is None:
        if not rehearsed:
            book.put(GREY, key, {"first": book.now, "tries": 1}, settings.window)
        return Seen(settings.delay, book.now, 1)
    first, tries = float(kept["first"]), int(kept["tries"])
    if not kept.get("passed"):
        wait = first + settings.delay - book.now
        if wait > 0:
            # The window began with the first attempt.
            if not rehearsed:
                left = max(1.0, first + settings.window - book.now)
                book.put(GREY, key, {"first": first, "tries": tries + 1}, left)
            return Seen(min(wait, settings.delay), first, tries + 1)
        if not rehearsed:
            book.put(NETWORK, network, count + 1, settings.remember)
    if not rehearsed:
        book.put(GREY, key, {"first": first, "tries": tries, "passed": book.now}, settings.remember)
    return Seen(0.0, first, tries)


@implementer(IJudge)
class GreylistJudge:
    """See the module.

    :param settings: validated.
    :param ledger: what all workers remember together; ``None``: there is none, and nobody is put off.
    :param names: finds reverse names.
    :param seconds: gives the time.
    """

    log = Logger()
    stages = frozenset({"recipient", "message"})

    def __init__(
        self, settings: GreylistSettings, ledger: Ledger | None, names: ReverseNames, seconds: Any
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._names = names
        self._seconds = seconds
        self._complained = 0.0
        try:
            self._known = Patterns((pattern, pattern) for pattern in settings.known_names)
        except WrongPattern as wrong:
            raise ValueError(f"known_names: {wrong}") from None

    def judge(self, stage: Stage, facts: Facts) -> Answer[Verdict]:
        """See :class:`~mta.interfaces.IJudge`."""
        client = facts.client
        if self._ledger is None:
            return PASS
        if stage == "message":
            if client.account and self._settings.answers:
                self._written(facts, self._ledger)
            return PASS
        if stage != "recipient" or client.role != "mx" or facts.trusted:
            return PASS
        if is_accepted(facts) or is_within(client.address, self._settings.known) or self._is_vouched(facts):
            return PASS
        return self._judge(facts, self._ledger)

    def passes(self, stage: Stage, facts: Facts) -> bool:
        """Whether there is nothing to be said: see :class:`~mta.interfaces.IJudge`."""
        return stage == "message" and not facts.client.account

    def _written(self, facts: Facts, ledger: Ledger) -> None:
        """Remember whom one of ours writes to."""
        envelope = facts.envelope
        if envelope is None or not envelope.reverse_path or len(envelope.recipients) > _PARTNERS:
            return
        ours = envelope.reverse_path.lower()
        pairs = [f"{recipient.address.lower()} {ours}" for recipient in envelope.recipients]
        Deferred.fromCoroutine(self._remember(ledger, pairs))

    async def _remember(self, ledger: Ledger, pairs: list[str]) -> None:
        seconds = self._settings.remember

        def write(book: Book) -> None:
            for pair in pairs:
                book.put(PARTNER, pair, 1, seconds)

        try:
            await ledger.ask(write)
        except TemporarilyUnavailable as trouble:
            self._complain(trouble)

    def _is_vouched(self, facts: Facts) -> bool:
        """Whether SPF or an allow list speaks for it."""
        for result in facts.authentication:
            if result.result != "pass":
                continue
            if result.method == "spf" and self._settings.spf_pass and result.get("smtp.mailfrom"):
                return True
            if result.method == "dnswl" and self._settings.allow_lists:
                return True
        return False

    async def _judge(self, facts: Facts, ledger: Ledger) -> Verdict:
        client, envelope, recipient = facts.client, facts.envelope, facts.recipient
        assert envelope is not None and recipient is not None
        settings = self._settings
        if settings.known_names:
            found = await self._names.find(client)
            if found.name and self._known.find(found.name) is not None:
                return PASS
        network = block(client.address, settings.ipv4, settings.ipv6)
        sender = plain(envelope.reverse_path)
        key = f"{network} {sender or '<>'} {recipient.address.lower()}"
        try:
            pair = f"{envelope.reverse_path.lower()} {recipient.address.lower()}"
            seen = await ledger.ask(lambda book: look(book, key, network, settings, client.rehearsed, pair))
        except TemporarilyUnavailable as trouble:
            self._complain(trouble)
            return Verdict(evidence={"not asked": str(trouble)})
        if seen.wait <= 0:
            return PASS
        wait = in_words(seen.wait)
        reply = REPLIES.reply("greylist", wait=wait, ref=client.session)
        evidence = {
            "network": network,
            "sender": sender or "<>",
            "recipient": recipient.address,
            "attempt": seen.tries,
            "passes in": wait,
        }
        return Verdict("defer", "greylist", f"not known yet, passes in {wait}", evidence, reply)

    def _complain(self, trouble: Exception) -> None:
        now = self._seconds()
        if now >= self._complained:
            self._complained = now + _COMPLAIN
            self.log.warn(
                "The greylist remembers nothing, and puts nobody off: {trouble}", trouble=str(trouble)
            )


def plain(sender: str) -> str:
    """A sender without what changes from message to message."""
    local, at, domain = sender.lower().rpartition("@")
    if not at:
        return sender.lower()
    local = local.partition("+")[0] if not local.startswith('"') else local
    return f"{_CHANGES.sub('#', local)}@{domain}"


@implementer(IPlugin, IKind)
class GreylistKind:
    """Makes :class:`GreylistJudge`."""

    seam = IJudge
    kind = "greylist"
    settings = GreylistSettings

    def build(self, settings: GreylistSettings, context: PluginContext) -> GreylistJudge:
        """See :class:`~mta.interfaces.IKind`."""
        names = ReverseNames(context.resolver)
        return GreylistJudge(settings, context.ledger, names, context.reactor.seconds)


GREYLIST = GreylistKind()
