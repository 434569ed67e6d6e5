"""A reception, an authenticator and a client in memory, for dialogues with the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from mta.config.settings import Limits
from mta.interfaces import Challenge, Denied, IAuthenticator, IIncoming, IReception, Success
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Event
from mta.model.reply import Reply
from mta.smtp.connections import Connections
from mta.smtp.factory import SmtpFactory
from mta.smtp.protocol import SmtpProtocol


def limits(**values: Any) -> Limits:
    """Limits with some of them changed, also below what the configuration allows."""
    return Limits().model_copy(update=values)  # type: ignore[call-arg]


@implementer(IIncoming)
class FakeIncoming:
    """Keeps content in memory."""

    def __init__(self, reception: FakeReception, client: Client, envelope: Envelope) -> None:
        self.reception = reception
        self.client = client
        self.envelope = envelope
        self.data = b""
        self.producer: Any = None
        self.aborted = False

    def write(self, block: bytes) -> None:
        if self.reception.write_error is not None:
            raise self.reception.write_error
        self.data += block

    def register(self, producer: Any) -> None:
        self.producer = producer

    def finish(self) -> Any:
        answer = self.reception.answer("finish", self.data)
        if answer is not None:
            return answer
        self.reception.messages.append(self)
        count = len(self.envelope.recipients) if self.client.role == "lmtp" else 1
        return [REPLIES.reply("queued", id=str(len(self.reception.messages)))] * count

    def abort(self) -> None:
        self.aborted = True


@implementer(IReception)
class FakeReception:
    """Says yes, unless ``answers`` has something else for the question, or for question and address.

    An answer may be a reply, an exception to raise, or a callable that gives
    the answer, such as a Deferred.
    """

    def __init__(self) -> None:
        self.answers: dict[Any, Any] = {}
        self.asked: list[tuple[str, Any]] = []
        self.messages: list[FakeIncoming] = []
        self.incoming: list[FakeIncoming] = []
        self.events: list[Event] = []
        self.write_error: Exception | None = None
        self.protocols: list[str] = []
        self.over: list[str] = []

    def answer(self, question: str, about: Any) -> Any:
        self.asked.append((question, about))
        found = self.answers.get((question, about), self.answers.get(question))
        if isinstance(found, Exception):
            raise found
        return found() if callable(found) else found

    def connect(self, client: Client) -> Any:
        return self.answer("connect", client.address)

    def hello(self, client: Client) -> Any:
        return self.answer("hello", client.helo)

    def sender(self, client: Client, account: Any, envelope: Envelope) -> Any:
        self.protocols.append(client.protocol)
        return self.answer("sender", envelope.reverse_path) or REPLIES.reply("sender-ok")

    def recipient(self, client: Client, envelope: Envelope, recipient: Recipient) -> Any:
        return self.answer("recipient", recipient.address) or REPLIES.reply("recipient-ok")

    def data(self, client: Client, envelope: Envelope) -> FakeIncoming:
        self.answer("data", envelope.reverse_path)
        self.incoming.append(FakeIncoming(self, client, envelope))
        return self.incoming[-1]

    def closed(self, client: Client) -> None:
        self.over.append(client.session)

    def note(self, event: Event) -> None:
        self.events.append(event)


class FakeAccount:
    def __init__(self, name: str) -> None:
        self.name = name

    def may_send_as(self, address: str) -> bool:
        return address == self.name


class FakeExchange:
    """One step; ``deferred`` makes it answer later."""

    def __init__(self, authenticator: FakeAuthenticator, mechanism: str) -> None:
        self.authenticator = authenticator
        self.mechanism = mechanism

    def step(self, response: bytes | None) -> Any:
        self.authenticator.responses.append(response)
        if response is None:
            return Challenge(b"who?")
        if response == b"right":
            return Success(FakeAccount("ann@local.test"))
        if response == b"down":
            return Denied(True, "the directory is down", "ann@local.test")
        if response == b"often":
            return Denied(True, "not looked at", "ann@local.test", wait=61.0)
        if response == b"odd":
            return Denied(False, "odd", "", malformed=True)
        if response == b"explode":
            raise RuntimeError("secret")
        return Denied(False, "wrong password", "ann@local.test")


@implementer(IAuthenticator)
class FakeAuthenticator:
    def __init__(self) -> None:
        self.responses: list[bytes | None] = []
        self.bindings: list[Callable[[str], bytes | None]] = []

    def mechanisms(self, tls: bool, binding_available: bool) -> list[str]:
        return ["X-SAFE", "PLAIN"] if tls else ["X-SAFE"]

    def begin(self, mechanism: str, client: Client, channel_binding: Any) -> FakeExchange:
        self.bindings.append(channel_binding)
        return FakeExchange(self, mechanism)


class Dialogue:
    """A client on a connection in memory.

    ``say`` sends lines and answers with what the server said then; ``send``
    sends octets as they are.
    """

    def __init__(
        self,
        role: str = "mx",
        *,
        reception: FakeReception | None = None,
        connect: bool = True,
        address: str = "192.0.2.7",
        connections: Connections | None = None,
        factory: SmtpFactory | None = None,
        **options: Any,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1.8e9)
        self.reception = reception or FakeReception()
        self.limits = options.pop("limits", None) or limits()
        self.factory = factory or SmtpFactory(
            reactor=self.clock,
            role=role,
            hostname="mx.local.test",
            reception=self.reception,
            limits=self.limits,
            connections=connections or Connections(self.limits),
            session_id=lambda: "s1",
            **options,
        )
        if factory is not None:
            self.clock = factory._reactor
        self.address = address
        self.greeting = self.connect() if connect else ""

    def connect(self) -> str:
        peer = IPv4Address("TCP", self.address, 40000)
        self.protocol: SmtpProtocol = self.factory.buildProtocol(peer)
        self.transport = StringTransport(hostAddress=IPv4Address("TCP", "192.0.2.1", 25), peerAddress=peer)
        self.protocol.makeConnection(self.transport)
        return self.heard()

    def heard(self) -> str:
        value = self.transport.value().decode()
        self.transport.clear()
        return value

    def send(self, data: bytes) -> str:
        self.protocol.dataReceived(data)
        return self.heard()

    def say(self, *lines: str) -> str:
        return self.send("".join(f"{line}\r\n" for line in lines).encode())

    def hello(self, name: str = "client.test") -> Dialogue:
        word = "LHLO" if self.factory._role == "lmtp" else "EHLO"
        reply = self.say(f"{word} {name}")
        assert reply.startswith("250"), reply
        return self

    def begin(self, *recipients: str) -> Dialogue:
        """MAIL and RCPT, all accepted."""
        assert self.say("MAIL FROM:<a@far.test>").startswith("250")
        for recipient in recipients or ("ann@local.test",):
            reply = self.say(f"RCPT TO:<{recipient}>")
            assert reply.startswith("250"), reply
        return self

    def secure(self) -> Dialogue:
        """As if a handshake were over."""
        self.protocol.session.secured("TLSv1.3", "TLS_AES_256_GCM_SHA384")
        return self

    @property
    def closed(self) -> bool:
        return bool(self.transport.disconnecting)

    @property
    def events(self) -> list[Any]:
        return self.reception.events


def codes(text: str) -> list[str]:
    """The code of each reply, one for a reply of several lines."""
    return [line[:3] for line in text.splitlines() if line[3:4] != "-"]


def later() -> tuple[Deferred[Any], Callable[[], Deferred[Any]]]:
    """A Deferred, and an answer for ``FakeReception`` that gives it."""
    deferred: Deferred[Any] = Deferred()
    return deferred, lambda: deferred


def refusal(code: int = 550, text: str = "No") -> Reply:
    return Reply(code, (text,), "5.7.1" if code >= 500 else "4.7.1", "policy", "rule-x", {"why": "because"})
