"""Where people look at the rules of a mailbox and change them: the API and ``mta rules``."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from mta.config.problem import ConfigurationError, Problem
from mta.config.settings import RulesTable
from mta.interfaces import Route
from mta.model.address import domain_of
from mta.rules.rule import RuleFile
from mta.rules.rule_file import parse, read, write


class NoMailbox(LookupError):
    """The address has no Maildir here."""


def checked(text: str, settings: RulesTable, ours: Collection[str], file: str = "rules.toml") -> RuleFile:
    """Rules that may be used here.

    :param ours: the domains whose mail is kept here.
    :raise ConfigurationError: with what is wrong.
    """
    found = parse(text, file)
    problems = []
    for number, rule in enumerate(found.rule):
        for to in rule.forward:
            if not settings.may_forward(domain_of(to), ours):
                what = f"{found.name_of(number)}: mail may not be forwarded to {to} here"
                remedy = "forward to a domain of this server, or ask its operator ([rules] forward_to)"
                problems.append(Problem(file, 0, f"rule.{number}.forward", what, remedy))
    if problems:
        raise ConfigurationError(problems)
    return found


class Desk:
    """See the module.

    :param mailbox: the way into the Maildir of an address; ``None``: it has none here.
    :param settings: gives ``[rules]``.
    :param ours: gives the domains whose mail is kept here.
    :param run_in_thread: ``(callable, *args) -> Awaitable``.
    """

    def __init__(
        self,
        mailbox: Callable[[str], Awaitable[Route | None]],
        settings: Callable[[], RulesTable],
        ours: Callable[[], Collection[str]],
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._mailbox = mailbox
        self._settings = settings
        self._ours = ours
        self._run = run_in_thread

    async def get(self, address: str) -> str | None:
        """The text of an address's rules; ``None``: it has none.

        :raise NoMailbox: if it has no Maildir.
        :raise OSError: if they cannot be read.
        :raise ValueError: if they are no text.
        :raise TemporarilyUnavailable: if the directory cannot tell.
        """
        maildir = await self._maildir(address)
        text: str | None = await self._run(read, maildir)
        return text

    async def put(self, address: str, text: str | None) -> None:
        """Give an address other rules; ``None``: none.

        :raise NoMailbox: if it has no Maildir.
        :raise ConfigurationError: with what is wrong with them; those before stay.
        :raise OSError: if they cannot be written.
        :raise TemporarilyUnavailable: if the directory cannot tell.
        """
        maildir = await self._maildir(address)
        if text is not None:
            checked(text, self._settings(), self._ours())
        await self._run(_keep, maildir, text)

    async def _maildir(self, address: str) -> bytes:
        route = await self._mailbox(address)
        if route is None:
            raise NoMailbox(f"{address} has no Maildir on this server")
        return os.fsencode(route.next_hop.rstrip("/"))


def _keep(maildir: bytes, text: str | None) -> None:
    if text is not None:
        # Mail may come later than the rules for it.
        _make(maildir)
    elif not os.path.isdir(maildir):
        return
    write(maildir, text)


def _make(maildir: bytes) -> None:
    missing = []
    path = maildir
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    owner = os.stat(path)
    for directory in reversed(missing):
        os.mkdir(directory, 0o700)
        if os.geteuid() == 0:
            os.chown(directory, owner.st_uid, owner.st_gid)
