"""Hands one message to a server over SMTP, and says plainly what it answered."""

from __future__ import annotations

import os
import smtplib
from collections.abc import Sequence
from dataclasses import dataclass

from mta.journal.words import printable


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """What the server said.

    :ivar code: the reply code.
    :ivar text: the lines, joined by a space.
    """

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class Refused(Exception):
    """The server refused the message; nobody got it.

    :param replies: what was refused (``RCPT TO:<...>``) and the replies to it.
    """

    def __init__(self, replies: Sequence[tuple[str, SmtpReply]]) -> None:
        super().__init__("\n".join(f"{command}: {reply}" for command, reply in replies))
        self.replies = list(replies)

    @property
    def status(self) -> int:
        """The exit status (sysexits)."""
        if any(400 <= reply.code < 500 for _, reply in self.replies):
            return os.EX_TEMPFAIL
        command = self.replies[0][0]
        if command.startswith("RCPT"):
            return os.EX_NOUSER
        return os.EX_NOPERM if command.startswith("AUTH") else os.EX_UNAVAILABLE


def reply_of(answer: tuple[int, bytes]) -> SmtpReply:
    """A reply from smtplib's pair; controls in it are made visible."""
    code, text = answer
    return SmtpReply(code, printable(" ".join(text.decode("utf-8", "replace").split("\n")).strip()))


def transmit(
    client: smtplib.SMTP,
    sender: str,
    recipients: Sequence[str],
    data: bytes,
    mail_options: Sequence[str] = (),
    recipient_options: Sequence[str] = (),
) -> SmtpReply:
    """One mail transaction; all recipients, or none.

    :param client: connected, greeted, authenticated.
    :param data: the message, lines ended by CRLF.
    :return: the reply to the message.
    :raise Refused: if the server refuses anything.
    :raise OSError: if the connection breaks; the message may then have been taken.
    """
    client.ehlo_or_helo_if_needed()
    options = [*mail_options, *_needed(client, sender, recipients, data)]
    answer = reply_of(client.mail(sender, options))
    if answer.code != 250:
        raise Refused([(f"MAIL FROM:<{sender}>", answer)])
    refused = []
    for recipient in recipients:
        answer = reply_of(client.rcpt(recipient, list(recipient_options)))
        if answer.code not in (250, 251):
            refused.append((f"RCPT TO:<{recipient}>", answer))
    if refused:
        client.rset()
        raise Refused(refused)
    try:
        answer = reply_of(client.data(data))
    except smtplib.SMTPDataError as error:
        raise Refused([("DATA", _data_reply(error))]) from None
    if answer.code != 250:
        raise Refused([("the message", answer)])
    return answer


def _data_reply(error: smtplib.SMTPDataError) -> SmtpReply:
    text = error.smtp_error
    return reply_of((error.smtp_code, text if isinstance(text, bytes) else text.encode()))


def _needed(client: smtplib.SMTP, sender: str, recipients: Sequence[str], data: bytes) -> list[str]:
    """Parameters of MAIL that this message needs.

    :raise Refused: if the server does not offer them.
    """
    options = []
    header = data.partition(b"\r\n\r\n")[0]
    international = not all(item.isascii() for item in (sender, *recipients))
    if (international or not header.isascii()) and client.has_extn("smtputf8"):
        options.append("SMTPUTF8")
        client.command_encoding = "utf-8"
    elif international:
        reply = SmtpReply(550, "5.6.7 the server takes no internationalised addresses (SMTPUTF8)")
        raise Refused([("MAIL FROM", reply)])
    if not data.isascii() and client.has_extn("8bitmime"):
        options.append("BODY=8BITMIME")
    if client.has_extn("size"):
        options.append(f"SIZE={len(data)}")
    return options


def why(reply: SmtpReply) -> str:
    """Cause and remedy of a refusal, indented; ours if it is one of ours."""
    from mta.cli.context import CommandError
    from mta.cli.explain import explain

    try:
        entries, standards = explain(str(reply))
    except CommandError:
        return ""
    known = entries[0] if len(entries) == 1 else standards[0] if standards else None
    return f"    cause   {known.cause}\n    remedy  {known.remedy}" if known else ""
