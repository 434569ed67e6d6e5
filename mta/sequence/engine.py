"""The engine: from a definition, an enrolment, what is known of the contact, and the time, what comes next.

Nothing here asks a clock, a disk or a network.  :func:`step` makes one transition; :func:`advance` makes
them until the contact waits or has left.  Each is found in this table, from the top; the first line whose
condition holds is taken.

=========  ===================  =====================================  ===================================
phase      step                 if                                     then
=========  ===================  =====================================  ===================================
any        any                  nothing may be sent to the person      ends: ``left``
any        any                  the condition of an exit holds         ends: ``goal`` or ``exit``
any        is not there (any    the definition lacks it                ends: ``finished``
           more)
waiting    any but              the clock was set back behind its      arrives anew, now: the span is
           wait_until a time    arrival                                waited once more, nothing is lost
waiting    wait                 until has not come                     stays
waiting    wait                 until has come                         goes on
arrived    wait                                                        waits until now + for
arrived    wait_until a time    it is that time on such a day          goes on
arrived    wait_until a time    it is not                              waits until the next one
waiting    wait_until a time    until has come                         goes on
any        wait_until when      the condition holds                    goes on at ``then``
arrived    wait_until when      it does not                            waits until now + timeout
waiting    wait_until when      until has come                         goes on at ``otherwise``
waiting    send, notify         until has not come                     stays
any        send, notify         it is within quiet hours               waits until they end
any        send, notify         the cap is reached, over is wait       waits until one more may be sent
any        send, notify         the cap is reached, over is skip       goes on; nothing is sent
any        send, notify         otherwise                              sends, goes on
arrived    branch               the condition holds, or does not       goes on at then, or at otherwise
arrived    webhook, set,                                               does it, goes on
           add_to_list,
           remove_from_list
arrived    exit                                                        ends: ``goal`` or ``exit``
=========  ===================  =====================================  ===================================

To go on is to arrive, now, at the step that is named, or stands below; behind the last one the run ends:
``finished``.  All instants are absolute: a server that was down does late what it had to do, once, and the
spans that follow begin then, so that two messages keep their distance.  Since steps lead forward only, and
each is left at once or waited at, :func:`advance` makes as many transitions as there are steps, at the most.

Invariant: an enrolment that waits has ``until`` in the future or is looked at for a reason (something has
happened); to look at it without one changes nothing, so a look too many does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from mta.model.waiting import in_words
from mta.sequence.civil import next_time, parse_time, quiet_until, zone_of
from mta.sequence.condition import Known, holds
from mta.sequence.definition import (
    AddToList,
    AnyStep,
    Assign,
    Branch,
    Definition,
    Exit,
    Notify,
    RemoveFromList,
    Send,
    WaitFor,
    WaitUntil,
    Webhook,
)
from mta.sequence.enrolment import NEVER, Action, Enrolment


class Facts(Known, Protocol):
    """What is known of a contact at this moment."""

    @property
    def gone(self) -> str:
        """Why nothing may be sent to the person any more; ``""``: it may."""

    @property
    def zone(self) -> str:
        """Where it is: a name of the IANA."""

    @property
    def channel(self) -> str:
        """By which it wants to be told: ``mail`` or ``webhook``."""

    def sent(self, since: float) -> Sequence[float]:
        """When sequences have sent it something from an instant on, in order."""

    def did(self, action: Action) -> None:
        """An action was decided on: what follows at the same instant sees what it does."""


def begin(enrolment: Enrolment, definition: Definition, now: float) -> Enrolment:
    """The enrolment of who comes in now."""
    return replace(enrolment, step=definition.steps[0].id, phase="arrived", since=now, until=now, entered=now)


def advance(
    definition: Definition, enrolment: Enrolment, facts: Facts, now: float
) -> tuple[Enrolment, list[Action]]:
    """Make transitions until it waits or has ended.

    :return: where it is then, and what it wants, in order.
    """
    actions: list[Action] = []
    for _ in range(2 * len(definition.steps) + 2):
        before = enrolment
        enrolment, wanted = step(definition, enrolment, facts, now)
        for action in wanted:
            facts.did(action)
        actions += wanted
        if enrolment == before or not enrolment.active:
            return enrolment, actions
    raise AssertionError(f"{enrolment.sequence} goes round in circles at {enrolment.step}")


def step(
    definition: Definition, enrolment: Enrolment, facts: Facts, now: float
) -> tuple[Enrolment, list[Action]]:
    """Make one transition, as the table has it; one that stays where it is makes none."""
    if not enrolment.active:
        return enrolment, []
    if facts.gone:
        return _ended(enrolment, "left", facts.gone, now)
    for rule in definition.exits:
        if holds(rule.when, facts):
            return _ended(enrolment, "goal" if rule.goal else "exit", rule.name or "an exit", now)
    place = definition.place(enrolment.step)
    if place is None:
        return _ended(enrolment, "finished", "", now)
    at: AnyStep = definition.steps[place]
    if (
        enrolment.phase == "waiting"
        and now < enrolment.since
        and not (isinstance(at, WaitUntil) and at.when is None)
    ):
        return replace(enrolment, phase="arrived", since=now, until=now), []
    match at:
        case WaitFor():
            return _wait(definition, enrolment, at, now)
        case WaitUntil() if at.when is None:
            return _wait_until_time(definition, enrolment, at, facts, now)
        case WaitUntil():
            return _wait_until_condition(definition, enrolment, at, facts, now)
        case Send() | Notify():
            return _send(definition, enrolment, at, facts, now)
        case Branch():
            way = "then" if holds(at.when, facts) else "otherwise"
            target = at.then if way == "then" else at.otherwise
            return _on(definition, enrolment, at, now, [Action("branch", at.id, way)], target)
        case Webhook() | Assign() | AddToList() | RemoveFromList():
            return _on(definition, enrolment, at, now, [Action(at.do, at.id)])
        case Exit():
            return _ended(enrolment, "goal" if at.goal else "exit", at.reason or f"step {at.id}", now)


def moved(enrolment: Enrolment, version: int, definition: Definition, now: float, to: str = "") -> Enrolment:
    """The enrolment in another version: at the same step, which it waits at as that version says.

    :param to: at another step.
    :raise LookupError: if there is no such step.
    """
    target = to or enrolment.step
    if definition.place(target) is None:
        there = ", ".join(one.id for one in definition.steps)
        raise LookupError(f"version {version} has no step {target!r:.80}; it has {there}")
    place = definition.place(target)
    assert place is not None
    at = definition.steps[place]
    if to or enrolment.phase == "arrived":
        return replace(enrolment, version=version, step=target, phase="arrived", since=now, until=now)
    until = enrolment.until
    if isinstance(at, WaitFor):
        until = enrolment.since + at.span
    elif isinstance(at, WaitUntil) and at.when is not None:
        until = NEVER if at.timeout is None else enrolment.since + at.timeout
    else:
        return replace(enrolment, version=version, phase="arrived", until=now)
    return replace(enrolment, version=version, until=until)


# --- steps ---------------------------------------------------------------------


def _wait(
    definition: Definition, enrolment: Enrolment, at: WaitFor, now: float
) -> tuple[Enrolment, list[Action]]:
    if enrolment.phase == "arrived":
        until = now + at.span
        return replace(enrolment, phase="waiting", until=until), [_waits(at.id, until, in_words(at.span))]
    if now < enrolment.until:
        return enrolment, []
    return _on(definition, enrolment, at, now, [])


def _wait_until_time(
    definition: Definition, enrolment: Enrolment, at: WaitUntil, facts: Facts, now: float
) -> tuple[Enrolment, list[Action]]:
    if enrolment.phase == "waiting":
        if now < enrolment.until:
            return enrolment, []
        return _on(definition, enrolment, at, now, [])
    name = facts.zone if at.zone == "contact" else at.zone
    until = next_time(now, None if at.time is None else parse_time(at.time), at.days, zone_of(name))
    if until <= now:
        return _on(definition, enrolment, at, now, [])
    words = " ".join([at.time or "", ", ".join(at.days), f"in {name or 'UTC'}"]).strip()
    return replace(enrolment, phase="waiting", until=until), [_waits(at.id, until, f"until {words}")]


def _wait_until_condition(
    definition: Definition, enrolment: Enrolment, at: WaitUntil, facts: Facts, now: float
) -> tuple[Enrolment, list[Action]]:
    assert at.when is not None
    if holds(at.when, facts):
        told = [Action("branch", at.id, "then", "what it waited for has happened")]
        return _on(definition, enrolment, at, now, told, at.then)
    if enrolment.phase == "arrived":
        until = NEVER if at.timeout is None else now + at.timeout
        words = "for something to happen"
        if at.timeout is not None:
            words += f", {in_words(at.timeout)} at the most"
        return replace(enrolment, phase="waiting", until=until), [_waits(at.id, until, words)]
    if now < enrolment.until:
        return enrolment, []
    told = [Action("branch", at.id, "otherwise", "it did not happen in time")]
    return _on(definition, enrolment, at, now, told, at.otherwise)


def _send(
    definition: Definition, enrolment: Enrolment, at: Send | Notify, facts: Facts, now: float
) -> tuple[Enrolment, list[Action]]:
    if enrolment.phase == "waiting" and now < enrolment.until:
        return enrolment, []
    quiet = definition.quiet
    if quiet is not None:
        name = facts.zone if quiet.zone == "contact" else quiet.zone
        until = quiet_until(now, parse_time(quiet.begin), parse_time(quiet.until), zone_of(name))
        if until > now:
            return _held(enrolment, at.id, until, "quiet hours")
    cap = definition.cap
    if cap is not None:
        sent = facts.sent(now - cap.within)
        if len(sent) >= cap.messages:
            words = f"it got {len(sent)} messages in {in_words(cap.within)}"
            if cap.over == "skip":
                return _on(definition, enrolment, at, now, [Action("skip", at.id, reason=words)])
            # A moment later than the oldest that counts: at that very instant it counts still.
            return _held(enrolment, at.id, sent[-cap.messages] + cap.within + 1.0, words)
    way = "mail"
    if isinstance(at, Notify):
        way = facts.channel if at.channel == "contact" else at.channel
    return _on(definition, enrolment, at, now, [Action("send", at.id, way)])


def _held(enrolment: Enrolment, step_id: str, until: float, reason: str) -> tuple[Enrolment, list[Action]]:
    held = Action("hold", step_id, reason=reason, until=until)
    return replace(enrolment, phase="waiting", until=until), [held]


def _waits(step_id: str, until: float, reason: str) -> Action:
    return Action("wait", step_id, reason=reason, until=0.0 if until == NEVER else until)


def _on(
    definition: Definition,
    enrolment: Enrolment,
    at: AnyStep,
    now: float,
    actions: list[Action],
    target: str = "",
) -> tuple[Enrolment, list[Action]]:
    following = definition.after(at, target)
    if not following:
        ended, told = _ended(enrolment, "finished", "", now)
        return ended, [*actions, *told]
    return replace(enrolment, step=following, phase="arrived", since=now, until=now), actions


def _ended(enrolment: Enrolment, outcome: str, reason: str, now: float) -> tuple[Enrolment, list[Action]]:
    ended = replace(enrolment, outcome=outcome, reason=reason, ended=now, phase="arrived", until=now)
    return ended, [Action("end", enrolment.step, outcome, reason)]


def ended(enrolment: Enrolment, outcome: str, reason: str, now: float) -> tuple[Enrolment, list[Action]]:
    """End it from outside: by hand, or since the person is gone."""
    return _ended(enrolment, outcome, reason, now)
