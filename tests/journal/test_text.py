"""Events as lines, as a story, and in the log."""

from __future__ import annotations

import io
import json
from typing import Any

from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from mta.journal.log import LogSink
from mta.journal.log_setup import make_observer
from mta.journal.text import event_json, event_line
from mta.journal.timeline import Story, refusal_lines, story
from mta.journal.words import duration, local_time, size
from mta.model.event import (
    AuthenticationFailed,
    Bounced,
    Complained,
    Completed,
    DeferredTo,
    DeliveredTo,
    Event,
    FailedTo,
    Notified,
    Operated,
    Received,
    Rejected,
    Server,
    TlsSession,
    event_kinds,
)
from mta.model.event_rows import event_keys, event_of, event_row, key_of
from mta.model.tls_result import TlsResult
from tests.journal.shard import NOON, ids, queued

[ID] = ids(1)


def clock(at: float) -> str:
    return f"T{at - NOON:+.0f}"


def received(**facts: object) -> Received:
    values: dict[str, object] = {
        "at": NOON,
        "message": ID,
        "session": "s1",
        "sender": "ann@example.org",
        "recipients": ["bob@example.net"],
        "size": 4096,
        "client": "192.0.2.1",
        "helo": "laptop",
        "protocol": "ESMTPSA",
        "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384",
        "account": "ann@example.org",
        "message_id": "<m@x>",
        **facts,
    }
    return Received(**values)  # type: ignore[arg-type]


DEFERRED = DeferredTo(
    at=NOON + 5,
    message=ID,
    recipient="bob@example.net",
    original="bob@example.net",
    transport="relay",
    next_hop="example.net",
    code=451,
    enhanced="4.7.1",
    reply="Greylisted",
    host="mx.example.net [192.0.2.80]",
    command="RCPT TO",
    attempt=1,
    delay=5.0,
    next_attempt=NOON + 65,
)
DELIVERED = DeliveredTo(
    at=NOON + 66,
    message=ID,
    recipient="bob@example.net",
    original="bob@example.net",
    transport="relay",
    code=250,
    enhanced="2.0.0",
    reply="Taken",
    host="mx.example.net [192.0.2.80]",
    attempt=2,
    delay=66.0,
)
REFUSED = Rejected(
    at=NOON,
    session="s9",
    stage="recipient",
    code=550,
    reply="550 5.1.1 <no@example.org>: no such mailbox here [s9]",
    name="mailbox-unknown",
    rule="route",
    evidence={"domain": "example.org"},
    client="192.0.2.7",
    helo="spam.example",
    sender="x@y.org",
    recipient="no@example.org",
)


class LineTests(SynchronousTestCase):
    def test_one_line_with_ids(self) -> None:
        for event in (received(), DEFERRED, DELIVERED):
            self.assertTrue(event_line(event).startswith(f"{ID}: "), event)
            self.assertNotIn("\n", event_line(event))
        self.assertTrue(event_line(REFUSED).startswith("s9: rejected at recipient: 550 5.1.1"))

    def test_every_kind(self) -> None:
        """No kind falls back to its raw fields."""
        from mta.journal import text

        self.assertEqual(event_kinds(), {cls.kind for cls in text._TELLERS})

    def test_tls_session(self) -> None:
        """A result comes back from the journal as it was; only failures are looked for."""
        wrong = TlsResult(
            policy="tlsa",
            domain="far.test",
            host="mx.far.test",
            sending="192.0.2.1",
            receiving="192.0.2.80",
            result="validation-failure",
            strings=("3 1 1 00",),
            reason="no TLSA record fits",
        )
        event = event_of(event_row(TlsSession.of(wrong, NOON, "TLSv1.3")))
        assert isinstance(event, TlsSession)
        self.assertEqual(wrong, event.found())
        self.assertEqual(
            "TLS to mx.far.test [192.0.2.80] for far.test, policy tlsa: validation-failure: "
            "no TLSA record fits; TLSv1.3",
            event_line(event),
        )
        self.assertEqual({key_of("far.test"), key_of("mx.far.test")}, set(event_keys(event)))
        fine = TlsSession.of(TlsResult("sts", "far.test", "mx.far.test"), NOON)
        self.assertEqual((), event_keys(fine))

    def test_reply_said_once(self) -> None:
        """A reply kept with its codes does not get them twice."""
        line = event_line(REFUSED)
        self.assertEqual(1, line.count("550"), line)
        self.assertIn("said: 451 4.7.1 Greylisted", event_line(DEFERRED))

    def test_hostile_words(self) -> None:
        """A client cannot write lines of its own, or move the cursor."""
        line = event_line(received(helo="a\r\n2026 forged: delivered\x1b[2J\u2028"))
        self.assertTrue(line.isprintable(), line)
        self.assertIn("\\r\\n", line)

    def test_json(self) -> None:
        value = json.loads(json.dumps(event_json(DEFERRED)))
        self.assertEqual("deferred", value["kind"])
        self.assertEqual(ID, value["message"])
        self.assertEqual(451, value["code"])
        self.assertNotIn("session", value)

    def test_durations(self) -> None:
        cases = ((0.004, "4 ms"), (3.21, "3.2 s"), (59.0, "59 s"), (300.0, "5 m"), (7800.0, "2 h 10 m"))
        for seconds, words in (*cases, (3600.0, "1 h"), (273600.0, "3 d 4 h")):
            self.assertEqual(words, duration(seconds))

    def test_sizes(self) -> None:
        self.assertEqual(["12 B", "4.0 KiB", "1.5 MiB"], [size(12), size(4096), size(1536 * 1024)])


class StoryTests(SynchronousTestCase):
    def tell(self, *events: Event, **options: object) -> Story:
        return story(events, when=clock, **options)  # type: ignore[arg-type]

    def test_delivered(self) -> None:
        """Who, from where, TLS, account; each attempt with the remote's reply; the end."""
        told = self.tell(received(), DEFERRED, DELIVERED, Completed(at=NOON + 66, message=ID))
        self.assertEqual("delivered", told.state)
        text = "\n".join(told.lines)
        for words in (
            f"message {ID}: delivered",
            "laptop [192.0.2.1]",
            "TLS TLSv1.3",
            "account ann@example.org",
            "from <ann@example.org>",
            "to   <bob@example.net>",
            "Message-ID <m@x>",
            "T+5  deferred for <bob@example.net>",
            "mx.example.net [192.0.2.80] said: 451 4.7.1 Greylisted (to RCPT TO)",
            "next attempt T+65",
            "T+66  delivered to <bob@example.net>",
            "said: 250 2.0.0 Taken",
        ):
            self.assertIn(words, text)
        self.assertNotIn("now:", text)

    def test_waiting(self) -> None:
        """A message in the queue: how it stands now, and why."""
        told = self.tell(received(), DEFERRED)
        self.assertEqual("queued", told.state)
        now = told.lines[told.lines.index("now:") + 1]
        self.assertIn("deferred, next attempt T+65, 1 attempt: mx.example.net", now)

    def test_queue_knows_better(self) -> None:
        """What the queue has now counts more than the last event."""
        message = queued(ID, state="held", attempts=3, last_reply="450 later")
        told = self.tell(received(), DEFERRED, queued=message)
        self.assertEqual("held", told.state)
        self.assertEqual([("held", 3, "450 later")], [(s.state, s.attempts, s.why) for s in told.standings])
        self.assertIn(f"mta queue release {ID}", "\n".join(told.lines))

    def test_alias(self) -> None:
        """An alias gives way to those it stands for."""
        first = DeliveredTo(at=NOON, message=ID, recipient="a@example.org", original="all@example.org")
        second = FailedTo(
            at=NOON, message=ID, recipient="b@example.org", original="all@example.org", code=550, reply="no"
        )
        told = self.tell(received(recipients=["all@example.org"]), first, second)
        self.assertEqual("partly delivered", told.state)
        self.assertEqual(["a@example.org", "b@example.org"], [item.address for item in told.standings])

    def test_alias_in_the_queue(self) -> None:
        message = queued(ID)
        message.addressees[0].original = "all@example.org"
        told = self.tell(received(recipients=["all@example.org"]), queued=message)
        self.assertEqual(["bob@example.net"], [item.address for item in told.standings])

    def test_bounced_elsewhere(self) -> None:
        """What another server had taken, and told of later; a delay and a complaint change nothing."""
        note = ids(2)[1]
        facts: dict[str, Any] = {"at": NOON + 99, "message": ID, "notification": note, "matched": "token"}
        bounced = Bounced(
            **facts,
            recipient="bob@example.net",
            reported="rob@inner.test",
            status="5.1.1",
            reply="550 5.1.1 gone",
            host="mx.inner.test",
        )
        delayed = Bounced(**facts, recipient="bob@example.net", action="delayed", status="4.4.1")
        complained = Complained(**{**facts, "matched": ""}, reporter="Loop/1.0")
        done = Completed(at=NOON + 66, message=ID)
        self.assertEqual("delivered", self.tell(received(), DELIVERED, done, delayed, complained).state)
        told = self.tell(received(), DELIVERED, done, delayed, bounced, complained)
        self.assertEqual("bounced", told.state)
        self.assertEqual("550 5.1.1 gone", told.standings[0].why)
        text = "\n".join(told.lines)
        for words in (
            f"T+99  delayed elsewhere <bob@example.net>, as message {note} tells, found by token: 4.4.1",
            "bounced <bob@example.net> (there <rob@inner.test>)",
            "mx.inner.test reports: 550 5.1.1 gone",
            f"complaint (abuse) by somebody, as message {note} tells, which belongs to no message known",
            "reporter=Loop/1.0",
        ):
            self.assertIn(words, text)

    def test_expired_and_notified(self) -> None:
        failed = FailedTo(at=NOON + 9, message=ID, recipient="bob@example.net", expired=True, reply="too old")
        note = Notified(
            at=NOON + 9, message=ID, action="failed", notification=ids(2)[1], to="ann@example.org"
        )
        told = self.tell(received(), failed, note)
        self.assertEqual("failed", told.state)
        text = "\n".join(told.lines)
        self.assertIn("expired for <bob@example.net>", text)
        self.assertIn(ids(2)[1], text)

    def test_class_of_a_reply(self) -> None:
        failed = FailedTo(
            at=NOON, message=ID, recipient="bob@example.net", code=550, reply="no", bounce_class="bad-mailbox"
        )
        told = self.tell(received(), failed)
        self.assertIn("    read as bad-mailbox: no such mailbox", told.lines)
        self.assertEqual("bad-mailbox", told.to_json()["events"][-1]["bounce_class"])

    def test_held_and_released(self) -> None:
        hold = Operated(at=NOON + 1, message=ID, action="hold", by="root", reason="looks odd")
        free = Operated(at=NOON + 2, message=ID, action="release", by="root")
        self.assertEqual("held", self.tell(received(), hold).state)
        self.assertEqual("queued", self.tell(received(), hold, free).state)
        self.assertIn("hold by root: looks odd", "\n".join(self.tell(received(), hold).lines))
        self.assertEqual("held", self.tell(received(held="words: odd")).state)

    def test_acts_with_a_time(self) -> None:
        at = NOON + 86400
        for event, words in (
            (Operated(at=NOON, action="suspend", by="root", target="x.test", until=at), "of x.test until "),
            (Operated(at=NOON, message=ID, action="reschedule", by="root", until=at), "by root to "),
        ):
            self.assertIn(words + local_time(at), event_line(event))
        self.assertIn(
            "suspend by root of x.test",
            event_line(Operated(at=NOON, action="suspend", by="root", target="x.test")),
        )

    def test_removed(self) -> None:
        gone = Operated(at=NOON + 1, message=ID, action="remove", by="root", reason="spam")
        told = self.tell(received(), gone, Completed(at=NOON + 1, message=ID))
        self.assertEqual("removed", told.state)

    def test_beginning_lost(self) -> None:
        """After journal.keep only the end may be left."""
        told = self.tell(DELIVERED)
        self.assertEqual("delivered", told.state)
        self.assertIn("not in the journal any more", "\n".join(told.lines))

    def test_json(self) -> None:
        value = json.loads(json.dumps(self.tell(received(), DEFERRED).to_json()))
        self.assertEqual(ID, value["message"])
        self.assertEqual("deferred", value["recipients"][0]["state"])
        self.assertEqual(["received", "deferred"], [event["kind"] for event in value["events"]])

    def test_refusal(self) -> None:
        """Stage, reply, rule, evidence, and what to do."""
        text = "\n".join(refusal_lines(REFUSED, clock))
        for words in (
            "session s9: refused at recipient",
            "spam.example [192.0.2.7]",
            "from <x@y.org> to <no@example.org>",
            "reply    550 5.1.1 <no@example.org>",
            "rule     route",
            "domain: example.org",
            "cause    The domain is ours",
            "remedy   Check the spelling",
        ):
            self.assertIn(words, text)

    def test_failed_log_in(self) -> None:
        """Reply and reason, and what to do."""
        event = AuthenticationFailed(
            at=NOON,
            session="s9",
            account="ann@example.org",
            mechanism="PLAIN",
            client="192.0.2.7",
            reason="no LDAP server answers",
            temporary=True,
            code=454,
            reply="454 4.7.0 Temporary authentication failure, try again later [s9]",
            name="auth-unavailable",
        )
        text = "\n".join(refusal_lines(event, clock))
        for words in (
            "session s9: authentication of ann@example.org could not be checked",
            "[192.0.2.7]",
            "PLAIN",
            "reply    454 4.7.0 Temporary",
            "because  no LDAP server answers",
            "cause    The directory that knows the accounts",
            "remedy   Wait; the operator sees why with `mta trace s9`",
        ):
            self.assertIn(words, text)

    def test_hostile_story(self) -> None:
        told = self.tell(received(helo="x\nnow:\n  forged\x1b[1m"))
        self.assertEqual([], [line for line in told.lines if not line.isprintable()])


class LogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stream = io.StringIO()

    def logger(self, format: str = "text", level: str = "info") -> Logger:
        publisher = LogPublisher(make_observer(format, level, self.stream))  # type: ignore[arg-type]
        return Logger(namespace="mta.test", observer=publisher)

    def test_text(self) -> None:
        LogSink(log=self.logger()).events([received(), DEFERRED])
        lines = self.stream.getvalue().splitlines()
        self.assertEqual(2, len(lines))
        self.assertRegex(
            lines[0], rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\S* \[mta\.test\] {ID}: received from="
        )

    def test_json(self) -> None:
        """One object a line, with the event's own fields."""
        LogSink(log=self.logger("json")).events([REFUSED])
        self.logger("json").error("plain {what}", what="text")
        first, second = map(json.loads, self.stream.getvalue().splitlines())
        self.assertEqual(("rejected", "s9", 550), (first["kind"], first["session"], first["code"]))
        self.assertEqual(("error", "plain text"), (second["level"], second["text"]))

    def test_many_at_once(self) -> None:
        """A batch is written with few calls, each of whole lines that a pipe takes at once."""
        written: list[str] = []
        self.patch(self.stream, "write", written.append)
        for format in ("text", "json"):
            LogSink("debug", self.logger(format)).events([received(), DEFERRED, REFUSED] * 20)
        self.assertEqual(120, sum(text.count("\n") for text in written))
        self.assertLess(len(written), 30)
        self.assertTrue(all(text.endswith("\n") and len(text) <= 4096 for text in written))

    def test_line_of_a_worker(self) -> None:
        """What a worker has written already is written as it is, whatever the format and level."""
        for format in ("text", "json"):
            self.logger(format, "error").info("{raw_line}", raw_line='{"level":"info"}')
        self.assertEqual('{"level":"info"}\n' * 2, self.stream.getvalue())

    def test_levels_of_a_batch(self) -> None:
        """Each line has the mark of its own event."""
        trouble = Server(at=NOON, what="trouble", detail="disk")
        LogSink(log=self.logger()).events([DEFERRED, trouble])
        LogSink(log=self.logger("json")).events([DEFERRED, trouble])
        lines = self.stream.getvalue().splitlines()
        self.assertEqual([False, True], ["error: server" in line for line in lines[:2]])
        self.assertEqual(["info", "error"], [json.loads(line)["level"] for line in lines[2:]])

    def test_level(self) -> None:
        """What is below the level is not written; `completed` is only for debugging."""
        LogSink(log=self.logger()).events([Completed(at=NOON, message=ID)])
        self.logger(level="warn").info("quiet")
        LogSink(log=self.logger()).events([TlsSession(at=NOON, policy="sts", domain="far.test")])
        self.assertEqual("", self.stream.getvalue())
        LogSink("debug", self.logger(level="debug")).events([Completed(at=NOON, message=ID)])
        self.logger(level="warn").error("loud")
        self.assertEqual(2, len(self.stream.getvalue().splitlines()))
        self.assertIn("error: loud", self.stream.getvalue())

    def test_trouble_is_an_error(self) -> None:
        LogSink(log=self.logger(level="error")).events([Server(at=NOON, what="trouble", detail="disk")])
        self.assertIn("error: server trouble: disk", self.stream.getvalue())

    def test_traceback(self) -> None:
        try:
            raise ValueError("in the middle")
        except ValueError:
            failure = Failure()
        for format in ("text", "json"):
            self.logger(format).failure("It broke", failure=failure)
        self.assertEqual(2, self.stream.getvalue().count("ValueError: in the middle"))
        self.assertIn("Traceback", self.stream.getvalue())

    def test_forged_line(self) -> None:
        """A text from elsewhere cannot begin an entry of its own."""
        self.logger().info("said {words}", words="a\n2026-01-01 00:00:00 [mta] forged\x1b[2J")
        lines = self.stream.getvalue().splitlines()
        self.assertTrue(all(line.startswith("\t") for line in lines[1:]), lines)
        self.assertNotIn("\x1b", self.stream.getvalue())

    def test_forged_line_in_an_exception(self) -> None:
        """Nor can what an exception says."""
        failure = Failure(ValueError("a\n2026-01-01 00:00:00 [mta] forged\x1b[2J"))
        self.logger().failure("It broke", failure=failure)
        lines = self.stream.getvalue().splitlines()
        self.assertTrue(all(line.startswith("\t") for line in lines[1:]), lines)
        self.assertNotIn("\x1b", self.stream.getvalue())

    def test_broken_stream(self) -> None:
        """A log that cannot be written does not stop the server."""
        self.stream.close()
        LogSink(log=self.logger()).events([received()])

    def test_narrow_stream(self) -> None:
        """A stream that cannot write a character writes its escape."""
        raw = io.BytesIO()
        self.stream = io.TextIOWrapper(raw, "ascii")
        self.logger().info("{name}", name="Jürgen")
        self.assertIn(b"J\\xfcrgen", raw.getvalue())

    def test_wrong_settings(self) -> None:
        self.assertRaises(ValueError, make_observer, "xml", "info", self.stream)
        self.assertRaises(ValueError, make_observer, "text", "loud", self.stream)

    def test_levels_known(self) -> None:
        for level in ("debug", "info", "warn", "error"):
            LogSink(level)
            self.assertIsNotNone(LogLevel.levelWithName(level))
