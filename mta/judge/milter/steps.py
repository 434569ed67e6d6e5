"""The steps of a session, and how each is written."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from mta.judge.milter.options import NOTHING, Protocol
from mta.judge.milter.packets import Packet, terminated
from mta.model.envelope import Client, Envelope, Recipient

#: Octets of the body in one packet (MILTER_CHUNK_SIZE).
PIECE = 65535
_PORT = struct.Struct(">H")


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    :ivar name: for the journal.
    :ivar command: what its packets begin with.
    :ivar unwanted: set where the filter does not want to hear of it.
    :ivar silent: set where it does not answer.
    :ivar macros: under which number it says which macros it wants (SMFIM_...); -1: with none.
    """

    name: str
    command: bytes
    unwanted: Protocol = NOTHING
    silent: Protocol = NOTHING
    macros: int = -1


CONNECT = Step("connect", b"C", Protocol.NO_CONNECT, Protocol.SILENT_CONNECT, 0)
HELLO = Step("hello", b"H", Protocol.NO_HELLO, Protocol.SILENT_HELLO, 1)
MAIL = Step("mail", b"M", Protocol.NO_MAIL, Protocol.SILENT_MAIL, 2)
RECIPIENT = Step("recipient", b"R", Protocol.NO_RECIPIENT, Protocol.SILENT_RECIPIENT, 3)
DATA = Step("data", b"T", Protocol.NO_DATA, Protocol.SILENT_DATA, 4)
HEADER = Step("header", b"L", Protocol.NO_HEADER, Protocol.SILENT_HEADER)
END_OF_HEADER = Step("end of header", b"N", Protocol.NO_END_OF_HEADER, Protocol.SILENT_END_OF_HEADER, 6)
BODY = Step("body", b"B", Protocol.NO_BODY, Protocol.SILENT_BODY)
END_OF_MESSAGE = Step("end of message", b"E", macros=5)

#: The transaction is over; there is no answer.
ABORT = Packet(b"A").encode()
#: The session is over, and so is the connection.
QUIT = Packet(b"Q").encode()
#: The session is over; another one follows on the same connection.
QUIT_AND_GO_ON = Packet(b"K").encode()


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def connected(client: Client) -> Packet:
    """Who is there.  Mail that came over no network is said to come from this machine itself."""
    address = client.address.partition("%")[0] or "127.0.0.1"
    name = client.reverse_name or (f"[{address}]" if client.address else "localhost")
    family = b"6" if ":" in address else b"4"
    return Packet(
        b"C", terminated(_octets(name)) + family + _PORT.pack(client.port) + terminated(_octets(address))
    )


def hello(client: Client) -> Packet:
    """What it said of itself."""
    return Packet(b"H", terminated(_octets(client.helo)))


def sender(envelope: Envelope) -> Packet:
    """The reverse-path with its parameters."""
    parameters = []
    if envelope.size:
        parameters.append(f"SIZE={envelope.size}")
    if envelope.body != "7BIT":
        parameters.append(f"BODY={envelope.body}")
    if envelope.smtputf8:
        parameters.append("SMTPUTF8")
    if envelope.ret:
        parameters.append(f"RET={envelope.ret}")
    if envelope.envid:
        parameters.append(f"ENVID={_xtext(envelope.envid)}")
    if envelope.auth:
        parameters.append(f"AUTH={_xtext(envelope.auth)}")
    return Packet(b"M", terminated(*map(_octets, (f"<{envelope.reverse_path}>", *parameters))))


def recipient(one: Recipient) -> Packet:
    """A forward-path with its parameters."""
    parameters = []
    if one.notify:
        parameters.append(f"NOTIFY={','.join(sorted(one.notify))}")
    if one.orcpt:
        kind, _, address = one.orcpt.partition(";")
        parameters.append(f"ORCPT={kind};{_xtext(address)}")
    return Packet(b"R", terminated(*map(_octets, (f"<{one.address}>", *parameters))))


def field(octets: bytes, leading_space: bool) -> Packet | None:
    """One header field; ``None`` for a line that is none.

    :param octets: with its folds and its CRLF.
    :param leading_space: whether the value keeps the space before it.
    """
    name, colon, value = octets.removesuffix(b"\r\n").partition(b":")
    name = name.rstrip(b" \t")
    if not colon or not name or b" " in name or b"\t" in name:
        return None
    if not leading_space:
        # Sendmail eats one space, and filters count on it.
        value = value.removeprefix(b" ")
    return Packet(b"L", terminated(name, value.replace(b"\r\n", b"\n")))


def _xtext(text: str) -> str:
    """RFC 3461, 4."""
    return "".join(c if "!" <= c <= "~" and c not in "+=" else f"+{ord(c):02X}" for c in text)
