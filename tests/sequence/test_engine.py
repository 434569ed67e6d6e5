"""The table of transitions, line by line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.sequence.definition import Definition
from mta.sequence.engine import advance, begin, moved, step
from mta.sequence.enrolment import NEVER, Action, Enrolment
from tests.sequence.fakes import DAY, HOUR, NOW, Known, at, definition

SEND = {"do": "send", "template": "t"}
WAIT = {"do": "wait", "for": "2d"}


class TableTests(SynchronousTestCase):
    def moves(
        self, made: Definition, run: Enrolment, known: Known, now: float = NOW
    ) -> tuple[str, str, float, list[tuple[str, str]]]:
        after, actions = step(made, run, known, now)
        return after.step, after.outcome or after.phase, after.until, [(one.kind, one.way) for one in actions]

    def test_nothing_may_be_sent(self) -> None:
        """Before everything else, in whatever phase."""
        made = definition(WAIT, SEND, exits=[{"when": {"event": "x"}}])
        known = Known(gone="it has unsubscribed", events=[("x", {})])
        for run in (at("a"), at("a", phase="waiting", until=NOW + DAY), at("b")):
            after, actions = step(made, run, known, NOW)
            self.assertEqual(("left", "it has unsubscribed", NOW), (after.outcome, after.reason, after.ended))
            self.assertEqual([("end", "left")], [(one.kind, one.way) for one in actions])

    def test_exits(self) -> None:
        made = definition(
            WAIT,
            SEND,
            exits=[
                {
                    "name": "bought",
                    "when": {"event": "purchase", "where": {"amount": {"more": 9}}},
                    "goal": True,
                },
                {"when": {"attribute": "vip", "is": True}},
            ],
        )
        waiting = at("a", phase="waiting", until=NOW + DAY)
        small = Known(events=[("purchase", {"amount": 9})])
        self.assertEqual(("a", "waiting", NOW + DAY, []), self.moves(made, waiting, small))
        large = Known(events=[("purchase", {"amount": 10})])
        self.assertEqual(("a", "goal", NOW, [("end", "goal")]), self.moves(made, waiting, large))
        vip = Known(asked={"vip": True})
        self.assertEqual(("a", "exit", NOW, [("end", "exit")]), self.moves(made, waiting, vip))

    def test_what_has_ended_stays(self) -> None:
        run = at("a", outcome="goal")
        self.assertEqual((run, []), step(definition(SEND), run, Known(gone="x"), NOW))

    def test_a_step_that_is_gone(self) -> None:
        self.assertEqual(
            ("zz", "finished", NOW, [("end", "finished")]), self.moves(definition(SEND), at("zz"), Known())
        )

    def test_wait(self) -> None:
        made = definition(WAIT, SEND)
        self.assertEqual(("a", "waiting", NOW + 2 * DAY, [("wait", "")]), self.moves(made, at("a"), Known()))
        run = at("a", phase="waiting", until=NOW + 2 * DAY)
        self.assertEqual(
            ("a", "waiting", NOW + 2 * DAY, []), self.moves(made, run, Known(), NOW + 2 * DAY - 1)
        )
        after, _ = step(made, run, Known(), NOW + 2 * DAY)
        self.assertEqual(("b", "arrived", NOW + 2 * DAY), (after.step, after.phase, after.since))

    def test_late_spans_begin_late(self) -> None:
        """A server that was down for a week does not send at once what was to be two days apart."""
        made = definition(WAIT, SEND, WAIT, SEND)
        run = at("a", phase="waiting", until=NOW + 2 * DAY)
        after, actions = advance(made, run, Known(), NOW + 9 * DAY)
        self.assertEqual(["send", "wait"], [one.kind for one in actions])
        self.assertEqual(("c", NOW + 11 * DAY), (after.step, after.until))

    def test_a_clock_set_back(self) -> None:
        """Nobody waits until a wrong clock would have been right."""
        made = definition(WAIT, SEND)
        run = at("a", phase="waiting", since=NOW + 365 * DAY, until=NOW + 367 * DAY)
        after, actions = advance(made, run, Known(), NOW)
        self.assertEqual(
            ("a", "waiting", NOW, NOW + 2 * DAY), (after.step, after.phase, after.since, after.until)
        )
        self.assertEqual(["wait"], [one.kind for one in actions])

    def test_until_a_time(self) -> None:
        made = definition({"do": "wait_until", "time": "09:00", "days": ["mon", "thu"]}, SEND)
        berlin = Known(zone="Europe/Berlin")
        # The next day is a Thursday; 9:00 there is 8:00 UTC.
        self.assertEqual(("a", "waiting", NOW + 20 * HOUR, [("wait", "")]), self.moves(made, at("a"), berlin))
        run = at("a", phase="waiting", until=NOW + 20 * HOUR)
        self.assertEqual("waiting", self.moves(made, run, berlin, NOW + 20 * HOUR - 1)[1])
        self.assertEqual("b", self.moves(made, run, berlin, NOW + 21 * HOUR)[0])
        self.assertEqual("b", self.moves(made, at("a"), berlin, NOW + 20 * HOUR)[0])
        # A clock that was set back changes no time of day.
        self.assertEqual(NOW + 20 * HOUR, self.moves(made, replace(run, since=NOW + 99), berlin)[2])

    def test_until_a_condition(self) -> None:
        step_ = {"do": "wait_until", "when": {"clicked": "a"}, "timeout": "3d", "then": "d", "otherwise": "c"}
        made = definition(SEND, step_, {**SEND, "next": "d"}, SEND)
        clicked = Known(outcomes={("a", "clicked")})
        self.assertEqual(("b", "waiting", NOW + 3 * DAY, [("wait", "")]), self.moves(made, at("b"), Known()))
        self.assertEqual(("d", "arrived", NOW, [("branch", "then")]), self.moves(made, at("b"), clicked))
        run = at("b", phase="waiting", until=NOW + 3 * DAY)
        self.assertEqual("d", self.moves(made, run, clicked, NOW + 1)[0])
        self.assertEqual(("b", "waiting", NOW + 3 * DAY, []), self.moves(made, run, Known(), NOW + 1))
        late = self.moves(made, run, Known(), NOW + 3 * DAY)
        self.assertEqual(("c", [("branch", "otherwise")]), (late[0], late[3]))

    def test_until_a_condition_for_ever(self) -> None:
        made = definition({"do": "wait_until", "when": {"event": "x"}}, SEND)
        self.assertEqual(NEVER, self.moves(made, at("a"), Known())[2])
        self.assertEqual(
            "waiting", self.moves(made, at("a", phase="waiting", until=NEVER), Known(), NOW + 1e9)[1]
        )

    def test_quiet_hours(self) -> None:
        made = definition(SEND, quiet={"from": "21:00", "until": "08:00"})
        self.assertEqual([("send", "mail"), ("end", "finished")], self.moves(made, at("a"), Known())[3])
        # Noon in UTC is four at night in Los Angeles.
        west = Known(zone="America/Los_Angeles")
        self.assertEqual(("a", "waiting", NOW + 4 * HOUR, [("hold", "")]), self.moves(made, at("a"), west))
        held = at("a", phase="waiting", until=NOW + 4 * HOUR)
        self.assertEqual(("a", "waiting", NOW + 4 * HOUR, []), self.moves(made, held, west, NOW + HOUR))
        self.assertEqual("finished", self.moves(made, held, west, NOW + 4 * HOUR)[1])

    def test_cap(self) -> None:
        cap = {"messages": 2, "within": "1d"}
        made = definition(SEND, WAIT, cap=cap)
        known = Known(times=[NOW - 2 * DAY, NOW - 3 * HOUR, NOW - HOUR])
        self.assertEqual(
            ("a", "waiting", NOW + 21 * HOUR + 1, [("hold", "")]), self.moves(made, at("a"), known)
        )
        self.assertEqual("b", self.moves(made, at("a"), Known(times=[NOW - HOUR]))[0])
        skips = definition(SEND, WAIT, cap={**cap, "over": "skip"})
        self.assertEqual(("b", "arrived", NOW, [("skip", "")]), self.moves(skips, at("a"), known))

    def test_branch(self) -> None:
        made = definition({"do": "branch", "when": {"opened": "b"}, "then": "c"}, SEND, WAIT)
        self.assertEqual(("b", [("branch", "otherwise")]), self.moves(made, at("a"), Known())[::3])
        opened = Known(outcomes={("b", "opened")})
        self.assertEqual(("c", [("branch", "then")]), self.moves(made, at("a"), opened)[::3])

    def test_what_is_done(self) -> None:
        steps: list[dict[str, Any]] = [
            {"do": "webhook", "url": "https://app.example/"},
            {"do": "set", "attributes": {"plan": "pro"}},
            {"do": "add_to_list", "list": "news"},
            {"do": "remove_from_list", "list": "trial"},
            {"do": "notify", "template": "t"},
            {"do": "notify", "template": "t", "channel": "mail"},
            {"do": "exit", "goal": True, "reason": "done"},
        ]
        known = Known(channel="webhook")
        after, actions = advance(definition(*steps), at("a"), known, NOW)
        self.assertEqual(
            [
                ("webhook", "a", ""),
                ("set", "b", ""),
                ("add_to_list", "c", ""),
                ("remove_from_list", "d", ""),
                ("send", "e", "webhook"),
                ("send", "f", "mail"),
                ("end", "g", "goal"),
            ],
            [(one.kind, one.step, one.way) for one in actions],
        )
        self.assertEqual(("goal", "done"), (after.outcome, after.reason))
        self.assertEqual(actions, known.done)

    def test_a_look_too_many(self) -> None:
        """To look at one that waits, without a reason, changes nothing."""
        made = definition(SEND, WAIT, SEND)
        run, _ = advance(made, begin(at("a"), made, NOW), Known(), NOW)
        self.assertEqual((run, []), advance(made, run, Known(), NOW + 5))


class MovedTests(SynchronousTestCase):
    def test_waits_as_the_other_version_says(self) -> None:
        made = definition({**WAIT, "for": "5d"}, SEND)
        after = moved(at("a", phase="waiting", until=NOW + 2 * DAY), 2, made, NOW + DAY)
        self.assertEqual(
            (2, "a", "waiting", NOW + 5 * DAY), (after.version, after.step, after.phase, after.until)
        )

    def test_to_another_step(self) -> None:
        after = moved(
            at("a", phase="waiting", until=NOW + 2 * DAY), 2, definition(WAIT, SEND), NOW + DAY, "b"
        )
        self.assertEqual(("b", "arrived", NOW + DAY), (after.step, after.phase, after.since))

    def test_a_step_that_is_not_there(self) -> None:
        error = self.assertRaises(LookupError, moved, at("a"), 2, definition({**SEND, "id": "x"}), NOW)
        self.assertIn("it has x", str(error))


class BoundTests(SynchronousTestCase):
    def test_the_longest(self) -> None:
        """As many transitions as steps, at the most."""
        steps = [{"id": f"s{number}", **SEND} for number in range(200)]
        after, actions = advance(definition(*steps), at("s0"), Known(), NOW)
        self.assertEqual(("finished", 201), (after.outcome, len(actions)))
        self.assertEqual(Action("send", "s199", "mail"), actions[199])
