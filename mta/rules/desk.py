"""Where people look at the rules of a mailbox and change them: the API and ``mta rules``."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from mta.config.problem import ConfigurationError, Problem
from mta.config.settings import RulesTable
from mta.interfaces import Route, TemporarilyUnavailable
from mta.model.address import domain_of
from mta.model.event import Event
from mta.model.event_mailbox import RulesChanged
from mta.rules.rule import RuleFile
from mta.rules.rule_file import parse, read, write

T = TypeVar("T")

#: What only the owner of a Maildir can put there: a link, a directory, a pipe, a file that is too large.
_NO_RULES = frozenset({errno.ELOOP, errno.EISDIR, errno.EINVAL, errno.EFBIG})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class NoMailbox(LookupError):
    """The address has no Maildir here."""


class NoRules(ValueError):
    """What is in the place of the rules are none."""


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
    :param note: puts an event into the journal.
    :param seconds: gives the time since 1970.
    """

    def __init__(
        self,
        mailbox: Callable[[str], Awaitable[Route | None]],
        settings: Callable[[], RulesTable],
        ours: Callable[[], Collection[str]],
        run_in_thread: Callable[..., Awaitable[Any]],
        note: Callable[[Event], None],
        seconds: Callable[[], float],
    ) -> None:
        self._mailbox = mailbox
        self._settings = settings
        self._ours = ours
        self._run = run_in_thread
        self._note = note
        self._seconds = seconds

    async def get(self, address: str) -> str | None:
        """The text of an address's rules; ``None``: it has none.

        :raise NoMailbox: if it has no Maildir.
        :raise NoRules: if they are no text, or no file.
        :raise TemporarilyUnavailable: if they cannot be read, or the directory cannot tell.
        """
        maildir = await self._maildir(address)
        try:
            return await self._on_disk(maildir, "read", self._run(read, maildir))
        except UnicodeDecodeError:
            raise NoRules("they are not UTF-8") from None

    async def put(self, address: str, text: str | None, by: str) -> None:
        """Give an address other rules; ``None``: none.

        :param by: who does it, for the journal.
        :raise NoMailbox: if it has no Maildir.
        :raise ConfigurationError: with what is wrong with them; those before stay.
        :raise NoRules: if something stands in their place that we do not replace.
        :raise TemporarilyUnavailable: if they cannot be written, or the directory cannot tell; those before
            stay.
        """
        maildir = await self._maildir(address)
        if text is not None:
            checked(text, self._settings(), self._ours())
        await self._on_disk(maildir, "written", self._run(_keep, maildir, text))
        action = "set" if text is not None else "removed"
        self._note(RulesChanged(at=self._seconds(), account=address, action=action, by=by))

    async def _on_disk(self, maildir: bytes, done: str, work: Awaitable[T]) -> T:
        try:
            return await work
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            if error.errno in _NO_RULES:
                raise NoRules(f"rules.toml is no file of rules ({error.strerror or why})") from None
            # The paths are for the operator; the API shows them to nobody else.
            place = os.fsdecode(maildir)
            raise TemporarilyUnavailable(
                f"the rules in {place} cannot be {done}: {why}; {_remedy(error.errno)}"
            ) from None

    async def _maildir(self, address: str) -> bytes:
        route = await self._mailbox(address)
        if route is None:
            raise NoMailbox(f"{address} has no Maildir on this server")
        return os.fsencode(route.next_hop.rstrip("/"))


def _remedy(number: int | None) -> str:
    if number in _FULL:
        return "make room on the disk, or raise its quota"
    if number in _FORBIDDEN:
        return "let the server's user write there; is the disk mounted read-only?"
    return "look at the disk, and try again"


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
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            # A delivery makes it just now.
            continue
        if os.geteuid() == 0:
            os.chown(directory, owner.st_uid, owner.st_gid)
