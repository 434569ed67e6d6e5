"""One message on its way to one server: its commands, and what became of each recipient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from mta.model.catalogue import REPLIES
from mta.model.header import header_section
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Delivered, Failed, Outcome, Postponed, RemoteReply
from mta.smtp.client_reply import ServerReply

_BREAK = re.compile("[\r\n\0]")
_LIMIT = re.compile(rb"[0-9]{1,18}\Z")


class Offer:
    """What a server offered in its answer to EHLO (RFC 5321, 4.1.1.1).

    :param lines: the lines of the answer; the first is only a greeting.
    :ivar size: octets that it takes at most; 0 for no limit or no word of it.
    :ivar auth: SASL mechanisms, in upper case.
    """

    __slots__ = (
        "auth", "binary", "chunking", "declares_size", "dsn", "eight_bit", "pipelining", "priorities", "size",
        "starttls", "utf8",
    )  # fmt: skip

    def __init__(self, lines: Sequence[bytes] = ()) -> None:
        words: dict[bytes, list[bytes]] = {}
        for line in lines[1:]:
            # "AUTH=LOGIN PLAIN" is the way of servers older than RFC 2554.
            name, *values = line.upper().replace(b"AUTH=", b"AUTH ", 1).split() or [b""]
            words.setdefault(name, []).extend(values)
        self.pipelining = b"PIPELINING" in words
        self.chunking = b"CHUNKING" in words
        self.binary = self.chunking and b"BINARYMIME" in words
        self.eight_bit = b"8BITMIME" in words
        self.utf8 = b"SMTPUTF8" in words
        self.dsn = b"DSN" in words
        self.priorities = b"MT-PRIORITY" in words
        self.starttls = b"STARTTLS" in words
        self.declares_size = b"SIZE" in words
        limit = words.get(b"SIZE") or [b"0"]
        self.size = int(limit[0]) if _LIMIT.match(limit[0]) else 0
        self.auth = tuple(value.decode("ascii", "replace") for value in words.get(b"AUTH", ()))


def own_reply(name: str, command: str, tls: str = "", /, **values: object) -> RemoteReply:
    """What we say, from the catalogue, in place of a server that could not.

    :param name: the catalogue's name of it.
    :param command: at which command.
    :param tls: TLS of the connection, in words.
    """
    reply = REPLIES.reply(name, **values)
    return RemoteReply(reply.code, reply.enhanced, reply.text, "", command, tls)


def verdict(reply: RemoteReply) -> Postponed | Failed:
    """The outcome that a negative reply stands for."""
    return Failed(reply) if reply.code >= 500 else Postponed(reply)


class Transaction:
    """See the module.

    :param message: what to send: its trace and its content.
    :param addressees: to whom.
    :param sender: the reverse-path.
    :param probe: whether it ends after RCPT, whose replies then are the outcomes.
    :ivar outcomes: of each addressee in order; ``None`` while it is open.
    :ivar accepted: positions of the addressees whose RCPT was answered with 2xx.
    :ivar touched: whether the server answered any command of it.
    :ivar sent: whether the last octet of it was handed to the network.
    :ivar done: for whoever waits for it; the session does not look at it.
    :ivar tries: connections that it was begun on; likewise.
    """

    __slots__ = (
        "_eight_bit", "_header_eight_bit", "accepted", "addressees", "awaited", "commands", "done", "dsn",
        "going", "held", "mail_refused", "message", "outcomes", "probe", "sender", "sent", "touched", "tries",
    )  # fmt: skip

    outcomes: list[Outcome | None]

    def __init__(
        self, message: Message, addressees: Sequence[Addressee], sender: str, probe: bool = False
    ) -> None:
        self.message = message
        self.addressees = addressees
        self.sender = sender
        self.probe = probe
        self.done: Any = None
        self.tries = 0
        self._eight_bit: bool | None = None
        self._header_eight_bit = False
        self.reset()

    def reset(self) -> None:
        """Forget what a connection did, so that another one may try."""
        self.outcomes = [None] * len(self.addressees)
        self.accepted: list[int] = []
        self.going: list[int] = []
        self.commands: list[bytes] = []
        self.awaited = 0
        self.touched = False
        self.sent = False
        self.held = False
        self.mail_refused = False
        self.dsn = False

    @property
    def inline(self) -> bool:
        """Whether the content is in memory, so that it goes out in one piece."""
        return isinstance(self.message.content, InlineContent)

    @property
    def open(self) -> bool:
        """Whether an addressee has no outcome yet."""
        return None in self.outcomes

    # --- what it demands of a server -----------------------------------------

    def unexamined(self, offer: Offer) -> bool:
        """Whether somebody must read the content (:func:`~mta.smtp.client_stuffing.examine`)
        before it is known if this server takes it."""
        if self._eight_bit is not None or self.inline:
            return False
        return not offer.eight_bit or (self.message.envelope.smtputf8 and not offer.utf8)

    def examined(self, eight_bit: bool, header_eight_bit: bool) -> None:
        """The content was read: what was found in it."""
        trace = self.message.trace.isascii()
        self._eight_bit = eight_bit or not trace
        self._header_eight_bit = header_eight_bit or not trace

    def prepare(self, offer: Offer, host: str, tls: str) -> None:
        """Write the envelope's commands, and decide what this server cannot take.

        Afterwards ``commands`` holds MAIL and one RCPT for each of ``going``; both
        are empty if nothing is to be sent.

        :param host: the server, in words for an outcome.
        :param tls: TLS of the connection, in words.
        """
        message = self.message
        envelope = message.envelope
        content = message.content
        if isinstance(content, InlineContent) and self._eight_bit is None:
            eight_bit = not content.data.isascii()
            if eight_bit and envelope.smtputf8:
                self.examined(eight_bit, not header_section(content.data).isascii())
            else:
                self.examined(eight_bit, False)
        if _BREAK.search(self.sender):
            return self._refuse("bad-sender-syntax", tls, problem="a line break in the address")
        size = message.size
        words = [f"MAIL FROM:<{self.sender}>"]
        if offer.declares_size:
            if 0 < offer.size < size:
                return self._refuse("remote-size", tls, host=host, limit=offer.size, size=size)
            words.append(f"SIZE={size}")
        if envelope.body == "BINARYMIME":
            if not offer.binary:
                return self._refuse("remote-no-8bit", tls, host=host)
            words.append("BODY=BINARYMIME")
        elif offer.eight_bit:
            # A file nobody has read may hold anything; 8BITMIME promises nothing about it.
            if self._eight_bit is not False or envelope.body == "8BITMIME":
                words.append("BODY=8BITMIME")
        elif self._eight_bit:
            return self._refuse("remote-no-8bit", tls, host=host)
        utf8 = False
        going: Sequence[int] = range(len(self.addressees))
        if offer.utf8:
            utf8 = envelope.smtputf8 or self._needs_utf8()
        elif not self.sender.isascii() or (envelope.smtputf8 and self._header_eight_bit):
            return self._refuse("remote-no-smtputf8", tls, host=host)
        else:
            going = [index for index in going if self.addressees[index].address.isascii()]
            if len(going) < len(self.addressees):
                reply = own_reply("remote-no-smtputf8", "MAIL FROM", tls, host=host)
                for index, addressee in enumerate(self.addressees):
                    if not addressee.address.isascii():
                        self.outcomes[index] = Failed(reply)
                if not going:
                    return None
        if utf8:
            words.append("SMTPUTF8")
        if offer.priorities:
            # RFC 6710, 4.2: it goes with the message from server to server, the usual one too.
            words.append(f"MT-PRIORITY={int(message.attributes.get('priority', 0))}")
        self.dsn = offer.dsn
        if offer.dsn:
            if envelope.ret:
                words.append(f"RET={envelope.ret}")
            if envelope.envid:
                words.append(f"ENVID={xtext(envelope.envid)}")
        words[-1] += "\r\n"
        self.commands.append(" ".join(words).encode("utf-8", "surrogateescape"))
        for index in going:
            addressee = self.addressees[index]
            address = addressee.address
            if _BREAK.search(address):
                # Nothing lets such an address in; if it did, it would be a command of its own.
                reply = own_reply(
                    "bad-recipient-syntax", "RCPT TO", tls, problem="a line break in the address"
                )
                self.outcomes[index] = Failed(reply)
                continue
            line = f"RCPT TO:<{address}>"
            if offer.dsn:
                if addressee.notify:
                    line += f" NOTIFY={','.join(sorted(addressee.notify))}"
                if addressee.orcpt:
                    line += f" ORCPT={_orcpt(addressee.orcpt)}"
            self.commands.append(f"{line}\r\n".encode("utf-8", "surrogateescape"))
            self.going.append(index)
        self.awaited = len(self.going)
        if not self.going:
            self.commands.clear()
        return None

    def _needs_utf8(self) -> bool:
        if not self.sender.isascii():
            return True
        return not all(addressee.address.isascii() for addressee in self.addressees)

    def _refuse(self, name: str, tls: str, **values: object) -> None:
        self.decide_rest(own_reply(name, "MAIL FROM", tls, **values))

    # --- what became of it ---------------------------------------------------

    def deliver(self, index: int, reply: RemoteReply) -> None:
        """The server took responsibility for an addressee."""
        self.outcomes[index] = Delivered(reply, self.dsn)

    def decide(self, index: int, reply: RemoteReply) -> None:
        """The server refused an addressee."""
        self.outcomes[index] = verdict(reply)

    def decide_rest(self, reply: RemoteReply) -> None:
        """One negative reply for all that are still open."""
        outcome = verdict(reply)
        self.outcomes = [outcome if known is None else known for known in self.outcomes]

    def postpone_rest(self, reply: RemoteReply) -> None:
        """All that are still open are to be tried again, whatever the code."""
        outcome = Postponed(reply)
        self.outcomes = [outcome if known is None else known for known in self.outcomes]


def quote(reply: ServerReply, host: str, command: str, tls: str) -> RemoteReply:
    """A server's reply as it stands in an outcome."""
    enhanced, text = reply.parts()
    return RemoteReply(reply.code, enhanced, text, host, command, tls)


_XTEXT = re.compile("[^!-*,-<>-~]")


@lru_cache(maxsize=256)
def xtext(text: str) -> str:
    """Write as xtext (RFC 3461, 4): what is not printable ASCII, ``+`` and ``=`` as ``+HH``."""
    return _XTEXT.sub(lambda match: "".join(f"+{octet:02X}" for octet in match[0].encode()), text)


def _orcpt(value: str) -> str:
    kind, _, address = value.partition(";")
    if kind.lower() == "utf-8" and not value.isascii():
        # RFC 6533, 3: utf-8-addr-xtext, which needs no SMTPUTF8.
        address = re.sub(r"[^!-*,-<>-\[\]-~]", lambda match: f"\\x{{{ord(match[0]):X}}}", address)
        return f"{kind};{address}"
    return f"{kind};{xtext(address)}"
