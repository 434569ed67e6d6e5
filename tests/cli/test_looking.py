"""Commands that read queue and journal, without a server."""

from __future__ import annotations

import argparse
import io
import json
import os
import time

from mta.cli import log
from mta.cli.context import CommandError, Context, moment
from mta.cli.main import seams
from mta.cli.output import Output
from mta.model.event import Completed
from tests.cli.command import CommandCase
from tests.journal.shard import NOON, ids, queued
from tests.journal.test_text import DEFERRED, DELIVERED, ID, REFUSED, received


class QueueTests(CommandCase):
    def test_list(self) -> None:
        """All shards together, in the order of acceptance."""
        [first] = ids(1, NOON)
        [second] = ids(1, NOON + 1, shard=1)
        [third] = ids(1, NOON + 2)
        for shard, name in ((1, second), (0, first), (0, third)):
            self.shards[shard].admit(queued(name, last_reply="451 4.7.1 later\x1b[2J", attempts=2))
        out = self.mta("queue", "list").out
        self.assertLess(out.index(first), out.index(second))
        self.assertLess(out.index(second), out.index(third))
        self.assertIn("bob@example.net", out)
        self.assertIn("451 4.7.1 later", out)
        self.assertNotIn("\x1b", out)
        self.assertIn("3 messages to 3 recipients", out)
        found = self.mta("queue", "list", "--json", "--limit", "2").json
        self.assertEqual([first, second], [item["id"] for item in found])
        found = self.mta("queue", "list", "--json", "--after", second).json
        self.assertEqual([third], [item["id"] for item in found])

    def test_filters(self) -> None:
        names = ids(3)
        self.shards[0].admit(queued(names[0], sender=""))
        self.shards[0].admit(queued(names[1], recipient="carl@example.com", state="held"))
        self.shards[1].admit(queued(names[2], attempts=1))

        def found(*options: str) -> list[str]:
            return [item["id"] for item in self.mta("queue", "list", "--json", *options).json]

        self.assertEqual([names[0]], found("--from", "<>"))
        self.assertEqual([names[1]], found("--to", "CARL@example.com"))
        self.assertEqual([names[1]], found("--to", "@example.com"))
        self.assertEqual([names[1]], found("--held"))
        self.assertEqual([names[2]], found("--deferred"))
        self.assertEqual([], found("--deferred", "--to", "@example.com"))

    def test_choices(self) -> None:
        """By destination, last reply, tenant, campaign, priority, age and the sender's domain."""
        names = ids(4)
        many = [
            queued(names[0], last_reply="451 4.7.1 Rate limited", attempts=1),
            queued(names[1], recipient="carl@sub.example.com", sender="x@other.test"),
            queued(names[2], created=time.time() - 60),
            queued(names[3], sender="", last_reply="421 4.4.2 gone"),
        ]
        many[1].attributes = {"tenant": "acme", "campaign": "spring", "priority": -3}
        for message in many:
            self.shards[0].admit(message)

        def found(*options: str) -> list[int]:
            chosen = self.mta("queue", "list", "--json", *options).json
            return [names.index(item["id"]) for item in chosen]

        for expected, options in (
            ([1], ["--destination", "SUB.example.com"]),
            ([1], ["--destination", "relay:*.com"]),
            ([], ["--destination", "lmtp:*"]),
            ([0], ["--last-reply", "rate.limit"]),
            ([0, 3], ["--last-reply", r"^4\d\d 4"]),
            ([], ["--last-reply", "gone", "--destination", "*.com"]),
            ([1], ["--tenant", "acme"]),
            ([1], ["--campaign", "spring", "--tenant", "acme"]),
            ([1], ["--priority", "-3"]),
            ([0, 2, 3], ["--priority", "0"]),
            ([2], ["--newer", "2h"]),
            ([0, 1, 3], ["--older", "2h"]),
            ([1], ["--from", "@OTHER.test"]),
            ([3], ["--from", "<>"]),
        ):
            self.assertEqual(expected, found(*options), options)
        self.assertIn("no regular", self.mta("queue", "list", "--last-reply", "(", status=os.EX_USAGE).err)

    def test_summary(self) -> None:
        """Of all shards, the largest group first; words of one message's own do not tell apart."""
        names = ids(3)
        self.shards[0].admit(queued(names[0], last_reply="451 4.7.1 Later 4F2A-881-x", attempts=1))
        self.shards[1].admit(queued(names[1], last_reply="451 4.7.1 Later 99C3-120-y", attempts=1))
        self.shards[0].admit(queued(names[2], recipient="c@example.com", state="held"))
        first, second = self.mta("queue", "summary", "--json").json
        self.assertEqual(("relay:example.net", 2, 2, 0), tuple(first.values())[:4])
        self.assertEqual(NOON + 60, first["next_try"])
        self.assertEqual(("relay:example.com", 1, 1, 1), tuple(second.values())[:4])
        self.assertIsNone(second["next_try"])
        groups = self.mta("queue", "summary", "--by", "reply", "--json").json
        self.assertEqual([2, 1], [group["messages"] for group in groups])
        out = self.mta("queue", "summary", "--by", "age", "--held").out
        self.assertRegex(out, r"3 d and more +1 +1 +1 ")
        for trait in ("tenant", "campaign", "sender"):
            self.mta("queue", "summary", "--by", trait)
        # Who is behind a domain is for the server to find out.
        self.assertIn("not running", self.mta("queue", "list", "--site", "x", status=os.EX_UNAVAILABLE).err)
        self.assertIn("1 more", self.mta("queue", "summary", "-n", "1").out)
        self.assertIn("Nothing waits", self.mta("queue", "summary", "--tenant", "nobody").out)

    def test_many(self) -> None:
        """More than one page of a shard."""
        for name in ids(450):
            self.shards[0].admit(queued(name))
        self.assertEqual(430, len(self.mta("queue", "list", "--json", "--limit", "430").json))
        self.assertIn("100 of 450 messages", self.mta("queue", "list").out)

    def test_empty(self) -> None:
        self.assertEqual("The queue is empty.\n", self.mta("queue", "list").out)

    def test_show(self) -> None:
        [name] = ids(1)
        self.shards[1].admit(queued(name, last_reply="451 later", attempts=1))
        out = self.mta("queue", "show", name, "--content").out
        for words in (name, "<ann@example.org>", "<bob@example.net>", "relay to example.net", "451 later"):
            self.assertIn(words, out)
        self.assertIn("Subject: Hi\n\nHello \\x1b[31m", out)
        value = self.mta("queue", "show", name.upper(), "--json").json
        self.assertEqual("192.0.2.1", value[0]["client"]["address"])


class TraceTests(CommandCase):
    def test_message(self) -> None:
        self.shards[1].write([received(), DEFERRED, DELIVERED, Completed(at=NOON + 66, message=ID)])
        for word in (ID, ID.upper(), "ann@example.org", "bob@example.net", "s1", "<m@x>", "m@x", "192.0.2.1"):
            out = self.mta("trace", word).out
            self.assertIn(f"message {ID}: delivered", out, word)
            self.assertEqual(1, out.count("accepted by"), word)
            self.assertIn("451 4.7.1 Greylisted", out)

    def test_in_queue(self) -> None:
        """What still waits is told as the queue has it."""
        self.shards[0].write([received(), DEFERRED])
        self.shards[0].admit(queued(ID, attempts=4, last_reply="450 still busy"))
        out = self.mta("trace", ID).out
        self.assertIn("4 attempts: 450 still busy", out)

    def test_only_in_queue(self) -> None:
        """A message that waits for longer than the journal keeps events."""
        self.shards[1].admit(queued(ID, attempts=40, last_reply="450 still busy"))
        self.assertIn("40 attempts: 450 still busy", self.mta("trace", ID).out)

    def test_rejected(self) -> None:
        self.shards[0].write([received(recipients=["no@example.org"]), REFUSED])
        out = self.mta("trace", "no@example.org", "--rejected").out
        self.assertIn("refused at recipient", out)
        self.assertIn("remedy", out)
        self.assertNotIn("accepted", out)
        self.assertIn("refused at recipient", self.mta("trace", "--rejected").out)
        both = self.mta("trace", "no@example.org").out
        self.assertIn("accepted", both)
        self.assertIn("refused", both)

    def test_json(self) -> None:
        self.shards[0].write([received(), REFUSED])
        [value] = self.mta("trace", "ann@example.org", "--json").json
        self.assertEqual((ID, "queued"), (value["message"], value["state"]))
        [value] = self.mta("trace", "--json", "--rejected").json
        self.assertEqual("mailbox-unknown", value["name"])

    def test_limit(self) -> None:
        """The newest, and the newest last."""
        names = ids(5)
        self.shards[0].write([received(message=name, at=NOON + n) for n, name in enumerate(names)])
        found = self.mta("trace", "ann@example.org", "--json", "--limit", "2").json
        self.assertEqual(names[3:], [item["message"] for item in found])

    def test_since(self) -> None:
        [name] = ids(1, time.time())
        self.shards[0].write([received(), received(message=name, at=time.time() - 3600)])
        found = self.mta("trace", "ann@example.org", "--since", "2h", "--json").json
        self.assertEqual([name], [item["message"] for item in found])
        result = self.mta("trace", "ann@example.org", "--since", "yesterday", status=os.EX_USAGE)
        self.assertIn("how long ago", result.err)

    def test_nothing(self) -> None:
        result = self.mta("trace", "nobody@example.org", status=os.EX_NOINPUT)
        self.assertIn("nobody@example.org", result.err)
        self.assertEqual([], self.mta("trace", "nobody@example.org", "--json", status=os.EX_NOINPUT).json)
        self.mta("trace", status=os.EX_USAGE)


class LogTests(CommandCase):
    def test_log(self) -> None:
        """The newest last, of all shards."""
        self.shards[0].write([received(), DELIVERED, Completed(at=NOON + 66, message=ID)])
        self.shards[1].write([DEFERRED])
        lines = self.mta("log").out.splitlines()
        kinds = [line.split()[3] for line in lines]
        self.assertEqual(["received", "deferred", "delivered"], kinds)
        values = [json.loads(line) for line in self.mta("log", "--json", "-n", "2").out.splitlines()]
        self.assertEqual(["deferred", "delivered"], [value["kind"] for value in values])

    def test_choice(self) -> None:
        self.shards[0].write([received(), DEFERRED, REFUSED])
        self.assertEqual(1, len(self.mta("log", "--rejected").out.splitlines()))
        self.assertIn("deferred", self.mta("log", "--kind", "deferred").out)
        result = self.mta("log", "--kind", "defered", status=os.EX_USAGE)
        self.assertIn("did you mean 'deferred'?", result.err)

    def test_follow(self) -> None:
        """What happens while it looks is shown once."""
        self.shards[0].write([received()])
        out = io.StringIO()
        context = Context(None, str(self.state), Output(out, out), seams())
        later = iter([[DEFERRED], [], [DELIVERED]])

        def sleep(seconds: float) -> None:
            events = next(later, None)
            if events is None:
                raise KeyboardInterrupt
            self.shards[1].write(events)

        arguments = argparse.Namespace(follow=True, since="", limit=0, rejected=False, kind=[])
        self.assertEqual(0, log.show(arguments, context, sleep))
        kinds = [line.split()[3] for line in out.getvalue().splitlines()]
        self.assertEqual(["received", "deferred", "delivered"], kinds)


class MomentTests(CommandCase):
    def test_ago(self) -> None:
        self.assertEqual(NOON - 7200, moment("2h", NOON))
        self.assertEqual(NOON - 90, moment("1.5m", NOON))

    def test_when(self) -> None:
        self.assertEqual(NOON, moment("2026-01-15T12:00:00+00:00", NOON + 99))
        self.assertEqual(moment("2026-01-15 08:30", NOON), moment("8:30", NOON))
        for wrong in ("soon", "25:00", "2026-13-01", ""):
            self.assertRaises(CommandError, moment, wrong, NOON)
