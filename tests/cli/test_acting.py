"""Commands that ask a server, over its real socket; the server is a fake behind the real API."""

from __future__ import annotations

import getpass
import os
from datetime import datetime
from typing import Any

from twisted.internet.threads import deferToThread

from mta.config.problem import ConfigurationError, Problem
from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Operated, Received
from mta.model.ids import IdSource
from mta.model.message import InlineContent
from mta.model.supposition import Supposition
from tests.api.test_control import ControlServer, ServedCase
from tests.cli.command import Result, call
from tests.journal.shard import NOON, Shard, ids, queued


class ActingTests(ServedCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.user = getpass.getuser()
        self.patch(os, "environ", {k: v for k, v in os.environ.items() if k != "SUDO_USER"})

    async def mta(self, *arguments: str, status: int = os.EX_OK, **options: Any) -> Result:
        result: Result = await deferToThread(call, "--state", str(self.state), *arguments, **options)
        self.assertEqual(status, result.status, result)
        return result

    async def test_by_id(self) -> None:
        name = ids(1)[0]
        self.assertIn("1 message held", (await self.mta("queue", "hold", name, "--reason", "odd")).out)
        await self.mta("queue", "release", name.upper())
        await self.mta("queue", "retry", name, "--reason", "they are back")
        await self.mta("queue", "move", name, "--next-hop", "backup:26", "--reason", "down")
        await self.mta("queue", "move", name, "--next-hop", "x", "--transport", "lmtp")
        self.assertIn("1 message returned", (await self.mta("queue", "bounce", name, "--reason", "no")).out)
        await self.mta("queue", "remove", name, "--notify")
        self.assertIn("5 recipients due now", (await self.mta("queue", "flush")).out)
        self.assertEqual(
            [
                ("hold", [name], self.user, "odd"),
                ("release", [name], self.user, ""),
                ("retry", [name], self.user, "they are back"),
                ("move", [name], self.user, "", "backup:26", "down"),
                ("move", [name], self.user, "lmtp", "x", ""),
                ("bounce", [name], self.user, "no"),
                ("remove", [name], self.user, "", True),
                ("flush", self.user),
            ],
            self.server.queue.asked,
        )

    async def test_by_filter(self) -> None:
        names = ids(3)
        for name, recipient in zip(names, ("a@x.org", "b@y.org", "c@x.org"), strict=True):
            self.shard.admit(queued(name, recipient=recipient))
        value = (await self.mta("queue", "remove", "--to", "@x.org", "--json")).json
        self.assertEqual({"count": 2, "ids": [names[0], names[2]]}, value)
        await self.mta("queue", "hold", "--all")
        self.assertEqual(names, self.server.queue.asked[-1][1])

    async def test_asked_back(self) -> None:
        """On a terminal, many are not removed without a yes."""
        self.shard.admit(queued(ids(1)[0]))
        result = await self.mta("queue", "remove", "--all", tty=True, stdin="n\n")
        self.assertIn("remove 1 message? [y/N]", result.err)
        self.assertEqual([], self.server.queue.asked)
        await self.mta("queue", "remove", "--all", tty=True, stdin="y\n")
        await self.mta("queue", "remove", "--all", "--yes", tty=True)
        self.assertEqual(2, len(self.server.queue.asked))

    async def test_suspend(self) -> None:
        await self.mta("queue", "suspend", "*.example.net", "--for", "2h", "--reason", "they asked")
        out = (await self.mta("queue", "resume", "*.example.net")).out
        self.assertIn("retry --destination '*.example.net'", out)
        (first, second) = self.server.queue.asked
        self.assertEqual(("suspend", "*.example.net", self.user, "they asked"), first[:4])
        self.assertGreater(first[4], NOON)
        self.assertEqual(("resume", "*.example.net", self.user, ""), second)
        await self.mta("queue", "resume", "nothing", status=os.EX_NOINPUT)
        await self.mta("queue", "suspend", "x", "--for", "ever", status=os.EX_USAGE)

    async def test_suspend_until(self) -> None:
        out = (await self.mta("queue", "suspend", "x", "--until", "2099-01-31 12:00")).out
        self.assertIn("x is suspended until 2099-01-31 12:00:00", out)
        self.assertEqual(datetime(2099, 1, 31, 12).timestamp(), self.server.queue.asked[0][4])
        for words in (("--until", "2020-01-01"), ("--until", "12h", "--for", "2h"), ("--until", "ever")):
            await self.mta("queue", "suspend", "x", *words, status=os.EX_USAGE)

    async def test_reschedule(self) -> None:
        name = ids(1)[0]
        self.shard.admit(queued(name))
        words = ("queue", "reschedule", name, "--at", "2099-01-31 12:00", "--reason", "the feast")
        self.assertIn("1 message to be sent on 2099-01-31 12:00:00", (await self.mta(*words)).out)
        at = datetime(2099, 1, 31, 12).timestamp()
        self.assertEqual([("reschedule", [name], self.user, at, "the feast")], self.server.queue.asked)
        await self.mta("queue", "reschedule", name, status=os.EX_USAGE)
        await self.mta("queue", "reschedule", name, "--at", "2020-01-01", status=os.EX_USAGE)
        self.assertEqual(1, len(self.server.queue.asked))

    async def test_by_site(self) -> None:
        names = ids(2)
        for name, hop in zip(names, ("a.test", "mx.far.test:25"), strict=True):
            message = queued(name)
            message.addressees[0].next_hop = hop
            self.shard.admit(message)
        await self.mta("queue", "hold", "--site", "mx1.big.*")
        await self.mta("queue", "hold", "--mx", "mx.far.test:25")
        self.assertEqual([[names[0]], [names[1]]], [asked[1] for asked in self.server.queue.asked])
        self.assertIn(names[0], (await self.mta("queue", "list", "--site", "mx2.big.test")).out)
        out = (await self.mta("queue", "summary", "--by", "site")).out
        self.assertRegex(out, r"mx1.big.test mx2.big.test +1 +1 ")

    async def test_no_such_way(self) -> None:
        words = ("queue", "move", ids(1)[0], "--next-hop", "x", "--transport", "pigeon")
        self.assertIn("no transport 'pigeon'", (await self.mta(*words, status=os.EX_USAGE)).err)
        await self.mta("queue", "move", ids(1)[0], "--next-hop", "a b", status=os.EX_USAGE)
        await self.mta("queue", "bounce", ids(1)[0], "--reason", "", status=os.EX_USAGE)
        self.assertEqual([], self.server.queue.asked)

    async def test_unclear(self) -> None:
        for words in ((), (ids(1)[0], "--all")):
            result = await self.mta("queue", "remove", *words, status=os.EX_USAGE)
            self.assertIn("--all", result.err)
        self.assertEqual([], self.server.queue.asked)

    async def test_every_shard(self) -> None:
        """An act goes to every worker; the counts are added."""
        shard = Shard(self.state / "spool" / "1")
        self.addCleanup(shard.close)
        second = ControlServer(self.state, shard, 1)
        await second.start()
        self.addCleanup(second.stop)
        here, there = ids(1)[0], IdSource(1).next(NOON)
        out = (await self.mta("queue", "hold", here, there)).out
        self.assertIn("4 messages held", out)
        self.assertEqual(1, len(second.queue.asked))
        self.assertIn("worker 1", (await self.mta("status")).out)

    async def test_one_worker_down(self) -> None:
        """The others act, and it is said whose messages were not touched."""
        import socket

        left = socket.socket(socket.AF_UNIX)
        left.bind(str(self.state / "run" / "control-1.sock"))
        left.close()
        result = await self.mta("queue", "flush")
        self.assertIn("5 recipients due now", result.out)
        self.assertIn("worker 1 does not answer", result.err)

    async def test_server_trouble(self) -> None:
        self.server.queue.trouble = TemporarilyUnavailable("the disk is away")
        result = await self.mta("queue", "flush", status=os.EX_TEMPFAIL)
        self.assertIn("the disk is away", result.err)

    async def test_reload(self) -> None:
        out = (await self.mta("reload")).out
        self.assertIn("reloaded", out)
        self.assertIn("listen needs a restart", out)
        problem = Problem("/etc/mta/mta.toml", 3, "queue.retyr", "unknown key", "did you mean 'retry'?")
        self.server.reload_trouble = ConfigurationError([problem])
        result = await self.mta("reload", status=os.EX_CONFIG)
        self.assertIn("/etc/mta/mta.toml:3: queue.retyr", result.err)

    async def test_status(self) -> None:
        out = (await self.mta("status")).out
        self.assertIn("sessions.mx", out)
        self.assertRegex(out, r"mx1\.example\.net and 1 more +relay +12 +1 +1 +\d+ d.* 451 4\.4\.1 No answer")
        self.assertEqual(7, (await self.mta("status", "--json")).json[0]["pid"])

    async def test_rehearsal(self) -> None:
        result = await self.mta("test", "bob@example.net", "--client", "192.0.2.1", "--from", "a@b.org")
        self.assertIn("It would be accepted.", result.out)
        self.assertEqual([Supposition("bob@example.net", "a@b.org", "192.0.2.1")], self.server.tested)
        result = await self.mta("test", "nobody@example.net", status=os.EX_NOUSER)
        self.assertIn("It would be refused: 550 5.1.1", result.out)
        await self.mta("test", "bob@example.net", "--client", "nonsense", status=os.EX_USAGE)


class QuarantineTests(ServedCase):
    """``mta quarantine``: what is held, why, and what becomes of it."""

    async def setUp(self) -> None:
        await super().setUp()
        self.patch(os, "environ", {k: v for k, v in os.environ.items() if k != "SUDO_USER"})
        self.names = ids(4)
        data = b"From: X <x@bad.test>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nEvil\x1b[2J\r\n"
        for name, state in zip(self.names, ("held", "queued", "held", "held"), strict=True):
            message = queued(name, state=state)
            message.content = InlineContent(data)
            if name == self.names[2]:
                message.attributes["held"] = "content.size: too large"
            self.shard.admit(message)
        about: dict[str, Any] = {"sender": "x@bad.test", "recipients": ["b@c.test"]}
        held = Received(at=NOON, message=self.names[0], held="milter.quarantine: a virus", **about)
        by = Operated(at=NOON + 60, message=self.names[3], action="hold", by="ann", reason="looks odd")
        self.shard.write([held, Received(at=NOON, message=self.names[3], **about), by])

    async def mta(self, *arguments: str, status: int = os.EX_OK, **options: Any) -> Result:
        line = ("--state", str(self.state), "quarantine", *arguments)
        result: Result = await deferToThread(call, *line, **options)
        self.assertEqual(status, result.status, result)
        return result

    async def test_list(self) -> None:
        value = (await self.mta("list", "--json")).json
        reasons = ["milter.quarantine: a virus", "content.size: too large", "by ann: looks odd"]
        self.assertEqual(reasons, [one["reason"] for one in value])
        self.assertEqual(("Grüße", "X <x@bad.test>"), (value[0]["subject"], value[0]["author"]))
        self.assertEqual(NOON + 60, value[2]["since"])
        out = (await self.mta("list", "--limit", "1")).out
        self.assertIn("a virus", out)
        self.assertNotIn("too large", out)
        self.assertIn("Nothing is held", (await self.mta("list", "--from", "nobody@x.test")).out)
        await self.mta("list", "--limit", "0", status=os.EX_USAGE)

    async def test_show(self) -> None:
        """The content is shown, and does nothing to a terminal."""
        out = (await self.mta("show", self.names[0].upper())).out
        self.assertIn("milter.quarantine: a virus", out)
        self.assertIn("Evil\\x1b[2J", out)
        self.assertIn("content", (await self.mta("show", self.names[0], "--json")).json[0])
        result = await self.mta("show", self.names[1], self.names[2], status=os.EX_NOINPUT)
        self.assertIn(f"{self.names[1]} is not held", result.err)
        self.assertIn("too large", result.out)

    async def test_acts(self) -> None:
        """Only what is held is touched."""
        user = getpass.getuser()
        await self.mta("release", self.names[0], "--reason", "fine")
        result = await self.mta("remove", self.names[1], status=os.EX_NOINPUT)
        self.assertIn("is not held", result.err)
        await self.mta("remove", self.names[1], self.names[2], "--notify", status=os.EX_NOINPUT)
        await self.mta("remove", "--all", tty=True, stdin="n\n")
        await self.mta("remove", "--all", tty=True, stdin="y\n")
        self.assertEqual(
            [
                ("release", [self.names[0]], user, "fine"),
                ("remove", [self.names[2]], user, "", True),
                ("remove", [self.names[0], self.names[2], self.names[3]], user, "", False),
            ],
            self.server.queue.asked,
        )
        for arguments in (("release",), ("remove", self.names[0], "--all")):
            await self.mta(*arguments, status=os.EX_USAGE)
