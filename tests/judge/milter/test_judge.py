"""The judge of kind ``milter`` with a filter in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.judge.milter.connections import REST
from mta.judge.milter.packets import Packet
from mta.judge.pipeline import Pipeline
from mta.model.change import AddField, ChangeSender, InsertField, ReplaceBody
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.facts import Facts
from mta.model.message import BLOCK, InlineContent
from mta.model.verdict import Verdict
from tests.judge.milter.filters import CONTINUE, MemoryFilter, judge_with, options

HEADER = b"From: a@b.test\r\nSubject: x\r\n"
ADD = Packet(b"h", b"X-Seen\0yes\0")


class Session:
    """One SMTP session in front of judges.

    :ivar envelope: of the transaction.
    """

    def __init__(self, test: SynchronousTestCase, judge: Any, number: int = 1, **client: Any) -> None:
        self._test = test
        self.judge = judge
        self.client = Client(f"s{number}", address="192.0.2.1", port=25, **client)
        self.envelope = Envelope("a@b.test")

    def start(self, stage: Any, **facts: Any) -> Deferred[Verdict]:
        return Deferred.fromCoroutine(self.judge.judge(stage, Facts(self.client, **facts)))

    def at(self, stage: Any, **facts: Any) -> Verdict:
        return self._test.successResultOf(self.start(stage, **facts))

    def hello(self) -> Session:
        assert self.at("connect").action == "pass"
        self.client.helo = "client.test"
        assert self.at("hello").action == "pass"
        return self

    def begin(self, *addresses: str) -> Session:
        assert self.at("mail", envelope=self.envelope).action == "pass"
        for address in addresses:
            one = Recipient(address)
            assert self.at("recipient", envelope=self.envelope, recipient=one).action == "pass"
            self.envelope.recipients.append(one)
        return self

    def content(self, body: bytes = b"hello\r\n") -> Facts:
        content = InlineContent(HEADER + b"\r\n" + body)
        return Facts(self.client, self.envelope, None, HEADER, content, id="0abc")

    def message(self, body: bytes = b"hello\r\n") -> Verdict:
        facts = self.content(body)
        return self._test.successResultOf(Deferred.fromCoroutine(self.judge.judge("message", facts)))


class MilterTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1.8e9)
        self.filter = MemoryFilter()

    def session(self, number: int = 1, **settings: Any) -> Session:
        return Session(self, judge_with(self.filter, self.clock, **settings), number)


class StageTests(MilterTestCase):
    def test_all_of_a_session(self) -> None:
        """Each step once and in order, with its macros."""
        session = self.session().hello().begin("ann@x.test", "ben@x.test")
        self.assertEqual("pass", session.message(b"one\r\n" * 20_000).action)
        self.assertEqual("OCHMRRTLLNBBE", self.filter.commands)
        self.assertEqual(b"client.test\0", self.filter.heard[2].payload)
        self.assertEqual(b"Subject\0x\0", self.filter.heard[8].payload)
        body = b"".join(packet.payload for packet in self.filter.heard if packet.command == b"B")
        self.assertEqual(b"one\r\n" * 20_000, body)
        self.assertEqual("192.0.2.1", self.filter.macros["C"]["{client_addr}"])
        self.assertEqual("ben@x.test", self.filter.macros["R"]["{rcpt_addr}"])
        self.assertEqual({"i": "0abc"}, self.filter.macros["E"])
        session.envelope = Envelope("c@d.test")
        session.begin("ann@x.test").message()
        self.assertTrue(self.filter.commands.endswith("EMRTLLNBE"))
        session.judge.closed(session.client)
        self.assertEqual("K", self.filter.commands[-1])

    def test_refusals(self) -> None:
        """At each step, in its words or in ours."""
        for letter, stage in ((b"C", "connect"), (b"H", "hello"), (b"M", "mail"), (b"R", "recipient")):
            for answer, action, code in (
                (Packet(b"r"), "reject", None),
                (Packet(b"t"), "defer", None),
                (Packet(b"y", b"550 5.7.1 No\0"), "reject", 550),
                (Packet(b"y", b"450 4.7.1 No\0"), "defer", 450),
                (Packet(b"4"), "defer", 421),
            ):
                self.filter = MemoryFilter()
                self.filter.answers[letter] = [Packet(b"p"), answer]
                session = self.session()
                session.client.helo = "client.test"
                facts: dict[str, Any] = {}
                if stage in ("mail", "recipient"):
                    facts = {"envelope": session.envelope}
                if stage == "recipient":
                    facts["recipient"] = Recipient("ann@x.test")
                verdict = session.at(stage, **facts)
                self.assertEqual((action, f"milter.{stage}"), (verdict.action, verdict.rule))
                self.assertEqual(code, verdict.reply.code if verdict.reply else None)

    def test_refusals_of_content(self) -> None:
        """The transaction is taken back, and the next one goes on."""
        for letter, rule in (
            (b"T", "milter.data"),
            (b"L", "milter.header"),
            (b"N", "milter.end-of-header"),
            (b"B", "milter.body"),
            (b"E", "milter.end-of-message"),
        ):
            self.filter = MemoryFilter()
            session = self.session().hello().begin("ann@x.test")
            self.filter.answers[letter] = [Packet(b"y", b"554 5.7.1 Spam\0")]
            verdict = session.message()
            self.assertEqual(("reject", rule), (verdict.action, verdict.rule))
            self.assertEqual(
                "" if letter == b"E" else "A", self.filter.commands.partition(letter.decode())[2]
            )
            del self.filter.answers[letter]
            session.envelope = Envelope("a@b.test")
            self.assertEqual("pass", session.begin("ann@x.test").message().action)

    def test_accepted_early(self) -> None:
        """It hears no more of what it has accepted: the session, or the message."""
        for letter, heard in (
            (b"C", "OC"),
            (b"H", "OCH"),
            (b"M", "OCHMA"),
            (b"R", "OCHMRA"),
            (b"L", "OCHMRTLA"),
        ):
            self.filter = MemoryFilter()
            self.filter.answers[letter] = [Packet(b"a")]
            session = self.session().hello().begin("ann@x.test")
            self.assertEqual("pass", session.message().action)
            self.assertEqual(heard, self.filter.commands.replace("Q", ""))

    def test_discarded(self) -> None:
        """Said of a recipient or of the content, it is true when the content is there."""
        for letter in (b"M", b"R", b"T", b"E"):
            self.filter = MemoryFilter()
            self.filter.answers[letter] = [Packet(b"d")]
            verdict = self.session().hello().begin("ann@x.test").message()
            self.assertEqual("discard", verdict.action)

    def test_unwanted_and_silent_steps(self) -> None:
        self.filter.answers[b"O"] = [options(protocol=0x1 | 0x2 | 0x10 | 0x20 | 0x40 | 0x200)]
        self.session().hello().begin("ann@x.test").message()
        self.assertEqual("OMRE", self.filter.commands)
        self.filter = MemoryFilter()
        self.filter.answers = {letter.encode(): None for letter in "CHMRTLNB"}
        self.filter.answers[b"O"] = [options(protocol=0x80 | 0x1F000 | 0xC0000)]
        self.filter.answers[b"E"] = [ADD, CONTINUE]
        verdict = self.session().hello().begin("ann@x.test").message()
        self.assertEqual((AddField("X-Seen", "yes"),), verdict.changes)
        self.assertEqual("OCHMRTLLNBE", self.filter.commands)

    def test_skip(self) -> None:
        """It has seen enough of the body, and still changes the message at its end."""
        self.filter.answers.update({b"B": [Packet(b"s")], b"E": [ADD, CONTINUE]})
        verdict = self.session().hello().begin("ann@x.test").message(b"x" * 200_000)
        self.assertEqual(1, self.filter.commands.count("B"))
        self.assertEqual(1, len(verdict.changes))

    def test_changes(self) -> None:
        """All of them in order, the body last; a quarantine holds the message."""
        self.filter.answers[b"E"] = [
            Packet(b"p"),
            Packet(b"b", b"new "),
            ADD,
            Packet(b"p"),
            Packet(b"i", b"\0\0\0\x01A\0 b\0"),
            Packet(b"b", b"body"),
            Packet(b"e", b"<>\0"),
            Packet(b"q", b"why not\0"),
            Packet(b"a"),
        ]
        verdict = self.session().hello().begin("ann@x.test").message()
        expected = (
            AddField("X-Seen", "yes"),
            InsertField("A", " b"),
            ChangeSender(""),
            ReplaceBody(b"new body"),
        )
        self.assertEqual(("hold", "why not", expected), (verdict.action, verdict.reason, verdict.changes))

    def test_roles(self) -> None:
        session = self.session(roles=["submission"]).hello().begin("ann@x.test")
        self.assertEqual(("pass", ""), (session.message().action, self.filter.commands))


class SeveralTests(MilterTestCase):
    def test_in_a_row(self) -> None:
        """The second sees what the first has changed, the envelope too."""
        second = MemoryFilter()
        self.filter.answers[b"E"] = [
            ADD,
            Packet(b"+", b"<new@x.test>\0"),
            Packet(b"-", b"<ben@x.test>\0"),
            Packet(b"b", b"other\n"),
            CONTINUE,
        ]
        judges = [("one", judge_with(self.filter, self.clock)), ("two", judge_with(second, self.clock))]
        session = Session(self, Pipeline(judges)).hello().begin("ann@x.test", "ben@x.test")
        facts = session.content()
        self.successResultOf(Deferred.fromCoroutine(session.judge.judge("message", facts)))
        self.assertEqual("OCHMRRAMRRTLLLNBE", second.commands)
        told = [packet.payload for packet in second.heard if packet.command in b"RLB"]
        self.assertEqual(b"<new@x.test>\0NOTIFY=NEVER\0", told[3])
        self.assertIn(b"X-Seen\0yes\0", told)
        self.assertEqual(b"other\r\n", told[-1])
        self.assertEqual(
            HEADER + b"X-Seen: yes\r\n\r\nother\r\n", facts.content.read() if facts.content else b""
        )

    def test_refused_by_another(self) -> None:
        """A recipient that somebody else refused is not one of the message."""
        session = self.session().hello().begin("ann@x.test", "ben@x.test")
        session.envelope.recipients.pop(0)
        session.message()
        self.assertEqual("OCHMRRAMRTLLNBE", self.filter.commands)


class TroubleTests(MilterTestCase):
    ACTIONS = (
        ("tempfail", "defer", 451),
        ("reject", "reject", 554),
        ("accept", "pass", 0),
        ("quarantine", "hold", 0),
    )

    def test_default_action(self) -> None:
        """What becomes of a message when the filter dies, whenever it does; each time with the reason."""
        for setting, action, code in self.ACTIONS:
            for letter in (b"O", b"C", b"M", b"R", b"T", b"L", b"B", b"E"):
                self.filter = MemoryFilter()
                self.filter.answers[letter] = lambda payload: self.filter.kill() or []  # type: ignore[func-returns-value]
                session = self.session(default_action=setting)
                session.client.helo = "client.test"
                verdict = session.at("connect")
                if verdict.action == "pass":
                    verdict = session.at("mail", envelope=session.envelope)
                if verdict.action == "pass":
                    one = Recipient("ann@x.test")
                    verdict = session.at("recipient", envelope=session.envelope, recipient=one)
                    session.envelope.recipients.append(one)
                if verdict.action == "pass":
                    verdict = session.message()
                self.assertEqual(
                    (action, setting), (verdict.action, verdict.evidence["default_action"]), letter
                )
                self.assertEqual(code, verdict.reply.code if verdict.reply else 0)
                self.assertEqual([], self.filter.connections)

    def test_back_in_time(self) -> None:
        """A filter that is back when the content is there is told everything."""
        for setting in ("accept", "quarantine"):
            self.filter = MemoryFilter()
            self.filter.up = False
            session = self.session(default_action=setting).hello().begin("ann@x.test")
            self.filter.up = True
            self.filter.answers[b"E"] = [Packet(b"r")]
            self.assertEqual("reject", session.message().action)
            self.assertEqual("OCHMRTLLNBE", self.filter.commands)

    def test_restarted(self) -> None:
        session = self.session().hello().begin("ann@x.test")
        self.filter.kill()
        self.filter.up = True
        self.assertEqual("pass", session.message().action)
        self.assertEqual("OCHMROCHMRTLLNBE", self.filter.commands)

    def test_silent(self) -> None:
        """Nobody waits longer than configured, and not everybody in turn."""
        self.filter.answers[b"M"] = None
        session = self.session(command_timeout=5).hello()
        waiting = session.start("mail", envelope=session.envelope)
        self.clock.advance(4)
        self.assertNoResult(waiting)
        self.clock.advance(2)
        verdict = self.successResultOf(waiting)
        self.assertEqual(("defer", 451), (verdict.action, verdict.reply.code if verdict.reply else 0))
        self.assertIn("silent for 5 seconds", verdict.evidence["failed"])
        self.assertEqual([], self.filter.connections)
        other = Session(self, session.judge, 2).hello()
        self.assertEqual("defer", other.at("mail", envelope=other.envelope).action)
        self.assertEqual(1, self.filter.dialled)
        self.clock.advance(REST)
        del self.filter.answers[b"M"]
        self.assertEqual("pass", Session(self, session.judge, 3).hello().begin("ann@x.test").message().action)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_progress(self) -> None:
        """A sign of life is time; silence afterwards is not."""
        self.filter.answers[b"E"] = [Packet(b"p")]
        session = self.session(content_timeout=10).hello().begin("ann@x.test")
        waiting = Deferred.fromCoroutine(session.judge.judge("message", session.content()))
        transport = self.filter.connections[0]
        for _ in range(5):
            self.clock.advance(8)
            self.assertNoResult(waiting)
            transport._protocol.dataReceived(Packet(b"p").encode())
        self.clock.advance(11)
        self.assertEqual("defer", self.successResultOf(waiting).action)

    def test_cannot_be_reached_in_time(self) -> None:
        self.filter.up = None
        session = self.session(connect_timeout=3)
        waiting = session.start("connect")
        self.clock.advance(4)
        self.assertEqual("pass", self.successResultOf(waiting).action)
        self.clock.advance(REST)
        waiting = session.start("mail", envelope=session.envelope)
        self.clock.advance(4)
        self.assertIn("within 3 seconds", self.successResultOf(waiting).evidence["failed"])

    def test_does_not_read(self) -> None:
        """A body is not piled up in front of a filter that does not take it."""
        self.filter.answers[b"O"] = [options(protocol=0x80000)]
        session = self.session(content_timeout=10).hello().begin("ann@x.test")
        transport = self.filter.connections[0]
        transport.producer.pauseProducing()
        waiting = Deferred.fromCoroutine(session.judge.judge("message", session.content(b"x" * BLOCK)))
        self.assertNoResult(waiting)
        self.assertNotIn("B", self.filter.commands)
        transport.producer.resumeProducing()
        self.assertEqual("pass", self.successResultOf(waiting).action)
        session.envelope = Envelope("a@b.test")
        session.begin("ann@x.test")
        transport.producer.pauseProducing()
        waiting = Deferred.fromCoroutine(session.judge.judge("message", session.content()))
        self.clock.advance(11)
        self.assertEqual("defer", self.successResultOf(waiting).action)

    def test_nonsense(self) -> None:
        for letter, answer in (
            (b"O", [CONTINUE]),
            (b"C", [Packet(b"h", b"A\0b\0")]),
            (b"M", [Packet(b"s")]),
            (b"E", [Packet(b"s")]),
            (b"E", [Packet(b"h", b"A")]),
            (b"E", [Packet(b"b", b"x" * (1 << 19))] * 200),
        ):
            self.filter = MemoryFilter()
            self.filter.answers[letter] = answer
            session = self.session(default_action="accept").hello().begin("ann@x.test")
            verdict = session.message()
            self.assertIn("failed", verdict.evidence, answer[0])


class ReuseTests(MilterTestCase):
    def test_reused(self) -> None:
        """Where libmilter takes it: directly behind a message without objection."""
        judge = judge_with(self.filter, self.clock)
        for number in range(3):
            session = Session(self, judge, number).hello().begin("ann@x.test")
            session.message()
            judge.closed(session.client)
        self.assertEqual((1, 3), (self.filter.dialled, self.filter.commands.count("K")))
        for answer in (Packet(b"a"), Packet(b"r")):
            self.filter.answers[b"E"] = [answer]
            session = Session(self, judge, 9).hello().begin("ann@x.test")
            session.message()
            judge.closed(session.client)
            self.assertEqual("Q", self.filter.commands[-1])

    def test_not_reused(self) -> None:
        for settings, version in (({"reuse": False}, 6), ({}, 5)):
            self.filter = MemoryFilter()
            self.filter.answers[b"O"] = [options(version=version)]
            session = self.session(**settings).hello().begin("ann@x.test")
            session.message()
            session.judge.closed(session.client)
            self.assertEqual("Q", self.filter.commands[-1])
            self.assertEqual([], self.filter.connections)

    def test_closed_meanwhile(self) -> None:
        """A free connection that the filter has closed is no failure, not even while it is taken."""
        judge = judge_with(self.filter, self.clock)
        session = Session(self, judge, 1).hello().begin("ann@x.test")
        session.message()
        judge.closed(session.client)
        self.filter.answers[b"C"] = lambda payload: self.once()
        self.assertEqual("pass", Session(self, judge, 2).at("connect").action)
        self.assertEqual(2, self.filter.dialled)

    def once(self) -> list[Packet]:
        del self.filter.answers[b"C"]
        self.filter.connections[0].abortConnection()
        return []

    def test_idle(self) -> None:
        """It is closed after a while, and when the server stops."""
        for stop in (False, True):
            self.filter = MemoryFilter()
            session = self.session(idle=7).hello().begin("ann@x.test")
            session.message()
            session.judge.closed(session.client)
            self.assertEqual(1, len(self.filter.connections))
            if stop:
                session.judge.stop()
            else:
                self.clock.advance(8)
            self.assertEqual([], self.filter.connections)
            self.assertEqual([], self.clock.getDelayedCalls())

    def test_session_ends_while_asked(self) -> None:
        """The message that is complete is judged all the same, and nothing stays open."""
        self.filter.answers[b"E"] = None
        judge = judge_with(self.filter, self.clock, reuse=False)
        pipeline = Pipeline([("milter", judge)])
        session = Session(self, pipeline).hello().begin("ann@x.test")
        waiting = Deferred.fromCoroutine(pipeline.judge("message", session.content()))  # type: ignore[arg-type]
        pipeline.closed(session.client)
        self.assertNoResult(waiting)
        self.filter.connections[0]._protocol.dataReceived(Packet(b"r").encode())
        self.assertEqual("reject", self.successResultOf(waiting).action)
        self.assertEqual([], self.filter.connections)
        self.assertEqual({}, judge._conversations)
