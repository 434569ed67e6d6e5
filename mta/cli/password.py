"""Where a password comes from: a terminal (twice), standard input, or chance."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from typing import TextIO

from mta.cli.context import CommandError

#: Octets; short ones are refused, absurd ones too.
SHORTEST, LONGEST = 8, 1024


def choose_password(
    from_stdin: bool,
    generate: bool,
    new: Callable[[], str],
    stdin: TextIO,
    ask: Callable[[str], str] = getpass.getpass,
) -> tuple[str, bool]:
    """A password for an account.

    :param from_stdin: read the first line of ``stdin``.
    :param generate: make one even on a terminal.
    :param new: makes one.
    :return: the password, and whether it was made and must be shown.
    :raise CommandError: if it is too short, or the two do not agree.
    """
    if from_stdin:
        return checked(stdin.readline().rstrip("\r\n")), False
    if generate or not stdin.isatty():
        return new(), True
    password = checked(ask("Password: "))
    if ask("The same again: ") != password:
        raise CommandError("the two passwords are not the same; nothing was changed", os.EX_DATAERR)
    return password, False


def checked(password: str) -> str:
    """The password itself.

    :raise CommandError: if it cannot be one.
    """
    octets = len(password.encode())
    if octets < SHORTEST:
        raise CommandError(
            f"a password has at least {SHORTEST} characters; nothing was changed", os.EX_DATAERR
        )
    if octets > LONGEST:
        raise CommandError(f"a password has at most {LONGEST} octets; nothing was changed", os.EX_DATAERR)
    if any(character in password for character in "\0\r\n"):
        raise CommandError("a password has no line ends in it; nothing was changed", os.EX_DATAERR)
    return password
