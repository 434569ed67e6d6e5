"""The embedded server: what happens without a configuration, or with an empty one.

There is one domain, ``localhost``, and one account in it, made on the first
start.  Its password is shown once and kept only as a hash.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

#: The one account of an embedded server.
ACCOUNT = "user@localhost"


def new_password() -> str:
    """Sixteen characters that can be pasted into a shell unquoted."""
    alphabet = "abcdefghjkmnpqrstvwxyzABCDEFGHJKMNPQRSTVWXYZ23456789"
    return "".join(secrets.choice(alphabet) for _ in range(16))


def first_account(users: Path, add: Callable[[Path, str, str], None]) -> str | None:
    """Make the account if there is no users file yet.

    :param users: path of the passwd-file.
    :param add: writes (file, address, password) durably, hashed.
    :return: the password, to be shown once; ``None`` if there were users already.
    """
    if users.exists():
        return None
    password = new_password()
    users.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    add(users, ACCOUNT, password)
    return password


def announcement(password: str) -> str:
    """What is printed as soon as the account is made: the server may yet fail to start."""
    return f"\n  The account {ACCOUNT} was made, with the password {password} (shown only now).\n"


def command(program: Path, file: Path | None, here: Path) -> str:
    """How the ``mta`` command is called in the directory ``here``.

    :param file: the configuration, if there is one.
    """
    words = [_from(here, program), *(("--config", _from(here, file)) if file else ())]
    return shlex.join(words)


def on_loopback(endpoints: Sequence[str]) -> str:
    """``host:port`` of the first of a role's endpoints; ``""`` if there is none."""
    return f"127.0.0.1:{endpoints[0].split(':')[1]}" if endpoints else ""


def _from(here: Path, path: Path) -> str:
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def welcome(
    password: str | None,
    submission: str,
    maildir: Path,
    mta: str,
    place: Path,
    http: str = "",
    pages: bool = True,
    imap: str = "",
) -> str:
    """What is printed when an embedded server is ready.

    :param password: of the first account, if it was made just now.
    :param submission: ``host:port`` of the submission listener.
    :param maildir: where the first account's mail arrives.
    :param mta: how the ``mta`` command is called from here.
    :param http: ``host:port`` of the HTTP listener, if there is one.
    :param imap: ``host:port`` of the IMAP listener, if there is one.
    :param pages: whether it serves the dashboard.
    :param place: here; another terminal may be elsewhere, and the command looks for
        the configuration and the state in the directory where it is called.
    """
    secret = password or "PASSWORD"
    enter = f"cd {shlex.quote(str(place))} &&"
    by_http = ""
    if http:
        shown = f"  See it all on a page: http://{http}/dashboard/ (sign in as {ACCOUNT})\n" if pages else ""
        by_http = (
            f"{shown}"
            f"  Make a key to send by HTTP, as http://{http}/docs tells:\n"
            f"    {enter} {mta} key create --scope messages:send --scope messages:read\n"
        )
    by_imap = ""
    if imap:
        by_imap = f"  Read it with a mail program: IMAP with STARTTLS on {imap}, as {ACCOUNT}\n"
    account = ""
    if not password:
        account = (
            f"  PASSWORD stands for the one that was shown when {ACCOUNT} was made;\n"
            f"  `{enter} {mta} user password {ACCOUNT}` sets another."
        )
    return (
        f"\n  The server is ready.{account}\n\n"
        f"  Send a first message:\n"
        f"    {enter} MTA_PASSWORD={secret} {mta} send --smtp {submission} --user {ACCOUNT} "
        f'--to {ACCOUNT} --subject "Hello" --body "It works."\n'
        f"  See it arrive:\n"
        f"    {enter} {mta} trace {ACCOUNT} && cat {shlex.quote(_from(place, maildir))}/new/*\n"
        f"{by_imap}{by_http}"
    )
