"""Each class of docs/guides/plugins.rst is built from its example settings, and used."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.loading import parse
from mta.interfaces import (
    Delivery,
    Facts,
    IDirectory,
    IEventSink,
    IIdentity,
    IJudge,
    IKind,
    IRouter,
    ITransport,
    NoSuchDomain,
    PluginContext,
)
from mta.model.address import parse_address
from mta.model.envelope import Client, Envelope
from mta.model.event import Completed
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Delivered, Postponed
from mta.plugins import Kinds, PluginBuilder

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "guides" / "plugins.rst"
BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n\n((?:    .*\n|\n)+)", re.MULTILINE)


class _Resolver:
    """Knows every domain but one."""

    async def mx(self, domain: str) -> list[tuple[int, str]]:
        if domain == "none.test":
            raise NoSuchDomain(domain)
        return []


class GuideTests(SynchronousTestCase):
    """What the guide promises."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp())
        self.base.mkdir()
        blocks = BLOCK.findall(GUIDE.read_text("utf-8"))
        kinds: list[Any] = []
        self.toml = ""
        for language, text in blocks:
            text = textwrap.dedent(text)
            if language == "toml":
                self.toml += text
                continue
            space: dict[str, Any] = {}
            exec(compile(text, str(GUIDE), "exec"), space)
            kinds += [item for item in space.values() if IKind.providedBy(item)]
        self.kinds = Kinds(kinds)

    def build(self, seam: Any, table: str) -> list[Any]:
        loaded = parse(self.toml, self.base / "mta.toml")
        context = PluginContext(
            reactor=Clock(),
            state=str(self.base),
            base=str(self.base),
            hostname="mx.example.org",
            resolver=_Resolver(),
            run_in_thread=lambda function, *args: maybeDeferred(function, *args),
        )
        builder = PluginBuilder(loaded, self.kinds, context)
        plugins = builder.build(seam, table)
        self.problems = builder.problems
        return [plugin.instance for plugin in plugins]

    def test_judge(self) -> None:
        judge, _, _ = self.build(IJudge, "judge")
        verdict = judge.judge("hello", Facts(Client("s1", helo="Friend")))
        self.assertEqual(("reject", "hello.refuse"), (verdict.action, verdict.rule))
        self.assertEqual("pass", judge.judge("hello", Facts(Client("s1", helo="mx.example.net"))).action)

    def test_content_filter(self) -> None:
        """It changes plain messages of those who log in, and those that are asked next see it."""
        _, judge, _ = self.build(IJudge, "judge")

        def revised(header: bytes, account: str = "ann@example.org") -> Facts:
            content = InlineContent(header + b"\r\nHello\r\n")
            facts = Facts(Client("s1", account=account), Envelope("ann@example.org"), None, header, content)
            verdict = self.successResultOf(Deferred.fromCoroutine(judge.judge("message", facts)))
            if verdict.changes:
                facts.revise(verdict.changes)
            return facts

        facts = revised(b"X-Internal: 1\r\nSubject: x\r\n")
        assert facts.content is not None and facts.envelope is not None
        self.assertEqual(
            b"Subject: x\r\nX-Disclaimer: yes\r\n\r\nHello\r\n\r\nThis message was sent by our office.\r\n",
            facts.content.read(),
        )
        self.assertEqual(["archive@example.org"], [one.address for one in facts.envelope.recipients])
        html = revised(b"Content-Type: text/html\r\n")
        assert html.content is not None
        self.assertEqual(b"Content-Type: text/html\r\n\r\nHello\r\n", html.content.read())
        self.assertIsNone(revised(b"Subject: x\r\n", "").revision)

    def test_judge_that_asks_and_reads(self) -> None:
        """It starts with its file, asks the DNS, and keeps what it had when a reload fails."""
        _, _, judge = self.build(IJudge, "judge")
        self.assertRaises(ValueError, judge.start)
        (self.base / "blocked-domains").write_text("bad.test\n")
        judge.start()

        def verdict(sender: str) -> Any:
            facts = Facts(Client("s1"), Envelope(sender))
            return self.successResultOf(Deferred.fromCoroutine(judge.judge("mail", facts)))

        self.assertEqual("blocked.file", verdict("a@bad.test").rule)
        self.assertEqual("blocked.dns", verdict("a@none.test").rule)
        self.assertEqual("pass", verdict("a@good.test").action)
        self.assertEqual("pass", verdict("").action)
        (self.base / "blocked-domains").unlink()
        self.assertRaises(ValueError, judge.reload)
        self.assertEqual("blocked.file", verdict("a@bad.test").rule)

    def test_identities(self) -> None:
        (self.base / "shared-password").write_text("secret\n")
        checker, rooms = self.build(IIdentity, "identity")
        good = UsernamePassword(b"a@example.org", b"secret")
        self.assertEqual(b"a@example.org", checker.requestAvatarId(good))
        for credentials in (
            UsernamePassword(b"a@example.org", b"wrong"),
            UsernamePassword(b"a@example.net", b"secret"),
        ):
            self.assertRaises(UnauthorizedLogin, checker.requestAvatarId, credentials)
        self.assertTrue(IDirectory.providedBy(rooms))
        everybody = rooms.look_up(parse_address("all@rooms.example.org"))
        self.assertEqual(("library@rooms.example.org", "lab@rooms.example.org"), everybody.targets)
        self.assertIsNone(rooms.look_up(parse_address("cellar@rooms.example.org")))

    def test_missing_file_has_a_line(self) -> None:
        self.build(IIdentity, "identity")
        (problem,) = self.problems
        self.assertEqual(self.toml.splitlines()[problem.line - 1], 'password_file = "shared-password"')
        self.assertIn("shared-password: No such file", problem.what)

    def test_router(self) -> None:
        (router,) = self.build(IRouter, "router")
        (route,) = router.route("x@branch.example.org")
        self.assertEqual(("relay", "mail.branch.example.org:25"), (route.transport, route.next_hop))
        self.assertIsNone(router.route("x@example.org"))

    def test_transport(self) -> None:
        (self.base / "archive").mkdir()
        (transport,) = self.build(ITransport, "transport")
        addressee = Addressee(0, "a@archive.example.org", "a@archive.example.org", "archive", "")
        message = Message(
            "0123456789abc",
            Envelope("s@example.org"),
            Client("s1"),
            b"Received: by mx\r\n",
            InlineContent(b"Subject: x\r\n\r\nHello\r\n"),
            [addressee],
            0.0,
            1.0,
        )
        deliver = Deferred.fromCoroutine(transport.deliver(Delivery(message, [addressee], "s@example.org")))
        (outcome,) = self.successResultOf(deliver)
        self.assertIsInstance(outcome, Delivered)
        written = (self.base / "archive" / "0123456789abc.eml").read_bytes()
        self.assertEqual(message.trace + message.content.read(), written)
        (self.base / "archive" / "0123456789abc.eml").unlink()
        (self.base / "archive").rmdir()
        deliver = Deferred.fromCoroutine(transport.deliver(Delivery(message, [addressee], "s@example.org")))
        self.assertIsInstance(self.successResultOf(deliver)[0], Postponed)

    def test_sink(self) -> None:
        (sink,) = self.build(IEventSink, "sink")
        sink.events([Completed(at=1.0), Completed(at=2.0)])
        self.assertEqual(2, sink.counts["completed"])
