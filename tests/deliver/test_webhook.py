"""Messages posted to an application on the loopback interface."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from mta.certificate import self_signed
from mta.deliver.webhook import WEBHOOK, WebhookSettings
from mta.deliver.webhook_answer import retry_after
from mta.deliver.webhook_signature import parse_secrets, signature
from mta.interfaces import Delivery, PluginContext
from mta.model.envelope import Client, Envelope
from mta.model.message import Addressee, Content, FileContent, InlineContent, Message
from mta.model.outcome import Delivered, Failed, Postponed
from tests.connections import all_ended

reactor: Any = _reactor
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MAIL = b"Subject: x\r\n\r\nhello\r\n"


class Application(Resource):
    """Answers as a test wants, and keeps what it got."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.say: Callable[[Any], Any] = lambda request: b"thanks"
        self.running = self.most = 0

    def render_POST(self, request: Request) -> Any:
        fields = {k.decode().lower(): v[0].decode() for k, v in request.requestHeaders.getAllRawHeaders()}
        assert request.content is not None
        self.got.append((fields, request.content.read()))
        return self.say(request)


def answering(status: int, body: bytes = b"", **fields: str) -> Callable[[Any], bytes]:
    def say(request: Any) -> bytes:
        request.setResponseCode(status)
        for name, value in fields.items():
            request.setHeader(name.replace("_", "-"), value)
        return body

    return say


def message(content: bytes | Content = MAIL, *addresses: str) -> Message:
    addressees = [
        Addressee(number, address, address, "app", "")
        for number, address in enumerate(addresses or ("ann@local.test",))
    ]
    kept = InlineContent(content) if isinstance(content, bytes) else content
    return Message("ID1", Envelope("a@b.test"), Client("s"), b"", kept, addressees, time.time(), 2e9)


class WebhookCase(TestCase):
    """An application and a transport to it."""

    timeout = 120

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        (self.base / "secret").write_text(SECRET + "\n")
        (self.base / "secret").chmod(0o600)
        self.application = Application()
        self.connections: list[Any] = []
        self.url = ""

    def listen(self, context: Any = None) -> int:
        site = Site(self.application)
        build = site.buildProtocol

        def count(address: Any) -> Any:
            protocol = build(address)
            self.connections.append(protocol)
            return protocol

        site.buildProtocol = count  # type: ignore[method-assign]
        if context is None:
            port = reactor.listenTCP(0, site, interface="127.0.0.1")
        else:
            port = reactor.listenSSL(0, site, context, interface="127.0.0.1")

        def stop() -> Any:
            for protocol in self.connections:
                # Site's channels wrap the one that has the transport.
                transport = getattr(protocol, "transport", None)
                if transport is not None:
                    transport.loseConnection()
            return port.stopListening()

        # Connections that a test has broken end a moment later.
        self.addCleanup(lambda: Deferred.fromCoroutine(all_ended()))
        self.addCleanup(stop)
        number: int = port.getHost().port
        return number

    def transport(self, **settings: Any) -> Any:
        if "url" not in settings:
            settings["url"] = f"http://127.0.0.1:{self.listen()}/mail?token=hush"
        base = str(self.base)
        context = PluginContext(reactor, base, base, "mx.test", None, deferToThread)
        transport = WEBHOOK.build(WebhookSettings(secret_file="secret", **settings), context)
        self.addCleanup(lambda: Deferred.fromCoroutine(transport.stop()))
        return transport

    def impatient(self, seconds: float, **settings: Any) -> Any:
        """A transport that waits for no sign of life for longer; a connection may take its time."""
        transport = self.transport(**settings)
        transport._poster._patience = (0.0, seconds)
        return transport

    async def outcome(self, transport: Any, mail: Message | None = None) -> Any:
        mail = mail or message()
        (outcome,) = await transport.deliver(Delivery(mail, mail.addressees, "a@b.test"))
        return outcome


class DeliveryTests(WebhookCase):
    """What arrives, and what answers mean."""

    async def test_signed(self) -> None:
        outcome = await self.outcome(self.transport(headers={"X-Team": "blue"}))
        self.assertIsInstance(outcome, Delivered)
        self.assertIn("thanks", outcome.reply.text)
        self.assertNotIn("hush", str(outcome.reply))
        [(fields, body)] = self.application.got
        self.assertTrue(body.endswith(MAIL))
        self.assertIn(b"Delivered-To: ann@local.test\r\n", body)
        expected = signature(
            parse_secrets(SECRET), fields["webhook-id"], int(fields["webhook-timestamp"]), [body]
        )
        self.assertEqual(expected, fields["webhook-signature"])
        self.assertLess(abs(time.time() - int(fields["webhook-timestamp"])), 10)
        self.assertEqual(("message/rfc822", "blue"), (fields["content-type"], fields["x-team"]))

    async def test_json(self) -> None:
        await self.outcome(self.transport(format="json"))
        [(fields, body)] = self.application.got
        self.assertEqual("application/json", fields["content-type"])
        self.assertEqual("x", json.loads(body)["data"]["subject"])

    async def test_each_recipient_has_an_id_that_stays(self) -> None:
        transport = self.transport()
        mail = message(MAIL, "ann@local.test", "bob@local.test")
        for _ in range(2):
            await transport.deliver(Delivery(mail, mail.addressees, "a@b.test"))
        ids = [fields["webhook-id"] for fields, _ in self.application.got]
        self.assertEqual((4, 2), (len(ids), len(set(ids))))

    async def test_statuses(self) -> None:
        transport = self.transport()
        for status, kind, enhanced in [
            (200, Delivered, "2.0.0"),
            (204, Delivered, "2.0.0"),
            (302, Postponed, "4.3.0"),
            (400, Failed, "5.6.0"),
            (401, Postponed, "4.3.0"),
            (404, Failed, "5.1.1"),
            (408, Postponed, "4.3.0"),
            (413, Failed, "5.3.4"),
            (418, Failed, "5.3.0"),
            (425, Postponed, "4.3.0"),
            (429, Postponed, "4.3.2"),
            (500, Postponed, "4.3.0"),
            (503, Postponed, "4.3.2"),
        ]:
            self.application.say = answering(status)
            outcome = await self.outcome(transport)
            self.assertIsInstance(outcome, kind, status)
            self.assertEqual(enhanced, outcome.reply.enhanced, status)
        self.assertEqual(1, len(self.connections))

    async def test_statuses_as_configured(self) -> None:
        transport = self.transport(postpone=[404])
        for status, kind in ((404, Postponed), (429, Failed), (500, Postponed)):
            self.application.say = answering(status)
            self.assertIsInstance(await self.outcome(transport), kind)

    async def test_redirects_are_not_followed(self) -> None:
        self.application.say = answering(307, location="http://127.0.0.1:1/elsewhere")
        outcome = await self.outcome(self.transport())
        self.assertIn("redirects are not followed", outcome.reply.text)
        self.assertEqual(1, len(self.application.got))

    async def test_retry_after(self) -> None:
        self.application.say = answering(503, retry_after="120")
        self.assertEqual(120, (await self.outcome(self.transport())).after)

    async def test_is_left_alone(self) -> None:
        """What a busy application asks holds for the others too, who do not ask it."""
        self.application.say = answering(429, retry_after="10")
        transport = self.transport()
        transport._reactor = clock = Clock()
        clock.advance(time.time())
        mail = message(MAIL, *(f"u{number}@local.test" for number in range(20)))
        outcomes = await transport.deliver(Delivery(mail, mail.addressees, ""))
        self.assertEqual({Postponed}, {type(outcome) for outcome in outcomes})
        self.assertLessEqual(len(self.application.got), transport.concurrency(""))
        self.assertTrue(all(0 < outcome.after <= 10 for outcome in outcomes))
        self.application.say = answering(200)
        clock.advance(11)
        self.assertIsInstance(await self.outcome(transport), Delivered)

    async def test_trouble_with_one_message_is_not_all_of_it(self) -> None:
        self.application.say = answering(500, retry_after="100")
        transport = self.transport()
        await self.outcome(transport)
        self.application.say = answering(200)
        self.assertIsInstance(await self.outcome(transport), Delivered)

    async def test_the_answer_is_bounded_and_printable(self) -> None:
        self.application.say = answering(400, b"no\r\n\x00" + b"x" * 100_000)
        outcome = await self.outcome(self.transport(max_output=100))
        self.assertLess(len(outcome.reply.text), 300)
        self.assertTrue(outcome.reply.text.isprintable())

    async def test_authorization(self) -> None:
        (self.base / "token").write_text("Bearer abc\n")
        (self.base / "token").chmod(0o600)
        transport = self.transport(authorization_file="token")
        await self.outcome(transport)
        (self.base / "token").write_text("Bearer def\n")
        transport.reload()
        await self.outcome(transport)
        self.assertEqual(
            ["Bearer abc", "Bearer def"], [fields["authorization"] for fields, _ in self.application.got]
        )

    async def test_loop(self) -> None:
        mail = message(b"Delivered-To: ann@local.test\r\n\r\nx\r\n")
        self.assertIsInstance(await self.outcome(self.transport(), mail), Failed)
        self.assertEqual([], self.application.got)
        self.assertIsInstance(await self.outcome(self.transport(delivered_to=False), mail), Delivered)

    async def test_large_content_is_streamed(self) -> None:
        path = self.base / "content"
        data = b"Subject: x\r\n\r\n" + b"0123456789abc\r\n" * 500_000
        path.write_bytes(data)
        outcome = await self.outcome(self.transport(), message(FileContent(path, len(data))))
        self.assertIsInstance(outcome, Delivered)
        [(fields, body)] = self.application.got
        self.assertTrue(body.endswith(data))
        expected = signature(
            parse_secrets(SECRET), fields["webhook-id"], int(fields["webhook-timestamp"]), [body]
        )
        self.assertEqual(expected, fields["webhook-signature"])

    async def test_content_that_cannot_be_read(self) -> None:
        path = self.base / "content"
        path.write_bytes(MAIL)
        for content in (FileContent(self.base / "no", 5), FileContent(path, len(MAIL) + 1)):
            for form in ("raw", "json"):
                outcome = await self.outcome(self.transport(format=form), message(content))
                self.assertIsInstance(outcome, Postponed)
        self.assertEqual([], self.application.got)


class TroubleTests(WebhookCase):
    """Applications that do not answer."""

    async def test_nobody_there(self) -> None:
        outcome = await self.outcome(self.transport(url="http://127.0.0.1:1/"))
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual(("4.4.1", "connect"), (outcome.reply.enhanced, outcome.reply.command))
        self.assertIn("Connection refused", outcome.reply.text)

    async def test_silence(self) -> None:
        self.application.say = lambda request: NOT_DONE_YET
        outcome = await self.outcome(self.impatient(0.4))
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("no sign of life", outcome.reply.text)

    async def test_an_answer_without_end_counts(self) -> None:
        def drip(request: Any) -> Any:
            request.setResponseCode(404)
            request.write(b"never ")
            return NOT_DONE_YET

        self.application.say = drip
        outcome = await self.outcome(self.impatient(1.0))
        self.assertIsInstance(outcome, Failed)
        self.assertIn("never", outcome.reply.text)

    async def test_a_connection_closed_meanwhile_is_tried_again_at_once(self) -> None:
        transport = self.transport()
        await self.outcome(transport)

        def hang_up(request: Any) -> Any:
            self.application.say = lambda request: b"thanks"
            request.transport.abortConnection()
            return NOT_DONE_YET

        self.application.say = hang_up
        self.assertIsInstance(await self.outcome(transport), Delivered)
        self.assertEqual(3, len(self.application.got))
        self.assertEqual(self.application.got[1][0]["webhook-id"], self.application.got[2][0]["webhook-id"])

    async def test_hangs_up_always(self) -> None:
        def hang_up(request: Any) -> Any:
            request.transport.abortConnection()
            return NOT_DONE_YET

        self.application.say = hang_up
        outcome = await self.outcome(self.transport())
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("closed the connection", outcome.reply.text)
        self.assertEqual(2, len(self.application.got))

    async def raw_server(self, say: Callable[[Any], None]) -> str:
        """A server that does at the first octets what a test wants; its URL."""

        class Speaker(Protocol):
            begun = False

            def dataReceived(self, data: bytes) -> None:
                if not self.begun:
                    self.begun = True
                    say(self.transport)

        factory = Factory.forProtocol(Speaker)
        factory.noisy = False
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(lambda: Deferred.fromCoroutine(all_ended()))
        self.addCleanup(port.stopListening)
        return f"http://127.0.0.1:{port.getHost().port}/"

    async def test_answers_before_it_has_all(self) -> None:
        """An application need not read what it does not want, and nobody waits for it."""
        path = self.base / "content"
        path.write_bytes(b"Subject: x\r\n\r\n" + b"x" * 20_000_000)
        content = FileContent(path, path.stat().st_size)

        def say(transport: Any) -> None:
            transport.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            transport.pauseProducing()
            self.addCleanup(transport.abortConnection)

        outcome = await self.outcome(self.transport(url=await self.raw_server(say)), message(content))
        self.assertIsInstance(outcome, Failed)
        self.assertEqual("5.3.4", outcome.reply.enhanced)
        self.assertEqual([], self.flushLoggedErrors())

    async def test_does_not_read(self) -> None:
        """Nor is anything waited for that takes nothing."""
        path = self.base / "content"
        path.write_bytes(b"Subject: x\r\n\r\n" + b"x" * 20_000_000)
        content = FileContent(path, path.stat().st_size)
        kept: list[Any] = []

        def say(transport: Any) -> None:
            transport.pauseProducing()
            kept.append(transport)

        self.addCleanup(lambda: [transport.abortConnection() for transport in kept])
        transport = self.impatient(0.4, url=await self.raw_server(say))
        outcome = await self.outcome(transport, message(content))
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("no sign of life", outcome.reply.text)
        self.assertEqual([], self.flushLoggedErrors())

    async def test_is_not_http(self) -> None:
        def say(transport: Any) -> None:
            transport.write(b"220 mx.test ESMTP\r\n\r\n")
            transport.loseConnection()

        outcome = await self.outcome(self.transport(url=await self.raw_server(say)))
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("not HTTP", outcome.reply.text)

    async def test_concurrency(self) -> None:
        running = most = 0

        def slow(request: Any) -> Any:
            nonlocal running, most
            running += 1
            most = max(most, running)

            def end() -> None:
                nonlocal running
                running -= 1
                request.finish()

            reactor.callLater(0.02, end)
            return NOT_DONE_YET

        self.application.say = slow
        transport = self.transport(connections=3)
        self.assertEqual(3, transport.concurrency(""))
        await gatherResults([Deferred.fromCoroutine(self.outcome(transport)) for _ in range(12)])
        self.assertEqual((3, 3), (most, len(self.connections)))

    async def test_stop(self) -> None:
        self.application.say = lambda request: NOT_DONE_YET
        transport = self.transport(connections=1)
        mail = message(MAIL, "ann@local.test", "bob@local.test")
        done = Deferred.fromCoroutine(transport.deliver(Delivery(mail, mail.addressees, "")))
        while not self.application.got:
            await deferLater(reactor, 0.01)
        await transport.stop()
        outcomes = await done
        self.assertEqual([Postponed, Postponed], [type(outcome) for outcome in outcomes])
        self.assertEqual(1, len(self.application.got))


class TlsTests(WebhookCase):
    """HTTPS: the certificate counts."""

    def secure(self, name: str) -> tuple[int, str]:
        """A server with a certificate for a name; its port, and the certificate's file."""
        certificate, key = self_signed(self.base / name, name, time.time())
        pem = Path(certificate).read_bytes() + Path(key).read_bytes()
        return self.listen(PrivateCertificate.loadPEM(pem).options()), str(certificate)

    async def test_verified(self) -> None:
        port, file = self.secure("localhost")
        outcome = await self.outcome(self.transport(url=f"https://localhost:{port}/", authorities=file))
        self.assertIsInstance(outcome, Delivered)

    async def test_unknown_issuer(self) -> None:
        port, _ = self.secure("localhost")
        outcome = await self.outcome(self.transport(url=f"https://localhost:{port}/"))
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual("4.7.5", outcome.reply.enhanced)
        self.assertEqual([], self.application.got)

    async def test_another_name(self) -> None:
        port, file = self.secure("other.test")
        outcome = await self.outcome(self.transport(url=f"https://127.0.0.1:{port}/", authorities=file))
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual("4.7.5", outcome.reply.enhanced)
        self.assertEqual([], self.application.got)


class SettingsTests(WebhookCase):
    """Mistakes are found before the start."""

    def test_url(self) -> None:
        for url, words in [
            ("", "it is an address such as"),
            ("ftp://app.test/", "it is an address such as"),
            ("https:///x", "it is an address such as"),
            ("https://app.test:x/", "it is an address such as"),
            ("https://ann:hush@app.test/", "no password stands in it"),
            ("https://app.test/#x", "behind #"),
        ]:
            with self.assertRaises(ValidationError) as caught:
                WebhookSettings(url=url, secret_file="secret")
            self.assertIn(words, str(caught.exception))

    def test_headers_and_statuses(self) -> None:
        for settings, words in [
            ({"headers": {"Webhook-Id": "x"}}, "not for you to set"),
            ({"headers": {"a b": "x"}}, "no name"),
            ({"headers": {"a": "x\r\ny"}}, "one line"),
            ({"postpone": [500]}, "not of 4xx"),
        ]:
            with self.assertRaises(ValidationError) as caught:
                WebhookSettings(url="https://app.test/", secret_file="secret", **settings)
            self.assertIn(words, str(caught.exception))

    def test_files(self) -> None:
        (self.base / "bad").write_text("hush")
        (self.base / "two").write_text("a\nb\n")
        context = PluginContext(reactor, "", str(self.base), "mx.test", None, deferToThread)
        for settings, key in [
            ({"secret_file": "missing"}, "secret_file: "),
            ({"secret_file": "bad"}, "secret_file: "),
            ({"secret_file": "secret", "authorization_file": "two"}, "authorization_file: "),
            ({"secret_file": "secret", "authorities": "secret"}, "authorities: "),
        ]:
            with self.assertRaises(ValueError) as caught:
                WEBHOOK.build(WebhookSettings(url="https://app.test/", **settings), context)
            self.assertTrue(str(caught.exception).startswith(key), str(caught.exception))
            self.assertNotIn("hush", str(caught.exception))


class RetryAfterTests(SynchronousTestCase):
    """RFC 9110, 10.2.3."""

    def test_forms(self) -> None:
        for value, expected in [
            ("", 0),
            ("120", 120),
            ("99999999999999", 86400),
            ("-5", 0),
            ("soon", 0),
            ("Fri, 15 Jan 2027 08:01:00 GMT", 60),
            ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
            ("Fri, 99 Jan 99999999 07:00:00 GMT", 0),
        ]:
            self.assertEqual(expected, retry_after(value, 1.8e9), value)
