"""``mta-sendmail``: what programs call as /usr/sbin/sendmail.

The message goes over the UNIX socket ``run/submit.sock`` of the state
directory.  It is taken when the server has it on disk; when there is no server,
the exit status is EX_TEMPFAIL and nothing was taken.
"""

from __future__ import annotations

import getpass
import os
import selectors
import smtplib
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from mta.cli.context import CommandError, forbidden
from mta.cli.sendmail_message import MessageError, listed, recipients_of, wire_form, with_from, without_bcc
from mta.cli.sendmail_options import USAGE, SendmailOptions, UsageError, parse_options
from mta.cli.transmission import Refused, transmit
from mta.model.address import AddressError, parse_address

#: Seconds for each reply.
TIMEOUT = 300.0
#: Seconds without a word after which ``-bs`` ends, once standard input has.
SILENCE = 10.0
#: Where the socket is when the configuration cannot be read, which is not everybody's to read.
USUAL_SOCKET = Path("/var/lib/mta/run/submit.sock")
#: Names the socket, instead of the configuration.
VARIABLE = "MTA_SUBMIT_SOCKET"


def main(argv: Sequence[str] | None = None) -> int:
    """Run.

    :param argv: without the program's name; ``None`` for the process's.
    :return: the exit status (sysexits).
    """
    try:
        options = parse_options(sys.argv[1:] if argv is None else argv)
        return _run(options)
    except UsageError as error:
        print(f"sendmail: {error}", file=sys.stderr)
        return os.EX_USAGE
    except MessageError as error:
        print(f"sendmail: {error}; nothing was sent", file=sys.stderr)
        return os.EX_DATAERR
    except CommandError as error:
        print(f"sendmail: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return os.EX_TEMPFAIL


def _run(options: SendmailOptions) -> int:
    if options.mode == "help":
        print(USAGE, end="")
        return os.EX_OK
    if options.mode in ("p", "q", "v"):
        return _command(options)
    if options.mode == "i":
        print("sendmail: aliases are read by `mta reload`; there is nothing to rebuild", file=sys.stderr)
        return os.EX_OK
    if options.mode == "s":
        return _pipe(_connect(options), sys.stdin.buffer, sys.stdout.buffer)
    return _deliver(options, sys.stdin.buffer)


def _command(options: SendmailOptions) -> int:
    from mta.cli.main import main as mta

    config = ["--config", options.config] if options.config else []
    if options.mode == "v":
        if not options.recipients:
            raise UsageError("-bv needs addresses")
        return max(mta([*config, "test", address]) for address in options.recipients)
    return mta([*config, "queue", "list" if options.mode == "p" else "flush"])


# --- delivering --------------------------------------------------------------


def _deliver(options: SendmailOptions, stdin: BinaryIO) -> int:
    data = wire_form(stdin.read(), options.dot_ends)
    recipients = [address for word in options.recipients for address in listed(word)]
    if options.from_header:
        recipients += recipients_of(data)
        data = without_bcc(data)
    if not recipients:
        raise UsageError("no recipients: name them, or use -t to take them from the header")
    client = _client(_connect(options))
    try:
        client.ehlo_or_helo_if_needed()
        domain = _domain(options, client)
        sender = _sender(options, domain)
        targets = [_complete(item, domain) for item in recipients]
        if options.full_name:
            data = with_from(data, options.full_name, sender or f"{getpass.getuser()}@{domain}")
        mail, each = _dsn(options, client)
        reply = transmit(client, sender, list(dict.fromkeys(targets)), data, mail, each)
        if options.verbose:
            print(f"sendmail: {reply}", file=sys.stderr)
        return os.EX_OK
    except Refused as refusal:
        lines = "\n".join(f"  {command}: {reply}" for command, reply in refusal.replies)
        raise CommandError(f"refused; nothing was sent\n{lines}", refusal.status) from None
    except (OSError, smtplib.SMTPException) as error:
        raise CommandError(f"the server broke off: {error}; try again", os.EX_TEMPFAIL) from None
    finally:
        _quit(client)


def _client(connection: socket.socket) -> smtplib.SMTP:
    client = smtplib.SMTP(local_hostname="localhost", timeout=TIMEOUT)
    client.sock = connection
    code, text = client.getreply()
    if code != 220:
        raise CommandError(
            f"the server is not ready: {code} {text.decode('utf-8', 'replace')}", os.EX_TEMPFAIL
        )
    return client


def _quit(client: smtplib.SMTP) -> None:
    try:
        client.quit()
    except (OSError, smtplib.SMTPException):
        client.close()


def _domain(options: SendmailOptions, client: smtplib.SMTP) -> str:
    """What completes addresses without a domain: ours if it is served, else the first that is."""
    name = (client.ehlo_resp or client.helo_resp or b"localhost").split()[0].decode("ascii", "replace")
    try:
        settings = _load(options).settings
    except CommandError:
        return name
    if name in settings.domains:
        return name
    return next(iter(settings.domains), name)


def _sender(options: SendmailOptions, domain: str) -> str:
    if options.sender is None:
        try:
            return _complete(getpass.getuser(), domain)
        except (KeyError, OSError):
            return f"uid-{os.getuid()}@{domain}"
    if options.sender.strip("<> ") == "":
        return ""
    return _complete(options.sender, domain)


def _complete(text: str, domain: str) -> str:
    """A canonical address; a bare name is one of ``domain``.

    :raise MessageError: if it is no address.
    """
    text = text.strip().removeprefix("<").removesuffix(">")
    if not text.isprintable():
        # A line end in it would be a command of its own.
        raise MessageError(f"{text!r} has control characters in it")
    try:
        return str(parse_address(text if "@" in text else f"{text}@{domain}"))
    except AddressError as error:
        raise MessageError(str(error)) from None


def _dsn(options: SendmailOptions, client: smtplib.SMTP) -> tuple[list[str], list[str]]:
    """Parameters of MAIL and RCPT for notifications (RFC 3461)."""
    if not client.has_extn("dsn"):
        return [], []
    mail = [f"RET={options.ret}"] if options.ret else []
    if options.envid:
        mail.append(f"ENVID={_xtext(options.envid)}")
    return mail, [f"NOTIFY={','.join(options.notify)}"] if options.notify else []


def _xtext(text: str) -> str:
    return "".join(
        c if "!" <= c <= "~" and c not in "+=" else "".join(f"+{b:02X}" for b in c.encode()) for c in text
    )


# --- the socket --------------------------------------------------------------


def _load(options: SendmailOptions) -> Any:
    """The configuration.

    :raise CommandError: if it cannot be used.
    """
    from mta.config.loading import load
    from mta.config.problem import ConfigurationError

    name = options.config or os.environ.get("MTA_CONFIG", "")
    try:
        return load(Path(name) if name else None)
    except ConfigurationError as error:
        # Our own trouble: whoever called shall keep the message and try again.
        text = f"the configuration cannot be used; nothing was taken\n{error}"
        raise CommandError(text, os.EX_TEMPFAIL) from None


def _socket_path(options: SendmailOptions) -> Path:
    named = os.environ.get(VARIABLE, "")
    if named:
        return Path(named)
    try:
        state: Path = _load(options).state
    except CommandError:
        # Ordinary people need not be able to read it.
        if not options.config:
            return USUAL_SOCKET
        raise
    return state / "run" / "submit.sock"


def _connect(options: SendmailOptions) -> socket.socket:
    path = _socket_path(options)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(TIMEOUT)
    try:
        connection.connect(str(path))
    except PermissionError:
        connection.close()
        raise CommandError(forbidden(path), os.EX_NOPERM) from None
    except OSError as error:
        connection.close()
        raise CommandError(
            f"the server is not running ({path}: {error.strerror or error}); nothing was taken, try again",
            os.EX_TEMPFAIL,
        ) from None
    return connection


def _pipe(connection: socket.socket, stdin: BinaryIO, stdout: BinaryIO) -> int:
    """``-bs``: standard input and output are the session; bare LF becomes CRLF."""
    # Not epoll: standard input may be a plain file.
    last = b""
    with connection, selectors.SelectSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.register(stdin, selectors.EVENT_READ)
        reading = True
        while True:
            ready = selector.select(None if reading else SILENCE)
            if not ready:
                return os.EX_OK
            for key, _ in ready:
                if key.fileobj is connection:
                    try:
                        block = connection.recv(65536)
                    except ConnectionError:
                        block = b""
                    if not block:
                        return os.EX_OK
                    stdout.write(block)
                    stdout.flush()
                    continue
                block = os.read(stdin.fileno(), 65536)
                if not block:
                    selector.unregister(stdin)
                    reading = False
                    continue
                try:
                    connection.sendall(_crlf(block, last))
                except ConnectionError:
                    return os.EX_OK
                last = block[-1:]


def _crlf(block: bytes, last: bytes) -> bytes:
    """The block with CRLF for bare LF; ``last`` is the octet before it."""
    import re

    fixed = re.sub(rb"(?<!\r)\n", b"\r\n", block)
    return fixed[1:] if last == b"\r" and block.startswith(b"\n") else fixed


if __name__ == "__main__":
    sys.exit(main())
