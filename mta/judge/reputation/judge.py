"""Asks lists, the reverse name and HELO, all at once, and adds up.

The questions are asked at MAIL, and whoever is refused is refused at RCPT: then rules that accept
a recipient count, and the journal has the addresses.  What does not answer in time counts nothing,
and the journal says so.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal

from pydantic import Field, field_validator
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.bounded import Overdue, bounded
from mta.config.settings import Duration, Table
from mta.interfaces import (
    Answer,
    Facts,
    IJudge,
    IKind,
    ISessionJudge,
    NoSuchDomain,
    PluginContext,
    TemporarilyUnavailable,
)
from mta.judge.accepted import is_accepted
from mta.judge.reputation.hello import faults
from mta.judge.reputation.lists import (
    NEVER_LISTED_ADDRESS,
    NEVER_LISTED_NAME,
    CodeRange,
    Reading,
    read,
    reversed_address,
)
from mta.judge.reverse_name import ReverseNames
from mta.model.address import domain_of
from mta.model.authentication import AuthenticationResult
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client
from mta.model.network import parsed
from mta.model.verdict import PASS, Action, Stage, Verdict

#: Seconds for which a list is believed not to list everything, and between two words about its trouble.
_WELL = 3600.0
#: Characters of what a list says of a listing.
_WORDS = 160

Weight = float | Literal["reject", "defer"]


class ListSettings(Table):
    """One list: ``zone``, what is looked up there, and what its answers weigh."""

    zone: str
    of: Literal["client", "reverse_name", "helo", "sender"] = "client"
    weight: float = 0.0
    codes: dict[str, float] = Field({})

    @field_validator("codes")
    @classmethod
    def _are_codes(cls, value: dict[str, float]) -> dict[str, float]:
        for text in value:
            CodeRange.parse(text)
        return value

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        zone = value.strip(".").lower()
        if "." not in zone or not all(0 < len(label) < 64 for label in zone.split(".")):
            raise ValueError(f'{value!r} is no zone, such as "bl.example.net"')
        return zone


class ReputationSettings(Table):
    """Settings of ``kind = "reputation"``.

    A weight is a number, or ``"reject"`` or ``"defer"`` whatever the sum.
    """

    lists: list[ListSettings] = Field([])
    no_reverse_name: Weight = 0.0
    unconfirmed_reverse_name: Weight = 0.0
    helo_syntax: Weight = 0.0
    helo_literal: Weight = 0.0
    helo_false_literal: Weight = 0.0
    helo_own_name: Weight = 0.0
    helo_unresolved: Weight = 0.0
    tag: float = 5.0
    defer: float = 0.0
    reject: float = 10.0
    field: str = "X-Mta-Reputation"
    contact: str = ""
    timeout: Duration = 5.0


@dataclass(slots=True)
class Score:
    """What is known of a client.

    :ivar sum: of all weights.
    :ivar action: that one of them demands, whatever the sum.
    :ivar findings: in words, each with its weight.
    :ivar against: those that weigh against the client, for the reply.
    :ivar troubles: what could not be found out.
    :ivar results: for Authentication-Results: ``iprev`` (RFC 8601, 2.7.3) and ``dnswl`` (RFC 8904).
    """

    about: tuple[str, ...]
    sum: float = 0.0
    action: Literal["", "reject", "defer"] = ""
    findings: list[str] = field(default_factory=list)
    against: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    results: list[AuthenticationResult] = field(default_factory=list)

    def add(self, weight: Weight, words: str, short: str = "") -> None:
        """One finding; nothing if it weighs nothing."""
        if not weight:
            return
        if isinstance(weight, str):
            self.action = "reject" if "reject" in (weight, self.action) else "defer"
            self.findings.append(f"{weight}: {words}")
            self.against.append(short or words)
            return
        self.sum += weight
        self.findings.append(f"{weight:+g}: {words}")
        if weight > 0:
            self.against.append(short or words)


@implementer(IJudge, ISessionJudge)
class ReputationJudge:
    """See the module.

    :param settings: validated.
    :param context: gives time, DNS and our name.
    """

    log = Logger()
    stages = frozenset({"mail", "recipient"})

    def __init__(self, settings: ReputationSettings, context: PluginContext) -> None:
        self._settings = settings
        self._reactor = context.reactor
        self._resolver = context.resolver
        self._hostname = context.hostname
        self._contact = settings.contact or f"postmaster@{context.hostname}"
        self._names = ReverseNames(context.resolver)
        self._lists = [
            (one, {CodeRange.parse(text): weight for text, weight in one.codes.items()})
            for one in settings.lists
        ]
        self._named = any(one.of == "reverse_name" for one in settings.lists) or bool(
            settings.no_reverse_name or settings.unconfirmed_reverse_name
        )
        self._scores: dict[str, Score] = {}
        self._well: dict[str, tuple[float, str]] = {}
        self._complained: dict[str, float] = {}

    def judge(self, stage: Stage, facts: Facts) -> Answer[Verdict]:
        """See :class:`~mta.interfaces.IJudge`."""
        client, envelope = facts.client, facts.envelope
        if stage not in self.stages or client.role != "mx" or facts.trusted or envelope is None:
            return PASS
        if is_accepted(facts):
            return PASS
        if stage == "mail":
            return self._mail(client, envelope.reverse_path)
        score = self._scores.get(client.session)
        return PASS if score is None else self._refusal(score, client)

    def closed(self, client: Client) -> None:
        """See :class:`~mta.interfaces.ISessionJudge`."""
        self._scores.pop(client.session, None)

    # --- saying ----------------------------------------------------------------

    async def _mail(self, client: Client, sender: str) -> Verdict:
        about = (client.helo, domain_of(sender))
        score = self._scores.get(client.session)
        if score is None or score.about != about:
            score = self._scores[client.session] = await self._score(client, about)
        results = tuple(score.results)
        if not score.findings and not score.troubles:
            return Verdict(authentication=results) if results else PASS
        evidence: dict[str, Any] = {"score": round(score.sum, 2)}
        if score.findings:
            evidence["finding"] = score.findings
        if score.troubles:
            evidence["trouble"] = score.troubles
        if score.action or score.sum >= self._settings.tag:
            value = f"{score.sum:g} ({'; '.join(score.against)})"
            fields = ((self._settings.field, value),)
            return Verdict("tag", evidence=evidence, fields=fields, authentication=results)
        return Verdict(evidence=evidence, authentication=results)

    def _refusal(self, score: Score, client: Client) -> Verdict:
        settings = self._settings
        action: Action = "pass"
        if score.action == "reject" or (settings.reject and score.sum >= settings.reject):
            action = "reject"
        elif score.action == "defer" or (settings.defer and score.sum >= settings.defer):
            action = "defer"
        if action == "pass":
            return PASS
        reply = REPLIES.reply(
            "reputation-denied" if action == "reject" else "reputation-deferred",
            client=client.address,
            findings="; ".join(score.against),
            contact=self._contact,
            ref=client.session,
        )
        bound = settings.reject if action == "reject" else settings.defer
        evidence = {
            "score": f"{score.sum:g}, {action} from {bound:g}",
            "finding": score.findings,
            "trouble": score.troubles,
        }
        evidence = {name: value for name, value in evidence.items() if value}
        return Verdict(action, f"reputation.{action}", "; ".join(score.against), evidence, reply)

    # --- asking ----------------------------------------------------------------

    async def _score(self, client: Client, about: tuple[str, ...]) -> Score:
        """Ask everybody at once."""
        score = Score(about)
        address = parsed(client.address)
        if address is None:
            return score
        helo, sender = about
        name = Deferred.fromCoroutine(self._name(client)) if self._named else None
        asked = [
            (one, codes, Deferred.fromCoroutine(self._one_list(one, codes, address, helo, sender, "")))
            for one, codes in self._lists
            if one.of != "reverse_name"
        ]
        resolves = Deferred.fromCoroutine(self._hello(client, score))
        confirmed = ""
        if name is not None:
            confirmed = self._add_name(await name, str(address), score)
        asked += [
            (one, codes, Deferred.fromCoroutine(self._one_list(one, codes, address, helo, sender, confirmed)))
            for one, codes in self._lists
            if one.of == "reverse_name" and confirmed
        ]
        await resolves
        for one, _, waiting in asked:
            subject, reading, words = await waiting
            if reading.trouble:
                score.troubles.append(f"{one.zone}: {reading.trouble}")
                self._complain(one.zone, reading.trouble)
            elif reading.codes:
                told = f" ({words})" if words else ""
                if one.of == "client" and reading.weight < 0:
                    properties = (("dns.zone", one.zone), ("policy.ip", reading.codes[0]))
                    score.results.append(AuthenticationResult("dnswl", "pass", properties))
                listed = f"{subject} is on {one.zone}"
                score.add(reading.weight, f"{listed}: {', '.join(reading.codes)}{told}", listed + told)
        return score

    async def _name(self, client: Client) -> Any:
        return await self._in_time(self._names.find(client))

    def _add_name(self, found: Any, address: str, score: Score) -> str:
        if found is None or found.state == "unknown":
            why = found.trouble if found is not None else f"no answer in {self._settings.timeout:g} s"
            score.troubles.append(f"reverse name: {why}")
            return ""
        result = "pass" if found.state == "confirmed" else "fail"
        score.results.append(AuthenticationResult("iprev", result, (("policy.iprev", address),)))
        if found.state == "none":
            score.add(self._settings.no_reverse_name, "its address has no name")
        elif found.state == "unconfirmed":
            words = f"no name of its address leads back to it: {', '.join(found.names[:5])}"
            score.add(self._settings.unconfirmed_reverse_name, words)
        return str(found.name or "")

    async def _hello(self, client: Client, score: Score) -> None:
        wrong = faults(client.helo, client.address, self._hostname)
        for setting, words in wrong:
            score.add(getattr(self._settings, setting), words)
        if wrong or not self._settings.helo_unresolved:
            return
        found = await self._in_time(self._resolves(client.helo))
        if found is None or isinstance(found, str):
            score.troubles.append(f"HELO {client.helo}: {found or 'no answer in time'}")
        elif not found:
            score.add(self._settings.helo_unresolved, f"HELO {client.helo} has no address")

    async def _resolves(self, helo: str) -> bool | str:
        try:
            if await self._resolver.addresses(helo):
                return True
        except NoSuchDomain:
            return False
        except TemporarilyUnavailable as trouble:
            return str(trouble)
        try:
            return bool(await self._resolver.mx(helo))
        except NoSuchDomain:
            return False
        except TemporarilyUnavailable as trouble:
            return str(trouble)

    async def _one_list(
        self,
        one: ListSettings,
        codes: dict[CodeRange, float],
        address: IPv4Address | IPv6Address,
        helo: str,
        sender: str,
        reverse_name: str,
    ) -> tuple[str, Reading, str]:
        """What a list says: of whom, what, and in which words."""
        subject = {"client": str(address), "helo": helo, "sender": sender, "reverse_name": reverse_name}[
            one.of
        ]
        key = reversed_address(address) if one.of == "client" else subject.rstrip(".").lower()
        if not key or key.startswith("["):
            return subject, Reading(), ""
        name = f"{key}.{one.zone}"
        answers = await self._in_time(self._answers(name))
        if answers is None:
            return subject, Reading(0.0, (), f"no answer in {self._settings.timeout:g} s"), ""
        if isinstance(answers, str):
            return subject, Reading(0.0, (), answers), ""
        reading = read(answers, one.weight, codes)
        if not reading.codes:
            return subject, reading, ""
        trouble = await self._lists_everything(one)
        if trouble:
            return subject, Reading(0.0, (), trouble), ""
        words = await self._in_time(self._said(name))
        return subject, reading, str(words or "")

    async def _answers(self, name: str) -> tuple[str, ...] | str:
        try:
            found = await self._resolver.validated(name, "A")
            return tuple(found.values)
        except NoSuchDomain:
            return ()
        except TemporarilyUnavailable as trouble:
            return str(trouble)

    async def _said(self, name: str) -> str:
        try:
            texts = await self._resolver.text(name)
        except (NoSuchDomain, TemporarilyUnavailable):
            return ""
        text = (texts[0] if texts else b"").decode("utf-8", "replace")
        return "".join(c if c.isprintable() else " " for c in text)[:_WORDS]

    async def _lists_everything(self, one: ListSettings) -> str:
        """Why a list is not believed: it lists what no list may (RFC 5782, 5)."""
        now = self._reactor.seconds()
        known = self._well.get(one.zone)
        if known is not None and now < known[0] + _WELL:
            return known[1]
        never = NEVER_LISTED_ADDRESS if one.of == "client" else NEVER_LISTED_NAME
        answers = await self._in_time(self._answers(f"{never}.{one.zone}"))
        trouble = ""
        if isinstance(answers, tuple) and answers:
            trouble = "it lists everything, so it is not believed; take it out of the configuration"
        self._well[one.zone] = (now, trouble)
        return trouble

    async def _in_time(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The answer; ``None`` if it does not come in time."""
        try:
            return await bounded(self._reactor, work, self._settings.timeout)
        except Overdue:
            return None

    def _complain(self, zone: str, trouble: str) -> None:
        now = self._reactor.seconds()
        if now >= self._complained.get(zone, 0.0):
            self._complained[zone] = now + _WELL
            self.log.warn("The list {zone} counts nothing: {trouble}", zone=zone, trouble=trouble)


@implementer(IPlugin, IKind)
class ReputationKind:
    """Makes :class:`ReputationJudge`."""

    seam = IJudge
    kind = "reputation"
    settings = ReputationSettings

    def build(self, settings: ReputationSettings, context: PluginContext) -> ReputationJudge:
        """See :class:`~mta.interfaces.IKind`."""
        return ReputationJudge(settings, context)


REPUTATION = ReputationKind()
