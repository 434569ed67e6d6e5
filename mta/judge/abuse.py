"""Whether an account is stolen, seen by what it does; and what is done then: ``[abuse]``.

======================  =====================================================================
volume                  recipients in an hour: more than ``volume``, and more than ``factor``
                        times the account's own busiest hour of the last thirty days
unknown                 recipients that we know not to exist
bounces                 messages that others refuse or return for good
networks                networks that it was never seen in, with a log-in in the last hour
======================  =====================================================================

The account is suspended until a person has looked (``mta account resume``): its mail is taken and
held, or put off, or refused; what it has in the queue is held.  Nothing that was acknowledged is
lost.  The suspension is common to all workers, and stands in the journal; postmaster gets a mail.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from mta.config.settings import Abuse
from mta.interfaces import Answer, Facts, IEventSink, IJudge, TemporarilyUnavailable
from mta.model.bucket import Bucket
from mta.model.catalogue import REPLIES
from mta.model.event import Authenticated, Bounced, Event, FailedTo, Received, Rejected
from mta.model.event_access import Suspended
from mta.model.ledger import Book, Ledger
from mta.model.network import network_of
from mta.model.verdict import PASS, Stage, Verdict
from mta.model.waiting import in_words

#: The name of this judge in the pipeline.
NAME = "abuse"
#: Kinds of entries: accounts that are suspended; what an account does in an hour, and where;
#: what was counted against it; how much is held.
SUSPENDED, USAGE, PLACES, COUNTED, HELD = "suspended", "usage", "places", "abuse", "held"
_DAYS = 30
_HOUR = 3600.0
_DAY = 86400.0
#: Messages of which it is remembered whose they are.
_REMEMBERED = 10_000
#: Networks of an account that are remembered.
_NETWORKS = 200
#: Replies that say that a recipient does not exist.
UNKNOWN = frozenset({"mailbox-unknown"})


def volume(book: Book, account: str, recipients: int, settings: Abuse) -> tuple[int, int]:
    """Count recipients of one more message: how many there were this hour, and how many there may be."""
    usage = book.get(USAGE, account) or {"hour": 0, "count": 0, "days": {}}
    hour, today = int(book.now // _HOUR), int(book.now // _DAY)
    days: dict[str, int] = usage["days"]
    if usage["hour"] != hour:
        usage["hour"], usage["count"] = hour, 0
    usage["count"] += recipients
    busiest = max((count for day, count in days.items() if int(day) != today), default=0)
    days[str(today)] = max(days.get(str(today), 0), usage["count"])
    usage["days"] = {day: count for day, count in days.items() if int(day) > today - _DAYS}
    book.put(USAGE, account, usage, _DAYS * _DAY)
    return usage["count"], max(settings.volume, int(settings.factor * busiest))


def exceeded(book: Book, account: str, what: str, rate: tuple[int, float]) -> bool:
    """Count one more of something; whether it is too many now."""
    bucket, key = Bucket.of(rate), f"{what} {account}"
    kept = book.get(COUNTED, key)
    over = bucket.wait(kept, book.now) > 0
    after = bucket.take(kept, book.now)
    book.put(COUNTED, key, after, bucket.full_in(after, book.now))
    return over


def places(book: Book, account: str, network: str, rate: tuple[int, float]) -> list[str]:
    """Note where an account has logged in: the networks that are new, if there are too many at once."""
    known: dict[str, list[float]] = book.get(PLACES, account) or {}
    first = known.get(network, [book.now])[0]
    known[network] = [first, book.now]
    if len(known) > _NETWORKS:
        known = dict(sorted(known.items(), key=lambda item: item[1][1])[-_NETWORKS:])
    book.put(PLACES, account, known, _DAYS * _DAY)
    new = [one for one, (first, last) in known.items() if first > book.now - rate[1]]
    return sorted(new) if len(new) > rate[0] else []


def suspend(book: Book, account: str, value: dict[str, Any]) -> bool:
    """Suspend an account; whether it was not."""
    if book.get(SUSPENDED, account) is not None:
        return False
    book.put(SUSPENDED, account, value)
    return True


def resume(book: Book, account: str) -> bool:
    """End it, and begin to count anew; whether it was suspended."""
    for what in ("unknown", "bounces"):
        book.delete(COUNTED, f"{what} {account}")
    book.delete(HELD, account)
    usage = book.get(USAGE, account)
    if usage is not None:
        book.put(USAGE, account, {**usage, "count": 0}, _DAYS * _DAY)
    known = book.get(PLACES, account)
    if known is not None:
        # A person has seen these, so they are not new any more.
        book.put(PLACES, account, {one: [0.0, last] for one, (_, last) in known.items()}, _DAYS * _DAY)
    return book.delete(SUSPENDED, account)


@implementer(IJudge, IEventSink)
class AbuseGuard:
    """See the module.

    :param ledger: what all workers remember together.
    :param settings: the table ``[abuse]``; may be replaced at any time.
    :param contact: whom the owner of an account may write to.
    :param seconds: gives the time.
    :param note: puts events into the journal.
    :param alert: tells a person, by subject and text.
    :param history: the events of a message, by its id.
    """

    log = Logger()
    stages = frozenset({"mail", "message"})

    def __init__(
        self,
        ledger: Ledger,
        settings: Abuse,
        contact: str,
        *,
        seconds: Callable[[], float],
        note: Callable[[Sequence[Event]], None],
        alert: Callable[[str, str], None],
        history: Callable[[str], Awaitable[Sequence[Event]]],
    ) -> None:
        self._ledger = ledger
        self.settings = settings
        self.contact = contact
        self._seconds = seconds
        self._note = note
        self._alert = alert
        self._history = history
        self._view = ledger.view(SUSPENDED)
        self._owners: OrderedDict[str, str] = OrderedDict()

    # --- judging -----------------------------------------------------------------

    def judge(self, stage: Stage, facts: Facts) -> Answer[Verdict]:
        """See :class:`~mta.interfaces.IJudge`."""
        if self.passes(stage, facts):
            return PASS
        account = facts.client.account.lower()
        suspended = self._view.get(account)
        if suspended is not None:
            return self._suspended(stage, facts, account, suspended)
        return self._volume(facts, account)

    def passes(self, stage: Stage, facts: Facts) -> bool:
        """Whether there is nothing to be said: see :class:`~mta.interfaces.IJudge`."""
        client = facts.client
        if not client.account or client.role == "local":
            return True
        account = client.account.lower()
        if self._view and self._view.get(account) is not None:
            return False
        return stage != "message" or self.settings.action == "off" or self._is_exempt(account)

    def _suspended(self, stage: Stage, facts: Facts, account: str, value: dict[str, Any]) -> Answer[Verdict]:
        action = value.get("action")
        if action != "hold":
            return self._refusal(account, value, facts.client.session)
        return PASS if stage == "mail" else self._hold(facts, account, value)

    async def _hold(self, facts: Facts, account: str, value: dict[str, Any]) -> Verdict:
        """Hold a message for review, as long as there are not too many."""
        most = self.settings.held

        def one_more(book: Book) -> int:
            count = int(book.get(HELD, account) or 0) + 1
            if count <= most:
                book.put(HELD, account, count, _DAYS * _DAY)
            return count

        try:
            count = await self._ledger.ask(one_more)
        except TemporarilyUnavailable:
            count = 0
        if count > most:
            return self._refusal(account, value, facts.client.session)
        reason = f"the account {account} is suspended because of {value.get('reason', '')}"
        return Verdict("hold", "abuse.suspended", reason, {**value.get("facts", {})})

    def _refusal(self, account: str, value: dict[str, Any], session: str) -> Verdict:
        name = "account-disabled" if value.get("action") == "reject" else "account-suspended"
        reply = REPLIES.reply(
            name, account=account, reason=value.get("reason", ""), contact=self.contact, ref=session
        )
        facts = {
            "account": account,
            "suspended because of": value.get("reason", ""),
            **value.get("facts", {}),
        }
        action = "reject" if reply.is_permanent else "defer"
        return Verdict(action, "abuse.suspended", f"{account} is suspended", facts, reply)  # type: ignore[arg-type]

    async def _volume(self, facts: Facts, account: str) -> Verdict:
        recipients = len(facts.envelope.recipients) if facts.envelope is not None else 1
        settings = self.settings
        try:
            count, most = await self._ledger.ask(lambda book: volume(book, account, recipients, settings))
        except TemporarilyUnavailable as trouble:
            return Verdict(evidence={"not asked": str(trouble)})
        if count <= most:
            return PASS
        found = {"recipients this hour": count, "usual at the most": most}
        value = await self._suspend(account, f"{count} recipients in one hour", found)
        if value is None:
            return PASS
        if value["action"] == "hold":
            return await self._hold(facts, account, value)
        return self._refusal(account, value, facts.client.session)

    def _is_exempt(self, account: str) -> bool:
        exempt = self.settings.exempt
        return bool(exempt) and bool({account, f"@{account.rpartition('@')[2]}", "*"}.intersection(exempt))

    # --- watching ----------------------------------------------------------------

    def events(self, batch: Sequence[Event]) -> None:
        """See :class:`~mta.interfaces.IEventSink`."""
        settings = self.settings
        if settings.action == "off":
            return
        for event in batch:
            if isinstance(event, Received):
                self._remember(event.message, event.account)
            elif isinstance(event, Rejected):
                if event.account and event.name in UNKNOWN and settings.unknown:
                    self._count(event.account.lower(), "unknown", settings.unknown, event.recipient)
            elif isinstance(event, (FailedTo, Bounced)):
                if settings.bounces and (isinstance(event, FailedTo) or event.action == "failed"):
                    self._came_back(event.message, settings.bounces, event.recipient)
            elif isinstance(event, Authenticated) and event.client and settings.networks:
                self._place(event.account.lower(), event.client, settings.networks)

    def _remember(self, message: str, account: str) -> None:
        self._owners[message] = account.lower()
        if len(self._owners) > _REMEMBERED:
            self._owners.popitem(last=False)

    def _came_back(self, message: str, rate: tuple[int, float], recipient: str) -> None:
        owner = self._owners.get(message)
        if owner is None:
            Deferred.fromCoroutine(self._look_up(message, rate, recipient))
        elif owner:
            self._count(owner, "bounces", rate, recipient)

    async def _look_up(self, message: str, rate: tuple[int, float], recipient: str) -> None:
        """Find out whose a message was that came in long ago, or before a restart."""
        try:
            events = await self._history(message)
        except (TemporarilyUnavailable, ValueError) as trouble:
            self.log.info("Nobody can tell whose {message} was: {why}", message=message, why=str(trouble))
            return
        accounts = [event.account for event in events if isinstance(event, Received)]
        self._remember(message, accounts[0] if accounts else "")
        self._came_back(message, rate, recipient)

    def _count(self, account: str, what: str, rate: tuple[int, float], recipient: str) -> None:
        words = {"unknown": "recipients that do not exist", "bounces": "messages that came back"}[what]
        found = {"last": recipient, "limit": f"{rate[0]} in {in_words(rate[1])}"}
        self._watch(
            account,
            lambda book: exceeded(book, account, what, rate),
            lambda over: (f"more than {rate[0]} {words} in {in_words(rate[1])}", found),
        )

    def _place(self, account: str, client: str, rate: tuple[int, float]) -> None:
        network = network_of(client)
        self._watch(
            account,
            lambda book: places(book, account, network, rate),
            lambda new: (f"log-ins from {len(new)} new networks in {in_words(rate[1])}", {"networks": new}),
        )

    def _watch(
        self,
        account: str,
        question: Callable[[Book], Any],
        reason: Callable[[Any], tuple[str, dict[str, Any]]],
    ) -> None:
        if self._is_exempt(account) or self._view.get(account) is not None:
            return
        Deferred.fromCoroutine(self._watched(account, question, reason))

    async def _watched(self, account: str, question: Any, reason: Any) -> None:
        try:
            found = await self._ledger.ask(question)
            if found:
                words, facts = reason(found)
                await self._suspend(account, words, facts)
        except TemporarilyUnavailable:
            return  # The ledger has said so.
        except Exception:
            self.log.failure("What {account} does was not counted", account=account)

    def count_now(self) -> int:
        """How many accounts are suspended."""
        return sum(1 for _ in self._view)

    # --- suspending ----------------------------------------------------------------

    async def _suspend(self, account: str, reason: str, found: dict[str, Any]) -> dict[str, Any] | None:
        """Suspend, note and tell; what stands in the ledger, ``None`` if it cannot be kept."""
        action = self.settings.action if self.settings.action != "off" else "hold"
        value = {"reason": reason, "facts": found, "by": NAME, "since": self._seconds(), "action": action}
        try:
            fresh = await self._ledger.ask(lambda book: suspend(book, account, value))
        except TemporarilyUnavailable:
            return None
        if fresh:
            now = self._seconds()
            self._note((Suspended(at=now, account=account, by=NAME, reason=reason, evidence=found),))
            self._alert(f"The account {account} is suspended", _letter(account, reason, found, action))
        return value

    async def suspend(self, account: str, by: str, reason: str = "") -> bool:
        """By hand; whether it was not.

        :raise TemporarilyUnavailable: if it cannot be kept.
        """
        name = account.lower()
        action = self.settings.action if self.settings.action != "off" else "hold"
        value = {
            "reason": reason or "somebody decided so",
            "by": by,
            "since": self._seconds(),
            "action": action,
        }
        fresh = await self._ledger.ask(lambda book: suspend(book, name, value))
        if fresh:
            self._note((Suspended(at=self._seconds(), account=name, by=by, reason=reason),))
        return fresh

    async def resume(self, account: str, by: str, reason: str = "") -> bool:
        """End it; whether it was suspended.

        :raise TemporarilyUnavailable: if it cannot be kept.
        """
        name = account.lower()
        was = await self._ledger.ask(lambda book: resume(book, name))
        if was:
            self._note((Suspended(at=self._seconds(), account=name, action="resumed", by=by, reason=reason),))
        return was


def _letter(account: str, reason: str, found: dict[str, Any], action: str) -> str:
    """What postmaster is told."""
    what = {
        "hold": "Its mail is taken and held; nothing of it is sent until you release it.",
        "defer": "Its mail is put off with 450, so programs keep it and come again.",
        "reject": "Its mail is refused with 550.",
    }[action] + "  What it had in the queue is held."
    facts = "\n".join(f"    {name}: {value}" for name, value in found.items())
    return f"""\
The account {account} behaves as if it was stolen: {reason}.

{facts}

{what}

What to do:

  1. Look at what it sent:          mta trace {account}
     and at what is held:           mta queue list --held --from {account}
  2. Have its owner change the password, and look after their computers.
  3. Release what is wanted:        mta queue release ID
     and remove the rest:           mta queue remove --held --from {account}
  4. Let it send again:             mta account resume {account}

What is unusual is set in [abuse] of mta.toml; "exempt" names accounts that are not watched.
"""
