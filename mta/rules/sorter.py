"""Decides for each copy that is delivered into a Maildir what the owner's rules make of it; in threads.

Nothing here keeps mail from being delivered: with rules that cannot be used it comes into the inbox, and
that is told once for each version of the file.
"""

from __future__ import annotations

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from twisted.logger import Logger
from zope.interface import implementer

from mta.config.problem import ConfigurationError
from mta.config.settings import RulesTable
from mta.interfaces import ISorter
from mta.mailbox.file_name import Flags, info_of
from mta.mailbox.names import name_of
from mta.model.address import domain_of
from mta.model.bucket import Bucket
from mta.model.message import Addressee, Content, Message
from mta.model.sorting import AutomaticReply, Decision
from mta.rules import reply
from mta.rules.fitting import fits
from mta.rules.letter import Letter
from mta.rules.memory import Memory
from mta.rules.rule import FLAGS, RuleFile, Vacation
from mta.rules.rule_file import Version, load, version_of

#: Files of rules that are remembered.
_REMEMBERED = 2000
_DAY = 86400.0


@implementer(ISorter)
class Sorter:
    """See the module.

    :param memory: whom accounts have answered, and what they have forwarded.
    :param indexes: the directory of the mailboxes' indexes, where keywords are agreed on.
    :param settings: gives ``[rules]``.
    :param ours: gives the domains whose mail is kept here.
    :param seconds: gives the time.
    """

    log = Logger()

    def __init__(
        self,
        memory: Memory,
        indexes: Path,
        settings: Callable[[], RulesTable],
        ours: Callable[[], Collection[str]],
        seconds: Callable[[], float],
    ) -> None:
        self._memory = memory
        self._indexes = indexes
        self._settings = settings
        self._ours = ours
        self._seconds = seconds
        self._lock = Lock()
        self._files: OrderedDict[bytes, tuple[Version, RuleFile | str]] = OrderedDict()

    def close(self) -> None:
        """Close what is open."""
        self._memory.close()

    # --- deciding ------------------------------------------------------------

    def decide(self, message: Message, addressee: Addressee, sender: str, maildir: bytes) -> Decision | None:
        """See :class:`~mta.interfaces.ISorter`."""
        settings = self._settings()
        if not settings.enabled:
            return None
        account = addressee.address
        try:
            rules, news = self._rules(maildir, account)
        except OSError as error:
            return Decision(account, notes=(f"the rules cannot be read: {error.strerror}",))
        if rules is None:
            return Decision(account, notes=(news,)) if news else None
        letter = _letter(message, addressee)
        return self._decide(rules, letter, message, addressee, sender, settings)

    def _decide(
        self,
        rules: RuleFile,
        letter: Letter,
        message: Message,
        addressee: Addressee,
        sender: str,
        settings: RulesTable,
    ) -> Decision | None:
        account = addressee.address
        names: list[str] = []
        notes: list[str] = []
        forwards: dict[str, None] = {}
        keywords: dict[str, None] = {}
        flags: set[str] = set()
        folder = ""
        keep, discarded = True, False
        vacations: list[tuple[str, Vacation]] = []
        for number, rule in enumerate(rules.rule):
            if not fits(rule, letter):
                continue
            name = rules.name_of(number)
            names.append(name)
            folder = folder or rule.file
            flags.update(FLAGS[flag] for flag in rule.flags)
            keywords.update(dict.fromkeys(rule.keywords))
            discarded = discarded or rule.discard
            if rule.vacation is not None:
                vacations.append((name, rule.vacation))
            went = [
                to
                for to in rule.forward
                if self._forwards(to, letter, message, account, forwards, settings, notes)
            ]
            forwards.update(dict.fromkeys(went))
            if not rule.keep and len(went) == len(rule.forward):
                keep = False
            if rule.stop:
                break
        else:
            if rules.vacation is not None:
                vacations.append(("vacation", rules.vacation))
        if discarded and not folder:
            keep = False
        elif folder:
            # Who says where it goes wants to have it.
            keep = True
        answer = self._answer(vacations, letter, message, addressee, sender, settings, notes)
        if not names and answer is None and not notes:
            return None
        return Decision(
            account,
            tuple(names),
            folder,
            "".join(sorted(flags)),
            tuple(keywords),
            keep,
            tuple(forwards),
            answer,
            tuple(notes),
        )

    def _forwards(
        self,
        to: str,
        letter: Letter,
        message: Message,
        account: str,
        known: Collection[str],
        settings: RulesTable,
        notes: list[str],
    ) -> bool:
        """Whether a copy goes there; if not, the notes say why, and the message is kept."""
        if to in known:
            return True
        been = {address.strip().lower() for address in letter.texts("delivered-to")}
        if to.lower() == account.lower() or to.lower() in been:
            why = "it has been there already"
        elif not settings.may_forward(domain_of(to), self._ours()):
            why = "[rules] forward_to of this server does not have its domain"
        elif len(known) >= settings.forward_most:
            why = f"a message is forwarded to {settings.forward_most} at the most"
        elif letter.junk:
            why = "a filter calls it junk"
        elif not self._within_rate(account, to, message, settings):
            why = f"{account} has forwarded {settings.forward_rate[0]} of late, which is the most"
        else:
            return True
        notes.append(f"not forwarded to {to}: {why}")
        return False

    def _within_rate(self, account: str, to: str, message: Message, settings: RulesTable) -> bool:
        bucket = Bucket.of(settings.forward_rate)
        try:
            return self._memory.forward(account, to.lower(), message.id, self._seconds(), bucket)
        except (sqlite3.Error, OSError) as error:
            # As other limits: mail goes on without them.
            self.log.error("What {account} forwards cannot be counted: {why}", account=account, why=error)
            return True

    # --- answering -----------------------------------------------------------

    def _answer(
        self,
        vacations: list[tuple[str, Vacation]],
        letter: Letter,
        message: Message,
        addressee: Addressee,
        sender: str,
        settings: RulesTable,
        notes: list[str],
    ) -> AutomaticReply | None:
        now = self._seconds()
        today = datetime.fromtimestamp(now, UTC)
        found = next(((name, one) for name, one in vacations if one.is_on(today)), None)
        if found is None:
            return None
        name, vacation = found
        account = addressee.address
        own = {one.lower() for one in (account, addressee.original, *vacation.addresses)}
        why = (
            reply.why_not(letter, sender, own) if settings.reply else "[rules] reply of this server is false"
        )
        if not why:
            most, span = settings.reply_rate
            again = max(settings.reply_again, vacation.days * _DAY)
            whom = f"{sender.lower()}\n{reply.handle_of(vacation, name)}"
            try:
                if self._memory.claim(account, whom, message.id, now, now + again, most, span):
                    return AutomaticReply(sender, reply.written(vacation, letter, account, sender))
                why = f"{sender} was answered lately"
            except (sqlite3.Error, OSError) as error:
                # Once too little rather than again and again.
                self.log.error(
                    "It cannot be remembered whom {account} answers: {why}", account=account, why=error
                )
                why = "it cannot be remembered who was answered"
        notes.append(f"not answered: {why}")
        return None

    # --- the file ------------------------------------------------------------

    def _rules(self, maildir: bytes, account: str) -> tuple[RuleFile | None, str]:
        """The rules, or none and what is wrong with them, which is told once.

        :raise OSError: if nobody can tell whether there are any.
        """
        version = version_of(maildir)
        if version is None:
            return None, ""
        with self._lock:
            kept = self._files.get(maildir)
            if kept is not None and kept[0] == version:
                self._files.move_to_end(maildir)
                return (None, "") if isinstance(kept[1], str) else (kept[1], "")
        found: RuleFile | str
        news = ""
        try:
            found = load(maildir) or RuleFile()
        except ConfigurationError as error:
            found = news = "its rules cannot be used, so it is delivered without them: " + "; ".join(
                str(problem) for problem in error.problems[:5]
            )
            self.log.warn("{account}: {news}", account=account, news=news)
            try:
                self._memory.break_(maildir, account)
            except (sqlite3.Error, OSError) as trouble:
                self.log.error(
                    "{path} is broken, and that cannot be remembered: {why}", path=maildir, why=trouble
                )
        with self._lock:
            self._files[maildir] = (version, found)
            self._files.move_to_end(maildir)
            if len(self._files) > _REMEMBERED:
                self._files.popitem(last=False)
        return (None, news) if isinstance(found, str) else (found, "")

    # --- the place -----------------------------------------------------------

    def info(self, decision: Decision, maildir: bytes, directory: bytes) -> bytes:
        """See :class:`~mta.interfaces.ISorter`."""
        bits = 0
        if decision.keywords:
            # Few mailboxes have keywords set, and the index needs memory.
            from mta.mailbox.place_keywords import keyword_bits

            try:
                bits = keyword_bits(self._indexes, maildir, directory, decision.keywords)
            except (sqlite3.Error, OSError) as error:
                self.log.warn(
                    "Keywords of {account} cannot be set: {why}", account=decision.account, why=error
                )
        info = info_of(Flags(0, bits))
        return b":2," + bytes(sorted(info[3:] + decision.flags.encode()))

    def made(self, maildir: bytes, directory: bytes) -> None:
        """See :class:`~mta.interfaces.ISorter`."""
        from mta.mailbox import subscriptions
        from mta.mailbox.refusal import Refused

        try:
            subscriptions.change(maildir, name_of(directory), True)
        except (Refused, OSError) as error:
            self.log.warn("{folder} is not subscribed to: {why}", folder=os.fsdecode(directory), why=error)


def _letter(message: Message, addressee: Addressee) -> Letter:
    start = message.trace + _start(message.content)
    junk = bool(message.attributes and message.attributes.get("folder"))
    recipients = tuple({addressee.address, addressee.original})
    return Letter(start, message.size, recipients, junk)


def _start(content: Content) -> bytes:
    """As much as a header section has.

    :raise OSError: if it cannot be read.
    """
    for block in content.blocks():
        return block
    return b""
