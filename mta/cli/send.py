"""Sends a message over SMTP, and says what the server answered.

The password comes from MTA_PASSWORD, or is asked for. A self-signed
certificate is accepted only of a server on this machine, or with --insecure.
"""

from __future__ import annotations

import argparse
import getpass
import mimetypes
import os
import re
import smtplib
import socket
import ssl
import sys
import time
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate, getaddresses, make_msgid
from ipaddress import ip_address
from pathlib import Path

from mta.cli.context import CommandError, Context, coming
from mta.cli.transmission import Refused, SmtpReply, reply_of, transmit, why
from mta.model.address import AddressError, parse_address

#: Seconds for each reply.
TIMEOUT = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta send --to ADDRESS``."""
    parser.add_argument("--smtp", default="", metavar="HOST:PORT", help="default: our submission port")
    parser.add_argument("--user", default="", metavar="ADDRESS", help="authenticate as")
    parser.add_argument("--from", dest="sender", default="", metavar="ADDRESS", help="default: the user")
    parser.add_argument("--to", action="append", default=[], required=True, metavar="ADDRESS")
    parser.add_argument("--cc", action="append", default=[], metavar="ADDRESS")
    parser.add_argument("--bcc", action="append", default=[], metavar="ADDRESS")
    parser.add_argument("--subject", default="", metavar="TEXT")
    body = parser.add_mutually_exclusive_group()
    body.add_argument("--body", default="", metavar="TEXT")
    body.add_argument("--body-file", default="", metavar="FILE", help="- for standard input")
    parser.add_argument(
        "--at", default="", metavar="TIME", help='when to send it on: "2h" from now, "2027-01-31 08:00"'
    )
    parser.add_argument("--attach", action="append", default=[], metavar="FILE")
    parser.add_argument(
        "--tls",
        choices=("auto", "starttls", "implicit", "never"),
        default="auto",
        help="auto: implicit on port 465, otherwise STARTTLS where it is offered",
    )
    parser.add_argument("--insecure", action="store_true", help="accept any certificate")
    parser.add_argument("--verbose", "-v", action="store_true", help="show the conversation, without secrets")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Send."""
    sender = arguments.sender or arguments.user
    if not sender:
        raise CommandError("say who sends: --from ADDRESS, or --user ADDRESS", os.EX_USAGE)
    sender = _address(sender)[1]
    recipients = [_address(item)[1] for item in (*arguments.to, *arguments.cc, *arguments.bcc)]
    message = _message(arguments, context)
    international = not all(item.isascii() for item in (sender, *recipients))
    data = message.as_bytes(policy=SMTPUTF8 if international else SMTP)
    release = coming(arguments.at, time.time()) if arguments.at else 0.0
    host, port = _server(arguments.smtp, context)
    password = _password(arguments.user)
    try:
        with _connect(host, port, arguments, context) as client:
            if arguments.user:
                _log_in(client, arguments.user, password)
            reply = transmit(
                client, sender, list(dict.fromkeys(recipients)), data, _scheduled(client, release)
            )
    except Refused as refusal:
        lines = [f"{host}:{port} refused it; nothing was sent"]
        for command, answer in refusal.replies:
            lines += [f"  {command}: {answer}", why(answer)]
        raise CommandError("\n".join(filter(None, lines)), refusal.status) from None
    except smtplib.SMTPServerDisconnected:
        raise CommandError(
            f"{host}:{port} closed the connection; `mta trace` tells whether the message was taken. "
            "A port that wants TLS from the first byte needs --tls implicit",
            os.EX_TEMPFAIL,
        ) from None
    except smtplib.SMTPException as error:
        raise CommandError(f"{host}:{port}: {error}", os.EX_PROTOCOL) from None
    except OSError as error:
        raise CommandError(f"{host}:{port}: {_network(error)}", os.EX_TEMPFAIL) from None
    identifier = re.search(r"Queued as ([0-9a-z]{13})\b", reply.text)
    if context.out.as_json:
        context.out.json(
            {"code": reply.code, "reply": reply.text, "id": identifier[1] if identifier else None}
        )
        return os.EX_OK
    context.out.line(f"{host}:{port} said: {reply}")
    if identifier:
        context.out.line(f"What becomes of it: mta trace {identifier[1]}")
    return os.EX_OK


def _scheduled(client: smtplib.SMTP, release: float) -> list[str]:
    """The parameter of MAIL that has the server keep it until then (RFC 4865)."""
    if not release:
        return []
    client.ehlo_or_helo_if_needed()
    if not client.has_extn("futurerelease"):
        reply = SmtpReply(555, "5.5.4 the server does not schedule messages here (FUTURERELEASE)")
        raise Refused([("MAIL FROM", reply)])
    return [f"HOLDUNTIL={datetime.fromtimestamp(int(release), UTC):%Y-%m-%dT%H:%M:%SZ}"]


# --- the message -------------------------------------------------------------


def _address(text: str) -> tuple[str, str]:
    """Name and canonical address of ``Name <address>`` or ``address``."""
    found = getaddresses([text])
    if len(found) != 1 or not found[0][1]:
        raise CommandError(f"{text!r} is no address; write one for each option", os.EX_USAGE)
    try:
        return found[0][0], str(parse_address(found[0][1]))
    except AddressError as error:
        raise CommandError(str(error), os.EX_USAGE) from None


def _message(arguments: argparse.Namespace, context: Context) -> EmailMessage:
    message = EmailMessage(policy=SMTPUTF8)
    try:
        message["From"] = arguments.sender or arguments.user
        message["To"] = ", ".join(arguments.to)
        if arguments.cc:
            message["Cc"] = ", ".join(arguments.cc)
        message["Subject"] = arguments.subject
    except ValueError as error:
        raise CommandError(f"this cannot stand in a header: {error}", os.EX_DATAERR) from None
    message["Date"] = formatdate(localtime=True)
    domain = _address(arguments.sender or arguments.user)[1].rpartition("@")[2]
    message["Message-ID"] = make_msgid(domain=domain if domain.isascii() else None)
    text = arguments.body
    if arguments.body_file:
        text = _text(arguments.body_file, context)
    message.set_content(text if text.endswith("\n") else f"{text}\n")
    for name in arguments.attach:
        path = Path(name)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        main, _, sub = kind.partition("/")
        message.add_attachment(_octets(path), maintype=main, subtype=sub, filename=path.name)
    return message


def _text(name: str, context: Context) -> str:
    if name == "-":
        return context.stdin.read()
    try:
        return _octets(Path(name)).decode("utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"{name}: is not UTF-8; use --attach for other files", os.EX_DATAERR) from None


def _octets(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", os.EX_NOINPUT) from None


# --- the server --------------------------------------------------------------


def _server(text: str, context: Context) -> tuple[str, int]:
    if not text:
        for endpoint in context.load().settings.listen.submission:
            match = re.match(r"(?:tcp6?|systemd)?:?(?:port=)?(\d+)", endpoint)
            if match:
                return "127.0.0.1", int(match[1])
        raise CommandError("there is no submission listener; name a server with --smtp", os.EX_USAGE)
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::(\d{1,5}))?", text)
    if not match or int(match[3] or 1) > 65535:
        raise CommandError(f"--smtp: {text!r} is not HOST:PORT", os.EX_USAGE)
    return match[1] or match[2], int(match[3] or 587)


def _password(user: str) -> str:
    if not user:
        return ""
    password = os.environ.get("MTA_PASSWORD", "")
    if password:
        return password
    if not sys.stdin.isatty():
        raise CommandError("there is no password: set MTA_PASSWORD, or run it on a terminal", os.EX_USAGE)
    return getpass.getpass(f"Password of {user}: ")


def _connect(host: str, port: int, arguments: argparse.Namespace, context: Context) -> smtplib.SMTP:
    tls = ssl.create_default_context()
    if arguments.insecure or is_loopback(host):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    client: smtplib.SMTP
    # 465, and by custom 2465 and the like: TLS from the first byte.
    implicit = arguments.tls == "implicit" or (arguments.tls == "auto" and port % 1000 == 465)
    if implicit:
        client = smtplib.SMTP_SSL(host, port, context=tls, timeout=TIMEOUT)
    else:
        client = smtplib.SMTP(host, port, timeout=TIMEOUT)
    try:
        if arguments.verbose and not arguments.user:
            client.set_debuglevel(1)
        client.ehlo_or_helo_if_needed()
        if not implicit and arguments.tls != "never" and client.has_extn("starttls"):
            answer = reply_of(client.starttls(context=tls))
            if answer.code != 220:
                raise Refused([("STARTTLS", answer)])
            client.ehlo_or_helo_if_needed()
        elif not implicit and (arguments.user or arguments.tls == "starttls"):
            raise CommandError(
                f"{host}:{port} offers no STARTTLS; a password is not sent in clear text", os.EX_PROTOCOL
            )
        if arguments.verbose:
            client.set_debuglevel(1)
    except BaseException:
        client.close()
        raise
    return client


def _log_in(client: smtplib.SMTP, user: str, password: str) -> None:
    # The conversation that --verbose shows must not have the password in it.
    level = client.debuglevel
    client.set_debuglevel(0)
    try:
        # Not smtplib's login(): it tries a wrong password with every mechanism.
        offered = client.esmtp_features.get("auth", "").upper().split()
        client.user, client.password = user, password
        for mechanism, respond in (("PLAIN", client.auth_plain), ("LOGIN", client.auth_login)):
            if mechanism in offered:
                client.auth(mechanism, respond)
                return
        raise smtplib.SMTPNotSupportedError
    except smtplib.SMTPAuthenticationError as error:
        text = error.smtp_error
        answer = reply_of((error.smtp_code, text if isinstance(text, bytes) else text.encode()))
        raise Refused([(f"AUTH of {user}", answer)]) from None
    except smtplib.SMTPNotSupportedError:
        raise CommandError(
            "the server offers no authentication here; use its submission port (587 or 465)", os.EX_PROTOCOL
        ) from None
    finally:
        client.set_debuglevel(level)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") in ("localhost", "ip6-localhost")


def _network(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}; --insecure accepts it all the same"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}; is this the right port?"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused; is the server running, and on this port?"
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} s"
    return error.strerror or str(error)
