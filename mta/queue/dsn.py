"""Delivery status notifications: what the sender reads, and what a program reads; pure.

A notification is a ``multipart/report`` (RFC 6522) of three parts: an account
in plain words, the fields of RFC 3464 for programs, and the message or its
header section.  About messages with SMTPUTF8 the parts are those of RFC 6533.
Everything but a returned message with 8-bit content is 7-bit.
"""

from __future__ import annotations

import quopri
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import formatdate

from mta.model.header import field_value, header_section
from mta.model.message import Message
from mta.model.outcome import RemoteReply
from mta.queue.dsn_text import meaning
from mta.queue.settlement import Report, span

#: Recipients that the plain words name; the fields for programs name all.
NAMED = 50
#: Octets of a header section that are returned.
HEADER = 64 * 1024

_AFTER_EXPIRY = (
    "Send it again when what the last answer tells of is mended; "
    "if you cannot know, ask the recipient in another way."
)
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\Z")
#: Where in ``mx.example.org [192.0.2.1]`` the name ends.
_HOST_END = re.compile(r"[\s(]|(?<=.)\[")
#: Octets behind which a line is folded that is too long (RFC 5321, 4.5.3.1.6: 998 and CRLF).
_LONG = re.compile(rb"([^\r\n]{896,900})(?=[^\r\n\x80-\xbf][^\r\n]{98})")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")
_MESSAGE_ID = re.compile(rb"<[!-;=?-~]{1,250}>\Z")


@dataclass(frozen=True, slots=True)
class Notice:
    """Everything that a notification is made of.

    :ivar identifier: its queue id.
    :ivar hostname: our name.
    :ivar to: whom it goes to.
    :ivar now: when it is made, in seconds since 1970.
    :ivar message: what it is about.
    :ivar reports: about whom; all of the same action, but ``delivered`` and
        ``relayed`` may come together.
    :ivar original: trace and content of the message, or its header section.
    :ivar whole: whether ``original`` is more than the header section.
    :ivar postmaster: whether it goes to the postmaster in place of a sender that
        takes no notifications.
    """

    identifier: str
    hostname: str
    to: str
    now: float
    message: Message
    reports: Sequence[Report]
    original: bytes
    whole: bool = False
    postmaster: bool = False

    @property
    def action(self) -> str:
        """What became of the recipients: ``failed``, ``delayed`` or ``delivered``."""
        action = self.reports[0].action
        return "delivered" if action == "relayed" else action

    @property
    def is_relayed(self) -> bool:
        """Whether it was passed on, and nobody will tell of the mailbox."""
        return all(report.action == "relayed" for report in self.reports)

    @property
    def is_international(self) -> bool:
        """Whether the parts are those of RFC 6533."""
        addressees = [report.addressee for report in self.reports]
        return (
            self.message.envelope.smtputf8
            or not self.to.isascii()
            or not all(one.address.isascii() and one.original.isascii() for one in addressees)
        )


def compose(notice: Notice) -> bytes:
    """The whole notification, lines ended by CRLF."""
    international = notice.is_international
    returned, original_parts = _returned(notice, international)
    account = _account(notice).replace("\n", "\r\n")
    status = _status(notice, international)
    boundary = f"={notice.identifier}"
    while f"--{boundary}".encode() in returned:
        boundary += "="
    if account.isascii():
        encoding, text = "7bit", account.encode()
    else:
        encoding = "quoted-printable"
        text = quopri.encodestring(account.replace("\r\n", "\n").encode()).replace(b"\n", b"\r\n")
    kind = "global-delivery-status" if international else "delivery-status"
    parts = [
        _head(f"text/plain; charset={'us-ascii' if encoding == '7bit' else 'utf-8'}", encoding) + text,
        _head(f"message/{kind}", "7bit" if status.isascii() else "8bit") + status,
        original_parts + returned,
    ]
    eight = not all(part.isascii() for part in parts)
    separator = f"--{boundary}\r\n".encode()
    body = b"".join(separator + _ended(part) + b"\r\n" for part in parts)
    return b"".join(
        (
            _header(notice, boundary, eight),
            b"This is a report in three parts: words, fields for programs, and your message.\r\n\r\n",
            body,
            f"--{boundary}--\r\n".encode(),
        )
    )


def has_long_lines(data: bytes) -> bool:
    """Whether a line is longer than every server takes (RFC 5321, 4.5.3.1.6)."""
    return re.search(rb"[^\r\n]{999}", data) is not None


def _ended(part: bytes) -> bytes:
    return part if part.endswith(b"\r\n") else part + b"\r\n"


def _head(kind: str, encoding: str) -> bytes:
    return f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()


def _header(notice: Notice, boundary: str, eight: bool) -> bytes:
    lines = [
        f"Date: {formatdate(notice.now, localtime=True)}",
        f"From: Mail Delivery System <MAILER-DAEMON@{notice.hostname}>",
        f"To: <{clean(notice.to)}>",
        _folded("Subject", _subject(notice)),
        f"Message-ID: <{notice.identifier}@{notice.hostname}>",
        "Auto-Submitted: auto-replied",
    ]
    about = field_value(header_section(notice.original[:HEADER]), b"message-id")
    if about is not None and _MESSAGE_ID.match(about):
        lines += [f"In-Reply-To: {about.decode()}", f"References: {about.decode()}"]
    lines += [
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"',
    ]
    if eight:
        lines.append("Content-Transfer-Encoding: 8bit")
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace") + b"\r\n"


def _subject(notice: Notice) -> str:
    reports = notice.reports
    # Without SMTPUTF8 a header field is ASCII; an address that is not goes into the text only.
    address = clean(reports[0].addressee.original)
    one = len(reports) == 1 and (address.isascii() or not notice.to.isascii()) and len(address) <= 200
    whom = address if one else "a recipient" if len(reports) == 1 else f"{len(reports)} recipients"
    if notice.postmaster:
        return f"Undeliverable, and nobody to tell: message {notice.message.id} to {whom}"
    if notice.action == "failed":
        return f"Your message could not be delivered to {whom}"
    if notice.action == "delayed":
        return f"Your message to {whom} is delayed, and still being tried"
    if notice.is_relayed:
        return f"Your message to {whom} was passed on to another server"
    return f"Your message was delivered to {whom}"


# --- the original --------------------------------------------------------------


def _returned(notice: Notice, international: bool) -> tuple[bytes, bytes]:
    """The third part's octets and its header."""
    original = notice.original
    if notice.whole:
        kind = "message/global" if international else "message/rfc822"
        return original, _head(kind, "7bit" if original.isascii() else "8bit")
    # BINARYMIME may hold anything; a notification is a text, and bare line ends in it could be
    # taken for its end by a server on the way (SMTP smuggling).
    header = _BARE.sub(b" ", header_section(original[:HEADER]))
    # Some servers take longer lines than others; no bounce is to be refused for them.
    header = _LONG.sub(rb"\1\r\n ", header)
    if header.isascii():
        kind = "message/global-headers" if international else "text/rfc822-headers"
        return header, _head(kind, "7bit")
    if international:
        return header, _head("message/global-headers", "8bit")
    # A text may be encoded, so even a header that breaks the rules goes anywhere.
    encoded = quopri.encodestring(header.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    return encoded, _head("text/rfc822-headers; charset=utf-8", "quoted-printable")


# --- fields for programs ---------------------------------------------------------


def _status(notice: Notice, international: bool) -> bytes:
    message = notice.message
    lines: list[str] = []
    if message.envelope.envid and not notice.postmaster and "sender" not in _options(notice):
        lines.append(_field("Original-Envelope-Id", message.envelope.envid))
    lines.append(f"Reporting-MTA: dns; {notice.hostname}")
    lines.append(f"Arrival-Date: {formatdate(message.created, localtime=True)}")
    hold = message.attributes.get("hold")
    if hold:
        # RFC 4865, 5.1.2: why it arrived long before it was sent on.
        lines.append(_field("Future-Release-Request", str(hold)))
    for report in notice.reports:
        lines.append("")
        lines += _recipient_fields(report, message)
    text = "\r\n".join(lines) + "\r\n"
    return text.encode("utf-8", "replace") if international else text.encode("ascii", "replace")


def _options(notice: Notice) -> dict[str, object]:
    return notice.reports[0].addressee.options


def _recipient_fields(report: Report, message: Message) -> Iterator[str]:
    addressee = report.addressee
    if addressee.orcpt:
        kind, _, address = addressee.orcpt.partition(";")
        yield _field("Original-Recipient", f"{kind}; {address.strip()}")
    elif addressee.original != addressee.address:
        yield _field("Original-Recipient", _typed(addressee.original))
    yield _field("Final-Recipient", _typed(addressee.address))
    yield f"Action: {report.action}"
    yield f"Status: {_status_code(report)}"
    said = report.last if report.last is not None else report.reply
    if said.host:
        yield _field("Remote-MTA", f"dns; {_HOST_END.split(said.host, maxsplit=1)[0]}")
    words = f"{said.code} {said.enhanced} {said.text}".replace("  ", " ")
    yield _field("Diagnostic-Code", f"{'smtp' if said.host else 'x-mta'}; {words}")
    yield f"Last-Attempt-Date: {formatdate(report.at, localtime=True)}"
    if report.action == "delayed":
        yield f"Will-Retry-Until: {formatdate(message.expires, localtime=True)}"


def _typed(address: str) -> str:
    return f"{'rfc822' if address.isascii() else 'utf-8'}; {address}"


def _status_code(report: Report) -> str:
    code = report.reply.enhanced
    if report.action in ("delivered", "relayed"):
        return code if _STATUS.match(code) and code[0] == "2" else "2.0.0"
    if not _STATUS.match(code) or code[0] == "2":
        code = "5.0.0" if report.action == "failed" else "4.0.0"
    if report.action == "failed" and not report.expired:
        # Some servers refuse for good and write 4 all the same; the reply code decided.
        return "5" + code[1:]
    return code


def _field(name: str, value: str) -> str:
    return _folded(name, clean(value)[:2000])


def _folded(name: str, value: str) -> str:
    lines = textwrap.wrap(
        f"{name}: {value}", 76, subsequent_indent=" ", break_long_words=False, break_on_hyphens=False
    )
    # A line has 998 octets at the most (RFC 5322, 2.1.1), whatever a remote server wrote.
    return "\r\n".join(line if len(line) < 240 else "\r\n ".join(_cut(line, 240)) for line in lines)


def _cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def clean(text: str) -> str:
    """``text`` without anything that could begin a line, or make others read what is not there."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


# --- plain words -------------------------------------------------------------------


def _account(notice: Notice) -> str:
    paragraphs = [f"This is the mail server {notice.hostname}.", _opening(notice)]
    for report in notice.reports[:NAMED]:
        paragraphs.append(_about(report, notice.message))
    if len(notice.reports) > NAMED:
        paragraphs.append(
            f"And {len(notice.reports) - NAMED} more; the second part of this report names all."
        )
    paragraphs.append(_closing(notice))
    what = "The message itself is attached." if notice.whole else "Its header is attached."
    paragraphs.append(_wrap(f"{what} Your postmaster finds its history under the id {notice.message.id}."))
    return "\n\n".join(paragraphs) + "\n"


def _opening(notice: Notice) -> str:
    message = notice.message
    subject = decoded(field_value(header_section(notice.original[:HEADER]), b"subject") or b"")
    what = f"of {formatdate(message.created, localtime=True)}"
    if subject:
        what += f' with the subject "{subject}"'
    if notice.postmaster:
        return _wrap(
            f"A message {what} came with a null reverse-path, as notifications do, and could not be "
            "delivered. So there is no sender to tell, and you are told as the postmaster. Its recipients:"
        )
    if notice.action == "failed":
        return _wrap(f"Your message {what} could not be delivered to:")
    if notice.action == "delayed":
        waited = span(message.waited(notice.now))
        return _wrap(
            f"Your message {what} has not been delivered for {waited} to the recipients below. "
            "You need not do anything, nor send it again: it is still being tried."
        )
    asked = f"You asked to be told when your message {what} is delivered."
    if notice.is_relayed:
        return _wrap(f"{asked} It was passed on to a server that does not report further, for:")
    return _wrap(f"{asked} It was, to:")


def _closing(notice: Notice) -> str:
    if notice.postmaster:
        return _wrap("Nothing further is tried, and nobody else is told.")
    if notice.action == "failed":
        return _wrap("Nothing further is tried for the above. Recipients not named here are not concerned.")
    if notice.action == "delayed":
        until = formatdate(notice.message.expires, localtime=True)
        return _wrap(f"It is tried until {until}. If it cannot be delivered by then, you are told.")
    return _wrap("This says nothing about whether anybody has read it.")


def _about(report: Report, message: Message) -> str:
    addressee = report.addressee
    head = f"  <{clean(addressee.address)}>"
    if addressee.original != addressee.address:
        head += f"\n    for which you wrote to <{clean(addressee.original)}>"
    if report.action == "relayed":
        return head + _point(
            "What happened",
            f"{_who(report.reply)} took it and does not report further: "
            "whether it is in the mailbox is not known here.",
        )
    if report.action == "delivered":
        return head + _point("What happened", "It is in the mailbox.")
    said = report.last if report.last is not None else report.reply
    if report.expired:
        waited = span(message.waited(report.at))
        head += _point("What happened", f"It was tried for {waited}, without success; now the time is over.")
        if report.last is None:
            said = report.reply
    means, remedy = meaning(said, report.verdict)
    if report.expired:
        # What the catalogue says of a finding that may pass is for those who still wait.
        remedy = _AFTER_EXPIRY
    return (
        head
        + _point("The last answer" if report.expired else "What happened", _said(said))
        + _point("What it means", means)
        + ("" if report.action == "delayed" else _point("What to do", remedy))
    )


def _said(reply: RemoteReply) -> str:
    words = clean(f"{reply.code} {reply.enhanced} {reply.text}".replace("  ", " ").strip())[:800]
    if not reply.host:
        return words
    command = f" to {clean(reply.command)[:60]}" if reply.command else ""
    return f"{_who(reply)} answered{command}: {words}"


def _who(reply: RemoteReply) -> str:
    return clean(reply.host)[:300] if reply.host else "The next server"


def _point(title: str, text: str) -> str:
    return "\n" + textwrap.fill(
        f"{title}: {text}",
        76,
        initial_indent="    ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _wrap(text: str) -> str:
    return textwrap.fill(text, 76, break_long_words=False, break_on_hyphens=False)


def decoded(value: bytes) -> str:
    """A header field's value as a person reads it (RFC 2047), on one line, at most 200 characters."""
    text = value[:1000].decode("utf-8", "replace")
    with suppress(HeaderParseError, LookupError, ValueError):
        text = str(make_header(decode_header(text)))
    return " ".join(clean(text).split())[:200]
