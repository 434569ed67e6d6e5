"""Who comes in, who is woken, what is sent, and what happens when something goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.model.event_sequence import SequenceChanged
from mta.sequence import outbox
from mta.sequence.lease import Lease
from mta.sequence.sending import Terms
from mta.sequence.stores import NoEnrolment
from tests.sequence.base import DAY, HOUR, SequenceCase, Server

SEND = {"do": "send", "template": "t"}
WAIT = {"do": "wait", "for": "2d"}
ANN, BOB = "ann@example.net", "bob@example.net"


class EntryTests(SequenceCase):
    def setUp(self) -> None:
        super().setUp()
        for address in (ANN, BOB):
            self.contact(address)

    def test_events(self) -> None:
        """With the properties that are wanted; the same event is one event."""
        self.sequence(SEND, triggers=[{"event": "signed_up", "where": {"plan": {"in": ["free", "pro"]}}}])
        self.event(ANN, "signed_up", key="1", plan="free")
        self.event(ANN, "signed_up", key="1", plan="free")
        self.event(BOB, "signed_up", plan="team")
        self.event(BOB, "other", plan="free")
        self.turn()
        self.assertEqual([("", "finished")[1:]], [run[1:] for run in self.runs(ANN)])
        self.assertEqual([], self.runs(BOB))
        (entered,) = self.said("enter")
        self.assertEqual(("event signed_up", ANN, 1), (entered.by, entered.recipient, entered.version))

    def test_what_was_before(self) -> None:
        """An event from before there was a sequence lets nobody in."""
        self.event(ANN, "signed_up")
        self.sequence(SEND, triggers=[{"event": "signed_up"}])
        self.turn()
        self.assertEqual([], self.runs(ANN))

    def test_another_tenants_event(self) -> None:
        self.contact(ANN, tenant="other")
        self.sequence(SEND, triggers=[{"event": "signed_up"}])
        self.event(ANN, "signed_up", tenant="other")
        self.turn()
        self.assertEqual([], self.runs(ANN))
        self.assertEqual([], self.runs(ANN, "other"))

    def test_lists(self) -> None:
        mailing = self.list("news")
        double = self.list("double", opt_in="double")
        self.sequence(SEND, triggers=[{"list": "news"}, {"list": "double"}])
        from mta.audience import memberships

        ann = self.done(self.audience.contacts.find("shop", ANN))
        bob = self.done(self.audience.contacts.find("shop", BOB))
        assert ann is not None and bob is not None
        self.do(lambda base: memberships.join(base, "shop", mailing, ann.id, "ann", self.server.now))
        self.do(lambda base: memberships.join(base, "shop", double, bob.id, "bob", self.server.now))
        self.turn()
        self.assertEqual(["finished"], [outcome for _, outcome in self.runs(ANN)])
        # Who has not confirmed has not joined.
        self.assertEqual([], self.runs(BOB))
        self.do(lambda base: memberships.confirm(base, double, bob.id, "bob", self.server.now))
        self.turn()
        self.assertEqual(["finished"], [outcome for _, outcome in self.runs(BOB)])

    def segment(self, **more: Any) -> None:
        from mta.audience.segments import Segment

        condition = {"attribute": "plan", "is": "pro"}
        self.done(self.audience.segments.put("shop", Segment("pros", condition=condition), self.server.now))
        self.sequence(SEND, reentry="after_end", triggers=[{"segment": "pros", **more}])

    def change(self, address: str, **attributes: Any) -> None:
        contact = self.done(self.audience.contacts.find("shop", address))
        assert contact is not None
        self.done(self.audience.contacts.set_attributes("shop", contact.id, attributes, self.server.now))

    def test_segments(self) -> None:
        """Who comes into one, and again when it has left it in between; not who was in it before."""
        self.change(ANN, plan="pro")
        self.segment()
        self.turn()
        self.assertEqual([], self.runs(ANN))
        self.change(BOB, plan="pro")
        self.turn(301)
        self.turn(301)
        self.assertEqual(1, len(self.runs(BOB)))
        self.change(BOB, plan="free")
        self.turn(301)
        self.change(BOB, plan="pro")
        self.turn(301)
        self.assertEqual(2, len(self.runs(BOB)))
        self.assertEqual([], self.runs(ANN))

    def test_those_who_are_in_a_segment(self) -> None:
        self.change(ANN, plan="pro")
        self.segment(existing=True)
        self.turn()
        self.assertEqual(1, len(self.runs(ANN)))

    def test_reentry(self) -> None:
        for reentry, first, second in (("never", 1, 1), ("after_end", 1, 2), ("always", 2, 3)):
            self.sequence(WAIT, name=reentry, reentry=reentry)
            self.enrol(ANN, name=reentry)
            (why,) = self.enrol(ANN, name=reentry)
            self.assertEqual(reentry == "always", not why, why)
            self.turn()
            mine = [one for one in self.done(self.sequences.of("shop", ANN)) if one.sequence == reentry]
            self.assertEqual(first, len(mine))
            self.turn(2 * DAY)
            self.enrol(ANN, name=reentry)
            mine = [one for one in self.done(self.sequences.of("shop", ANN)) if one.sequence == reentry]
            self.assertEqual(second, len(mine), reentry)

    def test_requests(self) -> None:
        self.sequence(SEND)
        self.assertEqual(["there is no such contact"], self.enrol("nobody@example.net"))
        self.done(self.sequences.pause("shop", "s", "holidays", self.server.now, "ann"))
        self.assertEqual(["it is paused: holidays"], self.enrol(ANN))


class WayTests(SequenceCase):
    def test_counted(self) -> None:
        """Who went which way, in the transaction in which they go; forgotten with the sequence."""
        self.contact(ANN, attributes={"plan": "pro"})
        self.contact(BOB)
        condition = {"attribute": "plan", "is": "pro"}
        step = {"id": "if", "do": "branch", "when": condition, "then": "t", "otherwise": "o"}
        self.sequence(step, {**SEND, "id": "t", "next": "o"}, {**WAIT, "id": "o"})
        self.enrol(ANN)
        self.enrol(BOB)
        self.turn()
        found = {(one.step, one.way): one.count for one in self.done(self.sequences.ways("shop", "s"))}
        wanted = {("if", "enter"): 2, ("if", "then"): 1, ("if", "otherwise"): 1, ("t", "sent"): 1}
        self.assertEqual(wanted, found)
        self.assertEqual([], self.done(self.sequences.ways("other", "s")))
        self.done(self.sequences.remove("shop", "s", self.server.now, "ann"))
        self.assertEqual([], self.done(self.sequences.ways("shop", "s")))


class TurnTests(SequenceCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann, self.bob = self.contact(ANN, name="Ann"), self.contact(BOB)

    def test_what_is_sent(self) -> None:
        self.server.term = Terms("", True, False, "https://mail.example")
        self.sequence({**SEND, "subject": "Hi", "tags": ["a"], "data": {"x": 1}}, WAIT, SEND)
        self.enrol(ANN, order=7)
        self.turn()
        (plan,) = self.server.plans
        (person,) = plan.people
        self.assertEqual(("Ann", {"order": 7}), (person.data["name"], person.data["event"]))
        self.assertEqual(
            ("s", ("a",), "", True, False),
            (plan.campaign, plan.tags, plan.unsubscribe, plan.clicks, plan.opens),
        )
        self.assertEqual({"x": 1, "sequence": "s", "step": "a"}, plan.data)
        self.assertEqual(("Hi", "t"), (plan.template().parts.subject, "t"))
        (sent,) = self.said("send")
        self.assertEqual((self.server.mail[0][0], "the sequence"), (sent.message, sent.by))
        self.turn(2 * DAY - 1)
        self.assertEqual(["a"], self.steps())
        self.turn(1)
        self.assertEqual(["a", "c"], self.steps())

    def test_pieces(self) -> None:
        """More than one piece holds; and more messages than there are ids for at once."""
        self.runner = self.started(piece=3)
        people = [f"p{number}@example.net" for number in range(20)]
        for one in people:
            self.contact(one)
        self.sequence(*([SEND] * 8))
        self.enrol(*people)
        self.turn()
        self.assertEqual(160, len(self.server.mail))
        by_person = {one: [step for _, to, step in self.server.mail if to == one] for one in people}
        self.assertEqual({"abcdefgh"}, {"".join(steps) for steps in by_person.values()})

    def test_attributes_wake(self) -> None:
        """A condition on an attribute is seen when it changes, not at the next timer."""
        self.sequence(WAIT, SEND, exits=[{"when": {"attribute": "vip", "is": True}, "goal": True}])
        self.enrol(ANN)
        self.turn()
        self.done(self.audience.contacts.set_attributes("shop", self.ann.id, {"vip": True}, self.server.now))
        self.turn()
        self.assertEqual([("a", "goal")], self.runs(ANN))

    def test_opens_wake(self) -> None:
        wait = {"do": "wait_until", "when": {"opened": "a"}, "then": "c", "otherwise": "c"}
        self.sequence(SEND, wait, {**SEND, "template": "u"})
        self.enrol(ANN)
        self.turn()
        message = self.server.mail[0][0]
        record = self.audience.facts.record
        self.done(record("shop", self.ann.id, "opened", self.server.now, message="another"))
        self.done(
            record(
                "shop",
                self.ann.id,
                "opened",
                self.server.now,
                message=message,
                properties={"sort": "scanner"},
            )
        )
        self.turn()
        self.assertEqual([("b", "")], self.runs(ANN))
        self.done(record("shop", self.ann.id, "opened", self.server.now, message=message))
        self.turn()
        self.assertEqual(["a", "c"], self.steps())

    def test_steps_that_change(self) -> None:
        self.list("news")
        self.sequence(
            {"do": "set", "attributes": {"seen": True}},
            {"do": "add_to_list", "list": "news"},
            {"do": "add_to_list", "list": "nowhere"},
            {
                "do": "branch",
                "when": {"all": [{"attribute": "seen", "is": True}, {"list": "news"}]},
                "then": "f",
            },
            {"do": "exit"},
            SEND,
        )
        self.enrol(ANN)
        self.turn()
        self.assertEqual(["f"], self.steps())
        self.assertEqual(["there is no list nowhere"], [one.reason for one in self.said("skip")])

    def test_who_has_unsubscribed(self) -> None:
        """Before the step, and between the step and the sending."""
        self.sequence(SEND, WAIT, SEND)
        self.enrol(ANN, BOB)
        self.server.suppressed[ANN] = "it has unsubscribed"
        self.turn()
        self.assertEqual([BOB], [address for _, address, _ in self.server.mail])
        self.assertEqual([("a", "left")], self.runs(ANN))

        async def late(waiting: Any) -> dict[int, str]:
            return {}

        self.runner._barred = late
        self.server.suppressed[BOB] = "it has unsubscribed"
        self.turn(2 * DAY)
        self.assertEqual(1, len(self.server.mail))
        self.assertIn("it has unsubscribed", [one.reason for one in self.said("skip")])

    def test_mail_that_came_back(self) -> None:
        """Gets no more, and goes on: there may be something else to do."""
        wait = {"do": "wait", "for": "1d"}
        branch = {"do": "branch", "when": {"bounced": "a"}, "then": "e", "otherwise": "d"}
        hook = {"do": "webhook", "url": "https://app.example/"}
        self.sequence(SEND, wait, branch, SEND, hook)
        self.enrol(ANN)
        self.turn()
        message = self.server.mail[0][0]
        self.done(
            self.audience.facts.record("shop", self.ann.id, "bounced", self.server.now, message=message)
        )
        self.server.bounced.add(ANN)
        self.turn(DAY)
        self.assertEqual(["a"], self.steps())
        self.assertEqual(1, len(self.server.posts))

    def test_who_has_left_the_list(self) -> None:
        from mta.audience import memberships

        mailing = self.list("news")
        self.sequence(WAIT, SEND, list="news")
        self.enrol(ANN)
        self.turn()
        self.do(lambda base: memberships.join(base, "shop", mailing, self.ann.id, "x", self.server.now))
        self.turn()
        self.assertEqual([("a", "")], self.runs(ANN))
        self.do(lambda base: memberships.leave(base, "shop", mailing, self.ann.id, "x", self.server.now))
        self.turn()
        self.assertEqual([("a", "left")], self.runs(ANN))

    def test_who_is_erased(self) -> None:
        self.server.busy = True
        self.sequence(SEND, WAIT)
        self.enrol(ANN)
        self.turn()
        self.done(self.audience.contacts.erase("shop", ANN, self.server.now))
        self.server.busy = False
        self.turn(2 * DAY)
        self.assertEqual([], self.server.mail)
        for table in ("enrolments", "sequence_outbox", "sequence_sends"):
            self.assertEqual(
                (0,), self.do(lambda base, t=table: base.execute(f"SELECT count(*) FROM {t}").fetchone())
            )  # type: ignore[misc]

    def test_cap(self) -> None:
        """Of all sequences together."""
        self.sequence(SEND, name="one")
        self.sequence(SEND, name="two", cap={"messages": 1, "within": "1d"})
        self.enrol(ANN, name="one")
        self.turn()
        self.enrol(ANN, name="two")
        self.turn(HOUR)
        self.assertEqual(1, len(self.server.mail))
        (held,) = self.said("hold")
        self.assertIn("1 messages", held.reason)
        self.turn(23 * HOUR + 1)
        self.assertEqual(2, len(self.server.mail))

    def test_pause(self) -> None:
        self.sequence(WAIT, SEND)
        self.enrol(ANN)
        self.turn()
        self.done(self.sequences.pause("shop", "s", "", self.server.now, "ann"))
        self.turn(3 * DAY)
        self.event(ANN, "anything")
        self.turn()
        self.assertEqual([], self.server.mail)
        self.done(self.sequences.resume("shop", "s", self.server.now, "ann"))
        self.turn()
        self.assertEqual(["b"], self.steps())
        changes = [(one.action, one.by) for one in self.server.told if isinstance(one, SequenceChanged)]
        self.assertEqual([("changed", "ann"), ("paused", "ann"), ("resumed", "ann")], changes)

    def test_versions(self) -> None:
        """Who is in it keeps the version; unless it is moved."""
        self.sequence(WAIT, SEND)
        self.enrol(ANN, BOB)
        self.turn()
        self.sequence({"do": "wait", "for": "5d"}, {**SEND, "id": "z"})
        moved = self.done(self.sequences.move_all("shop", "s", 1, 2, self.server.now, "ann", 0, 1))
        self.assertEqual((1, 0), moved[:2])
        self.turn(2 * DAY)
        self.assertEqual(["b"], self.steps())
        self.turn(3 * DAY)
        self.assertEqual(["b", "z"], self.steps())

    def test_moved_and_taken_out(self) -> None:
        self.sequence(WAIT, SEND, WAIT)
        self.enrol(ANN, BOB)
        self.turn()
        first, second = (self.done(self.sequences.of("shop", one))[0] for one in (ANN, BOB))
        self.done(self.sequences.move("shop", "s", first.id, 0, "b", self.server.now, "ann"))
        self.done(self.sequences.unenrol("shop", "s", second.id, self.server.now, "ann", "asked"))
        self.turn()
        self.assertEqual(["b"], self.steps())
        self.assertEqual([("a", "removed")], self.runs(BOB))
        self.assertRaises(
            NoEnrolment, self.done, self.sequences.unenrol("shop", "s", second.id, 0.0, "ann", "")
        )
        self.assertRaises(NoEnrolment, self.done, self.sequences.enrolment("other", "s", first.id))
        (end,) = self.said("end")
        self.assertEqual(("ann", "asked"), (end.by, end.reason))

    def test_a_sequence_that_is_gone(self) -> None:
        self.sequence(WAIT, SEND)
        self.enrol(ANN)
        self.done(self.sequences.remove("shop", "s", self.server.now, "ann"))
        self.turn(3 * DAY)
        self.assertEqual(([], []), (self.server.mail, self.runs(ANN)))
        # One of this name is another one.
        self.sequence({**SEND, "template": "u"})
        self.enrol(BOB)
        self.turn()
        self.assertEqual("u", self.server.plans[0].template().parts.subject)


class TimerTests(SequenceCase):
    """On a clock that the runner sets its own timers by."""

    def setUp(self) -> None:
        super().setUp()
        self.contact(ANN)
        self.clock = Clock()
        self.clock.advance(self.server.now)
        self.server.seconds = self.clock.seconds  # type: ignore[method-assign]
        self.server.callLater = self.clock.callLater  # type: ignore[attr-defined]
        self.runner = self.started()
        self.runner.start()
        self.addCleanup(lambda: self.done(self.runner.stop()))
        self.pass_by(3)

    def pass_by(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.clock.advance(1)
        self.server.now = self.clock.seconds()

    def test_woken(self) -> None:
        """What is done here is seen at once."""
        self.sequence(SEND)
        self.enrol(ANN)
        self.runner.wake()
        self.clock.advance(0)
        self.assertEqual(["a"], self.steps())

    def test_timers(self) -> None:
        self.sequence({"do": "wait", "for": "90s"}, SEND)
        self.enrol(ANN)
        self.pass_by(89)
        self.assertEqual([], self.steps())
        self.pass_by(4)
        self.assertEqual(["b"], self.steps())

    def test_stopped_in_the_midst(self) -> None:
        """What is being taken is on disk before another worker may ask for it."""
        taking: Deferred[None] = Deferred()
        take = self.server.take

        async def slowly(plan: Any, people: Any) -> Any:
            await taking
            return await take(plan, people)

        self.server.take = slowly  # type: ignore[method-assign]
        self.sequence(SEND)
        self.enrol(ANN)
        self.pass_by(2)
        stopping = Deferred.fromCoroutine(self.runner.stop())
        self.assertTrue(self.runner._lease.held)
        self.assertNoResult(stopping)
        taking.callback(None)
        self.successResultOf(stopping)
        self.assertFalse(self.runner._lease.held)
        self.assertEqual(["a"], self.steps())
        self.assertEqual([], self.do(lambda base: outbox.due(base, 1e12, 10, True)))

    def test_another_has_the_lease(self) -> None:
        """Nothing is done by the second; when the first ends, it takes over."""
        self.sequence({"do": "wait", "for": "10s"}, SEND)
        self.enrol(ANN)
        second = self.started()
        second._lease = Lease(self.runner._lease._path)
        second.start()
        self.addCleanup(lambda: self.done(second.stop()))
        self.pass_by(6)
        self.assertFalse(second._lease.held)
        self.done(self.runner.stop())
        self.pass_by(20)
        self.assertTrue(second._lease.held)
        self.assertEqual(["b"], self.steps())


class TroubleTests(SequenceCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann, self.bob = self.contact(ANN), self.contact(BOB)

    def test_nothing_can_be_taken(self) -> None:
        self.server.busy = True
        self.sequence(SEND)
        self.enrol(ANN)
        self.turn()
        self.assertEqual([], self.server.mail)
        self.server.busy = False
        self.turn(60)
        self.assertEqual(["a"], self.steps())

    def test_a_template_that_is_not_there(self) -> None:
        """Who makes it within three days has lost nothing."""
        self.sequence({**SEND, "template": "later"}, {**SEND, "template": "never"})
        self.enrol(ANN)
        self.turn()
        self.server.templates.add("later")
        for _ in range(80):
            self.turn(HOUR)
        self.assertEqual(["a"], self.steps())
        (skip,) = self.said("skip")
        self.assertIn("there is no template never", skip.reason)
        self.assertEqual([], self.do(lambda base: outbox.due(base, 1e12, 10, True)))

    def test_a_quota(self) -> None:
        """Tried again when the tenant may send again, not later."""
        self.server.term = Terms("it may send no more today", again=7200.0)
        self.sequence(SEND)
        self.enrol(ANN)
        self.turn()
        self.server.term = Terms()
        self.turn(7199)
        self.assertEqual([], self.server.mail)
        self.turn(1)
        self.assertEqual(["a"], self.steps())

    def test_nothing_new_costs_no_write(self) -> None:
        """A turn without a reason writes nothing down."""
        self.sequence(WAIT, SEND)
        self.enrol(ANN)
        self.turn()
        self.turn(20)
        commits = self.runner.commits
        self.turn(20)
        self.assertEqual(commits, self.runner.commits)

    def test_refused(self) -> None:
        self.server.refused[ANN] = "550 no"
        self.sequence(SEND, SEND)
        self.enrol(ANN, BOB)
        self.turn()
        self.assertEqual([BOB, BOB], [address for _, address, _ in self.server.mail])
        self.assertEqual({"refused: 550 no"}, {one.reason for one in self.said("skip")})

    def test_bought_while_it_waited(self) -> None:
        self.server.busy = True
        self.sequence(SEND, WAIT, exits=[{"when": {"event": "purchase"}, "goal": True}])
        self.enrol(ANN)
        self.turn()
        self.event(ANN, "purchase")
        self.turn()
        self.server.busy = False
        self.turn(HOUR)
        self.assertEqual([], self.server.mail)

    def test_another_worker(self) -> None:
        """It asks the journal for what was left, and sends the rest under ids of its own."""
        self.sequence(SEND, WAIT)
        self.enrol(ANN, BOB)

        async def dies(limit: int) -> int:
            raise KeyboardInterrupt

        self.runner._sending.piece = dies  # type: ignore[method-assign]
        self.assertRaises(KeyboardInterrupt, self.done, self.runner.turn())
        first = self.do(lambda base: outbox.due(base, 1e12, 10, True))
        self.assertEqual(2, len(first))
        other = Server(shard=3)
        other.journal.add(first[0].id)
        self.runner = self.started(other, shard=3)
        self.server = other
        self.turn()
        self.assertEqual([BOB], [address for _, address, _ in other.mail])
        self.assertNotEqual(first[1].id, other.mail[0][0])
        run = self.done(self.sequences.of("shop", BOB))[0]
        self.assertEqual({"a": other.mail[0][0]}, run.messages)

    def test_the_clock(self) -> None:
        """Far ahead by mistake, and back: what was done stays done, spans begin anew."""
        self.sequence(WAIT, SEND, WAIT, SEND)
        self.enrol(ANN)
        self.turn()
        self.turn(3650 * DAY)
        self.assertEqual(["b"], self.steps())
        self.turn(-3650 * DAY)
        self.turn(2 * DAY - 1)
        self.assertEqual(["b"], self.steps())
        self.turn(2)
        self.assertEqual(["b", "d"], self.steps())

    def test_one_that_breaks(self) -> None:
        """Does not keep the others."""
        self.sequence(SEND)
        self.enrol(ANN, BOB)
        run = self.done(self.sequences.of("shop", ANN))[0]
        self.do(
            lambda base: base.execute("UPDATE enrolments SET version = 9 WHERE id = ?", (run.id,)).rowcount
        )
        self.turn()
        self.assertEqual([BOB], [address for _, address, _ in self.server.mail])
        self.assertEqual([("a", "removed")], self.runs(ANN))

    def test_the_journal_is_told_once(self) -> None:
        self.sequence(SEND)
        self.enrol(ANN)
        self.turn()
        count = len(self.server.told)
        self.turn(11)
        self.turn(11)
        self.assertEqual(count, len(self.server.told))
        query = "SELECT count(*) FROM sequence_told"
        self.assertEqual((0,), self.do(lambda base: base.execute(query).fetchone()))


class PostTests(SequenceCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann = self.contact(ANN)

    def test_retried_under_one_id(self) -> None:
        self.sequence({"do": "webhook", "endpoint": "we_1", "data": {"x": 1}})
        self.server.status = 503
        self.enrol(ANN, order=7)
        self.turn()
        self.server.status = 200
        self.turn(5)
        self.turn(HOUR)
        self.assertEqual(2, len(self.server.posts))
        self.assertEqual(1, len({identifier for _, _, identifier, _ in self.server.posts}))
        endpoint, _, _, body = self.server.posts[0]
        told = json.loads(body)
        self.assertEqual(("we_1", "sequence.webhook"), (endpoint, told["type"]))
        self.assertEqual(
            ({"x": 1}, {"order": 7}, ANN),
            (told["data"]["data"], told["data"]["event"], told["data"]["contact"]["email"]),
        )
        self.assertEqual(["503 said", "taken: 200 said"], [one.reason for one in self.said("post")])

    def test_given_up(self) -> None:
        self.sequence({"do": "webhook", "url": "https://app.example/"})
        self.server.status = 410
        self.enrol(ANN)
        self.turn()
        self.turn(DAY)
        self.assertEqual(1, len(self.server.posts))
        self.assertEqual(["given up: 410 said"], [one.reason for one in self.said("post")])

    def test_notification(self) -> None:
        """By the channel that the person has chosen."""
        self.contact(BOB, channel="webhook", webhook="https://chat.example/bob")
        self.sequence({"do": "notify", "template": "t"})
        self.enrol(ANN, BOB)
        self.turn()
        self.assertEqual([ANN], [address for _, address, _ in self.server.mail])
        (_, url, _, body) = self.server.posts[0]
        self.assertEqual(("https://chat.example/bob", "t"), (url, json.loads(body)["data"]["subject"]))
        # It is what the person asked for: there is no list that it could leave.
        self.assertIsNone(self.server.plans[0].unsubscribe)


class LeaseTests(SynchronousTestCase):
    def test_one_has_it(self) -> None:
        path = Path(self.mktemp())
        first, second = Lease(path), Lease(path)
        self.assertTrue(first.take())
        self.assertFalse(second.take())
        first.give_back()
        self.assertTrue(second.take())
        self.assertTrue(second.held)
        second.give_back()
