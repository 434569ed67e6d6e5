"""Networks that are let in no more for a while.

A client is banned after many failed log-ins, or many refusals; a network after many of all its
clients together; each time for longer.  A person bans and lifts as they like.  Bans stand in the
ledger, so all workers know them, and in memory, so a connection costs a look into a table.

Nobody can have others banned from where they log in: a client at which an account has logged in
before is banned neither by itself nor with its network; there passwords are only tried slowly
(:mod:`mta.identity.throttle`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from mta.config.settings import Ban
from mta.interfaces import IEventSink, TemporarilyUnavailable
from mta.model.bucket import Bucket
from mta.model.catalogue import REPLIES
from mta.model.event import AuthenticationFailed, Event, Rejected
from mta.model.event_access import Banned
from mta.model.ledger import KNOWN_CLIENT, Book, Ledger, View
from mta.model.network import Network, NetworkTable, client_of, is_within, network_of, parsed
from mta.model.reply import Reply
from mta.model.waiting import in_words

#: Kinds of entries: bans, how often there was one before, what was counted.
BAN, BEFORE, COUNTED = "ban", "ban-before", "strike"
#: Seconds for which it is remembered that there was a ban.
_REMEMBER = 14 * 86400.0
#: Refusals that tell nothing of a client, or are bans and limits themselves.
_NOT_COUNTED = frozenset({"banned", "auth-required", "tls-failed", "session-too-long", "timeout"})

What = Literal["failures", "refusals"]


@dataclass(frozen=True, slots=True)
class NewBan:
    """A ban that was just made.

    :ivar number: the how manieth of this network.
    """

    network: str
    reason: str
    until: float
    number: int
    rate: tuple[int, float]
    spared: list[str] = field(default_factory=list)


def strike(book: Book, address: str, what: What, settings: Ban) -> list[NewBan]:
    """Count one more against a client and its network, and ban where it is too much."""
    client, network = client_of(address), network_of(address)
    if book.get(BAN, client) is not None or book.get(KNOWN_CLIENT, client) is not None:
        return []
    if what == "failures":
        counted = ((client, settings.failures), (network, settings.network_failures))
    else:
        counted = ((client, settings.refusals), (network, None))
    made = []
    for who, rate in counted:
        if rate is None or book.get(BAN, who) is not None:
            continue
        bucket, key = Bucket.of(rate), f"{what} {who}"
        kept = book.get(COUNTED, key)
        if bucket.wait(kept, book.now) <= 0:
            after = bucket.take(kept, book.now)
            book.put(COUNTED, key, after, bucket.full_in(after, book.now))
            continue
        words = {"failures": "failed log-ins", "refusals": "refusals"}[what]
        reason = f"more than {rate[0]} {words} in {in_words(rate[1])}"
        made.append(_ban(book, who, reason, rate, settings))
        book.delete(COUNTED, key)
    return made


def _ban(book: Book, network: str, reason: str, rate: tuple[int, float], settings: Ban) -> NewBan:
    number = int(book.get(BEFORE, network) or 0) + 1
    span = min(settings.longest, settings.span * 2.0 ** min(number - 1, 30))
    book.put(BEFORE, network, number, _REMEMBER)
    around = [ip_network(network)]
    spared = [
        client for client, _, _ in book.entries(KNOWN_CLIENT) if "/" in network and _within(client, around)
    ]
    value = {"reason": reason, "by": "ban", "since": book.now, "spared": spared}
    book.put(BAN, network, value, span)
    return NewBan(network, reason, book.now + span, number, rate, spared)


def _within(client: str, around: Sequence[Network]) -> bool:
    return is_within(client.partition("/")[0], around)


def _is_fault(event: Rejected) -> bool:
    """Whether a refusal says something against a client."""
    return bool(event.client) and event.code >= 500 and not event.account and event.name not in _NOT_COUNTED


def normal(text: str) -> str:
    """A network or an address as it stands in the ledger.

    :raise ValueError: if it is none.
    """
    network = ip_network(text.strip().strip("[]"), strict=False)
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return str(network)


@implementer(IEventSink)
class Bans:
    """See the module.

    :param ledger: what all workers remember together.
    :param settings: the table ``[ban]``; may be replaced at any time, as the following may.
    :param spared: further networks that are never banned by themselves.
    :param hostname: ours.
    :param contact: whom those who are banned may write to.
    :param seconds: gives the time.
    :param note: puts events into the journal.
    """

    log = Logger()

    def __init__(
        self,
        ledger: Ledger,
        settings: Ban,
        spared: Sequence[Network],
        *,
        hostname: str,
        contact: str,
        seconds: Callable[[], float],
        note: Callable[[Sequence[Event]], None],
    ) -> None:
        self._ledger = ledger
        self._hostname = hostname
        self._seconds = seconds
        self._note = note
        self._view: View = ledger.view(BAN)
        self._view.told = self._changed
        self._table = NetworkTable()
        self.use(settings, spared, contact)

    def use(self, settings: Ban, spared: Sequence[Network], contact: str) -> None:
        """Go by other settings from now on."""
        self.settings = settings
        self._never = (*settings.never, *spared)
        self._contact = contact

    def _changed(self) -> None:
        self._table = NetworkTable((ip_network(key), key) for key, _, _ in self._view)

    # --- at the door -----------------------------------------------------------

    def find(self, address: str) -> tuple[str, dict[str, Any], float] | None:
        """The ban that keeps an address out: network, facts and end; ``None`` if there is none."""
        for network in self._table.around(address):
            value = self._view.get(network)
            if value is not None and client_of(address) not in value.get("spared", ()):
                return network, value, self._view.end(network)
        return None

    def count_now(self) -> int:
        """How many there are."""
        return sum(1 for _ in self._view)

    def refusal(self, address: str) -> Reply | None:
        """The 421 for a client that is banned."""
        if not self._table:
            return None
        found = self.find(address)
        if found is None:
            return None
        network, value, until = found
        left = until - self._seconds()
        reply = REPLIES.reply(
            "banned",
            hostname=self._hostname,
            network=network,
            until=f"for {in_words(left)}" if left < 1e9 else "until somebody lifts it",
            reason=value.get("reason") or "somebody decided so",
            contact=self._contact,
        )
        evidence = {"network": network, **{k: v for k, v in value.items() if v and k != "spared"}}
        return reply.because("ban", evidence)

    # --- counting ----------------------------------------------------------------

    def events(self, batch: Sequence[Event]) -> None:
        """See :class:`~mta.interfaces.IEventSink`: count what went wrong."""
        settings = self.settings
        for event in batch:
            if isinstance(event, AuthenticationFailed):
                # What nobody has looked at says nothing of the password.
                wanted = (settings.failures or settings.network_failures) and not event.temporary
                if wanted and event.client:
                    self.count(event.client, "failures")
            elif settings.refusals and isinstance(event, Rejected) and _is_fault(event):
                self.count(event.client, "refusals")

    def count(self, address: str, what: What) -> None:
        """One more against a client; it goes on by itself."""
        if parsed(address) is None or is_within(address, self._never):
            return
        Deferred.fromCoroutine(self._count(address, what))

    async def _count(self, address: str, what: What) -> None:
        settings = self.settings
        try:
            made = await self._ledger.ask(lambda book: strike(book, address, what, settings))
        except TemporarilyUnavailable:
            return  # The ledger has said so.
        except Exception:
            self.log.failure("A strike against {address} was not counted", address=address)
            return
        for ban in made:
            evidence: dict[str, Any] = {what: f"{ban.rate[0]} in {in_words(ban.rate[1])}", "ban": ban.number}
            if ban.spared:
                evidence["spared"] = ban.spared
            self._note(
                (
                    Banned(
                        at=self._seconds(),
                        network=ban.network,
                        until=ban.until,
                        by="ban",
                        reason=ban.reason,
                        client=address,
                        evidence=evidence,
                    ),
                )
            )

    # --- by hand -----------------------------------------------------------------

    async def add(self, network: str, by: str, reason: str = "", seconds: float = 0.0) -> str:
        """Ban, for so long or until it is lifted.

        :return: the network as it is kept.
        :raise ValueError: if it is none.
        :raise TemporarilyUnavailable: if it cannot be kept.
        """
        key = normal(network)
        value = {"reason": reason, "by": by, "since": self._seconds()}
        await self._ledger.ask(lambda book: book.put(BAN, key, value, seconds or 1e12))
        until = self._seconds() + seconds if seconds else 0.0
        self._note((Banned(at=self._seconds(), network=key, until=until, by=by, reason=reason),))
        return key

    async def lift(self, network: str, by: str, reason: str = "") -> list[str]:
        """End the ban of a network; of an address whatever keeps it out.

        :return: the networks whose bans were ended.
        :raise ValueError: if it is none.
        :raise TemporarilyUnavailable: if it cannot be kept.
        """
        key = normal(network)

        def lifted(book: Book) -> list[str]:
            keys = [key]
            if "/" not in key:
                keys += [
                    other
                    for other, _, _ in book.entries(BAN)
                    if "/" in other and _within(key, [ip_network(other)])
                ]
            gone = [one for one in keys if book.delete(BAN, one)]
            for one in gone:
                book.delete(BEFORE, one)
            return gone

        gone = await self._ledger.ask(lifted)
        now = self._seconds()
        self._note([Banned(at=now, network=one, action="lifted", by=by, reason=reason) for one in gone])
        return gone
