"""Lets rules have their effect on sites: begins it, tells of it, and ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.logger import Logger

from mta.model.automation import Automation, Automations
from mta.model.bounce import Classification
from mta.model.event import Automated, Event
from mta.model.outcome import RemoteReply
from mta.queue.destination import Destination
from mta.queue.window import Job


class Automatism:
    """See the module.

    :param reactor: time and timers.
    :param lines_of: a destination, and those for the same site from other sources.
    :param note: puts events into the journal.
    :ivar ready: told when more may go than before; to be set.
    """

    __slots__ = ("_lines_of", "_note", "_reactor", "_rules", "_timers", "ready")

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        lines_of: Callable[[Destination], Sequence[Destination]],
        note: Callable[[Iterable[Event]], None],
    ) -> None:
        self._reactor = reactor
        self._lines_of = lines_of
        self._note = note
        self._rules = Automations()
        self._timers: dict[Destination, Any] = {}
        self.ready: Callable[[], None] = lambda: None

    def use(self, rules: Sequence[Automation]) -> None:
        """Go by these from now on; what holds goes on to hold."""
        self._rules = Automations(rules)

    def stop(self) -> None:
        """End no effect any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def heard(self, job: Job, said: Sequence[tuple[RemoteReply, Classification]], now: float) -> None:
        """A site said this to a delivery."""
        if not self._rules:
            return
        destination = job.destination
        hop = job.addressees[0].next_hop
        site = destination.site or destination.next_hop
        source = destination.source.name if destination.source is not None else ""
        for reply, verdict in said:
            rule = self._rules.heard(reply, verdict, hop, f"{destination.name}:{site}:{source}", now)
            if rule is None:
                continue
            until = now + rule.seconds
            lines = self._lines_of(destination) if rule.whole_site else [destination]
            known = [one.automation is rule and one.automated_until > now for one in lines]
            for line in lines:
                self._begin(line, rule, until, reply)
            if all(known):
                # It is prolonged by what was under way, or by the little that still goes.
                continue
            event = Automated(
                at=now,
                message=job.entry.message.id,
                session=job.entry.message.client.session,
                rule=rule.name,
                action=rule.effect,
                site=site,
                source="" if rule.whole_site else source,
                until=until,
                effect=rule.words,
                host=reply.host,
                reply=f"{reply.code} {reply.enhanced} {reply.text}".replace("  ", " "),
            )
            self._note([event])

    def made(self, line: Destination, site: Destination) -> None:
        """A site has a line more, for which holds what holds for all of it."""
        rule = site.automation
        if rule is not None and rule.whole_site and site.reply is not None:
            self._begin(line, rule, site.automated_until, site.reply)

    def _begin(self, line: Destination, rule: Automation, until: float, reply: RemoteReply) -> None:
        if rule.effect == "suspend":
            line.rest_for(rule, until, reply)
        elif line.automation is not None and line.automation.effect == "suspend":
            return
        else:
            line.slow_down(rule, until, reply)
        timer = self._timers.get(line)
        if timer is not None:
            timer.cancel()
        self._timers[line] = self._reactor.callLater(until - self._reactor.seconds(), self._end, line)

    def _end(self, line: Destination) -> None:
        del self._timers[line]
        line.speed_up()
        self.ready()
