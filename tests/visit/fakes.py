"""What sessions of people who read their mail have around them in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, execute

from mta.interfaces import Denied, Success
from mta.mailbox.mailroom import Mailroom


class Person:
    """Who logs in."""

    name = "anna@example.org"


class Passwords:
    """Knows one password.

    :param right: which.
    """

    def __init__(self, right: str) -> None:
        self._right = right

    def mechanisms(self, tls: bool, binding_available: bool) -> list[str]:
        return ["PLAIN"] if tls else []

    async def password(self, name: str, password: str, address: str) -> Success | Denied:
        if password == "down":
            return Denied(True, "the directory is down", name)
        if password == "wait":
            return Denied(True, "not looked at", name, wait=60.0)
        if password == self._right:
            return Success(Person())  # type: ignore[arg-type]
        return Denied(False, "wrong", name)


class Direct(Mailroom):
    """Does everything at once."""

    def in_thread(self, work: Any, *arguments: Any) -> Deferred[Any]:
        return execute(work, *arguments)
