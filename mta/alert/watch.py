"""Reads the journal and looks at the server, for all rules; the shell around :mod:`mta.alert.rule`.

One worker does it for all: the first.  Of its own events it is told (``IEventSink``); those of other
workers, and those from before it was started, it reads out of their journals.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from mta.alert.rule import Change, Rule
from mta.analytics.judging import Finding
from mta.config.settings import Alert
from mta.interfaces import IEventSink
from mta.journal.reader import JournalError, JournalReader
from mta.model.event import Event
from mta.model.event_security import Alerted

#: Seconds between two looks.
LOOK = 15.0
#: Seconds between two looks at numbers.
NUMBERS = 60.0
#: Seconds for which the journal is asked what an earlier process has told.
_BACK = 30 * 86400.0
#: Events that are read of the time before the start.
_BEFORE = 20_000

#: Tells somebody, or raises :class:`Untold`: (to, rule, action).
Tell = Callable[[str, Rule, str], Awaitable[None]]


class Untold(Exception):
    """Somebody could not be told, for a reason in words."""


@implementer(IEventSink)
class AlertWatch:
    """See the module.

    :param reactor: time and delayed calls.
    :param settings: the rules.
    :param journals: the journals of all shards, synchronously, ours first.
    :param facts: what is to be known of the server, synchronously: see :func:`mta.alert.facts.facts`.
    :param note: puts events into the journal.
    :param tell: tells somebody.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param numbers: judges numbers: from rules about them to what was found, by their names; those that
        cannot be judged now are left out.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Sequence[Alert],
        *,
        journals: Callable[[], JournalReader],
        facts: Callable[[], dict[str, float]],
        note: Callable[[Iterable[Event]], None],
        tell: Tell,
        run_in_thread: Callable[..., Awaitable[Any]],
        numbers: Callable[[Sequence[Alert]], Awaitable[dict[str, Finding]]] | None = None,
    ) -> None:
        self._reactor = reactor
        self._numbers = numbers
        self._next_numbers = 0.0
        self._journals = journals
        self._facts = facts
        self._note = note
        self._tell = tell
        self._run = run_in_thread
        self._rules = {one.name: Rule(one) for one in settings}
        self._kinds: frozenset[str] = frozenset()
        #: Up to which number the journal of each worker was read.
        self._read: dict[Path, int] = {}
        self._call: Any = None
        self._looking: Deferred[None] | None = None
        self._stopped = False
        self._choose()

    def _choose(self) -> None:
        self._kinds = frozenset(rule.settings.event for rule in self._rules.values()) - {"", "alert"}

    # --- life ------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what was, and begin to look."""
        await self._remember()
        self._look_later()

    async def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        if self._call is not None and self._call.active():
            self._call.cancel()

    def use(self, settings: Sequence[Alert]) -> None:
        """Go by other rules; what goes on under the same name goes on."""
        before = self._rules
        self._rules = {one.name: Rule(one) for one in settings}
        for name, rule in self._rules.items():
            if name in before:
                rule.take_over(before[name])
        self._choose()
        self._next_numbers = 0.0

    async def _remember(self) -> None:
        """What an earlier process has counted and told."""
        now = self._reactor.seconds()
        kinds = self._kinds
        within = max((rule.settings.within for rule in self._rules.values()), default=0.0)

        def read() -> tuple[list[Event], list[Event]]:
            journals = self._journals()
            told = journals.recent(since=now - _BACK, kinds=("alert",), limit=1000)
            seen = journals.recent(since=now - within, kinds=kinds, limit=_BEFORE) if kinds else []
            self._begin_to_read(journals)
            return [one.event for one in reversed(told)], [one.event for one in reversed(seen)]

        try:
            told, seen = await self._run(read)
        except JournalError as trouble:
            self.log.warn("What was told before is not known: {why}", why=str(trouble))
            return
        for event in told:
            if isinstance(event, Alerted) and event.rule in self._rules:
                self._rules[event.rule].standing.replay(event.action, event.at, bool(event.to))
        # Whatever they come to is for the first look: nothing can be sent before everything runs.
        self._count(seen)

    def _begin_to_read(self, journals: JournalReader) -> None:
        for path, end in zip(journals.paths, journals.ends(), strict=True):
            self._read.setdefault(path, end)

    # --- what happens ------------------------------------------------------------

    def events(self, batch: Sequence[Event]) -> None:
        """See :class:`~mta.interfaces.IEventSink`.

        What raises a rule does so at once: at the next look its time may be over.
        """
        now = self._reactor.seconds()
        for rule in self._count(batch):
            if not rule.standing.is_raised:
                self._judge(rule, now, {})

    def _count(self, batch: Sequence[Event]) -> list[Rule]:
        """The rules that are concerned."""
        found: dict[str, Rule] = {}
        for event in batch:
            if event.kind in self._kinds:
                found.update((name, rule) for name, rule in self._rules.items() if rule.saw(event))
        return list(found.values())

    def _look_later(self) -> None:
        if not self._stopped:
            self._call = self._reactor.callLater(LOOK, self._look)

    def _look(self) -> None:
        self._looking = Deferred.fromCoroutine(self._look_once())
        self._looking.addErrback(lambda failure: self.log.failure("Alerts cannot be judged", failure))
        self._looking.addBoth(lambda result: self._look_later())

    async def _look_once(self) -> None:
        try:
            seen = await self._run(self._others)
        except JournalError as trouble:
            self.log.warn("Events of other workers are not counted now: {why}", why=str(trouble))
            seen = []
        self.events(seen)
        facts: dict[str, float] = await self._run(self._facts)
        now = self._reactor.seconds()
        findings = await self._find(now)
        for rule in list(self._rules.values()):
            self._judge(rule, now, facts, findings)

    async def _find(self, now: float) -> dict[str, Finding]:
        """What numbers are, once a minute and where a rule asks for them."""
        settings = [rule.settings for rule in self._rules.values() if rule.settings.statistic]
        if not settings or self._numbers is None or now < self._next_numbers:
            return {}
        self._next_numbers = now + NUMBERS
        return await self._numbers(settings)

    def _others(self) -> list[Event]:
        """What other workers have written since the last look; in a thread."""
        journals, found = self._journals(), []
        for shard, path in enumerate(journals.paths[1:], 1):
            # A journal that was not there before is read from its beginning.
            after = self._read.get(path, 0)
            records, self._read[path] = journals.following(shard, sorted(self._kinds), after)
            found += [record.event for record in records]
        return found

    def _judge(
        self,
        rule: Rule,
        now: float,
        facts: dict[str, float],
        findings: Mapping[str, Finding] | None = None,
    ) -> None:
        change = rule.judge(now, facts, findings)
        if change is not None:
            self._act(rule, change, now)

    # --- telling -----------------------------------------------------------------

    def _act(self, rule: Rule, change: Change, now: float) -> None:
        settings = rule.settings
        to = [public(one) for one in settings.to] if change.tell else []
        why = "" if to else "nobody is told again so soon"
        self._note([self._event(rule, change.action, now, to, why)])
        if to:
            for one in settings.to:
                Deferred.fromCoroutine(self._tell_one(one, rule, change.action))

    async def _tell_one(self, to: str, rule: Rule, action: str) -> str:
        """Why they could not be told; ``""`` if they were."""
        try:
            await self._tell(to, rule, action)
        except Untold as trouble:
            why = str(trouble)
        except Exception:
            self.log.failure("{to} cannot be told of {rule}", to=public(to), rule=rule.settings.name)
            why = "trouble on our side; the log tells more"
        else:
            return ""
        self._note([self._event(rule, "untold", self._reactor.seconds(), [public(to)], why)])
        return why

    def _event(self, rule: Rule, action: str, at: float, to: list[str], reason: str) -> Alerted:
        return Alerted(
            at=at,
            rule=rule.settings.name,
            action=action,
            text=rule.found,
            value=rule.value,
            to=to,
            reason=reason,
            evidence=rule.evidence,
        )

    # --- being asked ---------------------------------------------------------------

    def status(self) -> list[dict[str, Any]]:
        """Each rule and how it stands, JSON values."""
        return [
            {
                "rule": rule.settings.name,
                "raised_by": rule.threshold,
                "found": rule.found,
                "raised": rule.standing.is_raised,
                "since": rule.standing.since or None,
                "told": rule.standing.told or None,
                "to": [public(one) for one in rule.settings.to],
            }
            for rule in self._rules.values()
        ]

    async def test(self, name: str) -> list[dict[str, str]] | None:
        """Tell everybody of a rule that somebody tries it out.

        :return: whom, and why that could not be (``""`` if it could); ``None`` if there is no such rule.
        """
        rule = self._rules.get(name)
        if rule is None:
            return None
        to = [public(one) for one in rule.settings.to]
        self._note([self._event(rule, "tested", self._reactor.seconds(), to, "")])
        return [
            {"to": public(one), "trouble": await self._tell_one(one, rule, "tested")}
            for one in rule.settings.to
        ]


def public(to: str) -> str:
    """An address, or the host of a URL: what stands behind it may be a secret."""
    scheme, found, rest = to.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}" if found else to
