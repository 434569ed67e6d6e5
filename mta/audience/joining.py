"""Puts people on lists: at once, or when they have confirmed it by the link in a mail (double opt-in).

Whom to ask is on disk in the transaction that makes somebody ``pending``.  A worker that dies before the
mail is sent leaves it to the next one, and the mail is sent once: it is named after the contact, the list
and how many there were before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mta.audience import confirmations, contacts, lists, memberships
from mta.audience.audience import Audience
from mta.audience.confirmations import Asked, Limits
from mta.audience.contact import Contact, NoContact
from mta.audience.lists import MailingList
from mta.audience.memberships import Membership
from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Event
from mta.model.event_audience import AudienceChanged

#: Mails that are sent in one go, and seconds until the next.
_AT_ONCE, _PAUSE = 20, 0.5
#: Sends a mail: to whom, for which list, and its name; answers with ``sent`` or why it was not.
Send = Callable[[str, MailingList, Contact, str], Awaitable[str]]


class Joining:
    """See the module.

    :param reactor: delayed calls.
    :param audience: the stores.
    :param send: sends the mail that asks.
    :param note: puts an event into the journal.
    :param limits: gives how often somebody may be asked.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        audience: Audience,
        send: Send,
        note: Callable[[Event], None],
        limits: Callable[[], Limits] = Limits,
    ) -> None:
        self._reactor = reactor
        self._audience = audience
        self._send = send
        self._note = note
        self._limits = limits
        self._stopped = True
        self._busy: Deferred[None] | None = None
        self._later: Any = None

    # --- joining -----------------------------------------------------------------

    async def join(
        self,
        tenant: str,
        name: str,
        contact: int,
        *,
        who: str,
        now: float,
        source: str = "",
        confirmed: bool = False,
    ) -> tuple[Membership, str]:
        """Put a contact on a list, and ask them if it needs that.

        Who has left a list with double opt-in is asked, too: they may want it again.

        :return: how they stand to it now, and what became of the mail: ``sent``, ``suppressed``,
            ``wait`` (there were enough), ``later``; ``""``: none is needed.
        :raise NoList: if there is no such list.
        :raise NoContact: if there is no such contact.
        """

        def work(
            base: sqlite3.Connection,
        ) -> tuple[Membership, str, MailingList, Contact, str]:
            mailing = lists.existing(base, tenant, name)
            one = contacts.get(base, tenant, contact)
            if one is None:
                raise NoContact(str(contact))
            before = memberships.state(base, mailing.id, contact)
            if before == "unsubscribed" and mailing.opt_in == "double":
                after = memberships.ask_again(base, mailing, contact, who, now, source)
            else:
                after = memberships.join(
                    base, tenant, mailing, contact, who, now, source=source, confirmed=confirmed
                )
            asked = ""
            if after.state == "pending":
                asked = confirmations.ask(base, tenant, mailing.id, contact, now, self._limits())
            return after, asked, mailing, one, before

        after, asked, mailing, one, before = await self._audience.database.change(
            memberships.TABLES.noun, work
        )
        if after.state != before and after.state == "subscribed":
            self._tell("joined", tenant, one.address, name, who, now)
        if asked == "due":
            return after, await self._ask(mailing, one, now, who)
        return after, {"waiting": "later"}.get(asked, asked)

    async def resend(self, tenant: str, name: str, contact: int, who: str, now: float) -> str:
        """Ask somebody once more who has not answered.

        :return: see :meth:`join`; ``""``: they are not pending.
        :raise NoList: if there is no such list.
        """

        def work(base: sqlite3.Connection) -> tuple[str, MailingList, Contact | None]:
            mailing = lists.existing(base, tenant, name)
            one = contacts.get(base, tenant, contact)
            if one is None or memberships.state(base, mailing.id, contact) != "pending":
                return "", mailing, one
            return confirmations.ask(base, tenant, mailing.id, contact, now, self._limits()), mailing, one

        asked, mailing, one = await self._audience.database.change(memberships.TABLES.noun, work)
        if asked == "due" and one is not None:
            return await self._ask(mailing, one, now, who)
        return {"waiting": "later"}.get(asked, asked)

    async def confirm(self, tenant: str, name: str, contact: int, now: float, client: str) -> str:
        """The person says yes.

        :return: ``confirmed``, ``already``, or ``gone``: nobody waits for it any more.
        """

        def work(base: sqlite3.Connection) -> tuple[str, str]:
            mailing = lists.find(base, tenant, name)
            one = contacts.get(base, tenant, contact)
            if mailing is None or one is None:
                return "gone", ""
            before = memberships.state(base, mailing.id, contact)
            if before == "subscribed":
                return "already", one.address
            if before != "pending":
                # An old link is no wish of somebody who has left since.
                return "gone", one.address
            memberships.confirm(base, mailing, contact, "the person", now, {"client": client})
            confirmations.settled(base, mailing.id, contact)
            return "confirmed", one.address

        done, address = await self._audience.database.change(memberships.TABLES.noun, work)
        if done == "confirmed":
            self._tell("confirmed", tenant, address, name, "the person", now, {"client": client})
        return done

    async def leave(self, tenant: str, name: str, contact: int, *, who: str, now: float) -> bool:
        """Take a contact off a list, as if they had left it; whether they were on it.

        Who calls this puts them on the suppression list for it, too.

        :raise NoList: if there is no such list.
        """

        def work(base: sqlite3.Connection) -> str:
            mailing = lists.existing(base, tenant, name)
            one = contacts.get(base, tenant, contact)
            if one is None or not memberships.state(base, mailing.id, contact):
                return ""
            confirmations.settled(base, mailing.id, contact)
            left = memberships.leave(base, tenant, mailing, contact, who, now)
            return one.address if left else ""

        address = await self._audience.database.change(memberships.TABLES.noun, work)
        if address:
            self._tell("left", tenant, address, name, who, now)
        return bool(address)

    async def forget(self, tenant: str, name: str, contact: int, *, who: str, now: float) -> bool:
        """Forget that a contact was ever on a list; whether they were.

        :raise NoList: if there is no such list.
        """

        def work(base: sqlite3.Connection) -> str:
            mailing = lists.existing(base, tenant, name)
            one = contacts.get(base, tenant, contact)
            if one is None or not memberships.remove(base, mailing.id, contact):
                return ""
            confirmations.settled(base, mailing.id, contact)
            return one.address

        address = await self._audience.database.change(memberships.TABLES.noun, work)
        if address:
            self._tell("removed", tenant, address, name, who, now)
        return bool(address)

    # --- asking ------------------------------------------------------------------

    async def _ask(self, mailing: MailingList, one: Contact, now: float, who: str, count: int = -1) -> str:
        if count < 0:
            query = "SELECT count FROM confirmations WHERE list = ? AND contact = ?"
            row = await self._audience.database.read(
                lambda base: base.execute(query, (mailing.id, one.id)).fetchone()
            )
            count = 0 if row is None else int(row[0])
        try:
            found = await self._send(mailing.tenant, mailing, one, f"confirm:{mailing.id}:{one.id}:{count}")
        except TemporarilyUnavailable as trouble:
            self.log.warn("a confirmation is sent later: {why}", why=str(trouble))
            self.soon(confirmations.CLAIM)
            return "later"
        went = found == "sent"
        await self._audience.database.change(
            confirmations.TABLES.noun, lambda base: confirmations.sent(base, mailing.id, one.id, now, went)
        )
        reason = "" if went else found
        self._tell("asked", mailing.tenant, one.address, mailing.name, who, now, reason=reason)
        return found

    async def start(self) -> None:
        """Ask whom an earlier worker has not asked."""
        self._stopped = False
        if self._audience.used:
            self.soon(5.0)

    async def stop(self) -> None:
        """Ask nobody any more."""
        self._stopped = True
        later, self._later = self._later, None
        if later is not None:
            later.cancel()
        if self._busy is not None:
            await self._busy

    def soon(self, seconds: float = _PAUSE) -> None:
        """There is somebody to be asked."""
        if self._stopped or self._busy is not None:
            return
        if self._later is not None:
            if self._later.getTime() <= self._reactor.seconds() + seconds:
                return
            self._later.cancel()
        self._later = self._reactor.callLater(max(seconds, _PAUSE), self._begin)

    def _begin(self) -> None:
        self._later = None
        done: Deferred[None] = Deferred()
        self._busy = done
        running = Deferred.fromCoroutine(self._round())
        running.addErrback(self._failed)
        running.addCallback(self._over, done)

    def _failed(self, failure: Any) -> float:
        self.log.failure("Confirmations of lists are not sent", failure)
        return 60.0

    def _over(self, seconds: float | None, done: Deferred[None]) -> None:
        self._busy = None
        if seconds is not None:
            self.soon(seconds)
        done.callback(None)

    async def _round(self) -> float | None:
        """Send some; answers with the seconds until there is more, if there is."""
        now = self._reactor.seconds()
        some: list[Asked] = await self._audience.database.change(
            confirmations.TABLES.noun, lambda base: confirmations.claimed(base, now, _AT_ONCE)
        )
        for asked in some:
            if self._stopped:
                return None
            await self._asked(asked)
        due = await self._audience.database.read(confirmations.next_due)
        return None if due is None else due - self._reactor.seconds()

    async def _asked(self, asked: Asked) -> None:
        now = self._reactor.seconds()

        def work(base: sqlite3.Connection) -> tuple[MailingList, Contact] | None:
            one = contacts.get(base, asked.tenant, asked.contact)
            every = lists.all_of(base, asked.tenant)
            mailing = next((found for found in every if found.id == asked.list), None)
            pending = memberships.state(base, asked.list, asked.contact) == "pending"
            return (mailing, one) if mailing and one and pending else None

        found = await self._audience.database.read(work)
        if found is None:
            await self._audience.database.change(
                confirmations.TABLES.noun,
                lambda base: confirmations.settled(base, asked.list, asked.contact),
            )
            return
        await self._ask(*found, now, "the server", asked.count)

    def _tell(
        self,
        action: str,
        tenant: str,
        address: str,
        name: str,
        who: str,
        now: float,
        evidence: dict[str, Any] | None = None,
        reason: str = "",
    ) -> None:
        self._note(
            AudienceChanged(
                at=now,
                action=action,
                tenant=tenant,
                recipient=address,
                target=name,
                by=who,
                reason=reason,
                evidence=evidence or {},
            )
        )
