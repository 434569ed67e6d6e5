"""Recipients to whom a tenant, or the server, sends nothing more: what SMTP clients are told of it.

Where the account says whose mail it is, RCPT is refused.  Where only the header says so, or where
``suppression.smtp`` is ``accept``, the recipient is left out when the message is complete, with an
event, and the others get it; a message of which nobody is left is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from mta.interfaces import Answer, TemporarilyUnavailable, settle
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client, Recipient
from mta.model.event_suppression import SuppressedTo
from mta.model.reply import Reply


class Entry(Protocol):
    """A suppression, as :mod:`mta.registry.suppressions` has it."""

    @property
    def reason(self) -> str:
        """Such as ``bounce``."""

    @property
    def list(self) -> str:
        """The list of mail that it is about."""

    @property
    def created(self) -> float:
        """In seconds since 1970."""

    @property
    def tenant(self) -> str:
        """Whose; empty: the server's."""

    @property
    def evidence(self) -> Mapping[str, Any]:
        """What it was told by."""

    @property
    def words(self) -> str:
        """Why, for a person."""


#: Characters of why.
_LONGEST = 250
#: By tenant and addresses, and the list of mail if there is one, those that get nothing.
Find = Callable[..., Answer[Mapping[str, Any]]]


class Suppressing:
    """See the module.

    :param find: see ``mta.registry.suppressions.Suppressions.find``; ``None``: there are no lists.
    :param at_once: whether RCPT is refused.
    """

    def __init__(self, find: Find | None = None, at_once: bool = True) -> None:
        self._find = find
        self.at_once = at_once

    def at_rcpt(self, tenant: str, address: str, client: Client) -> Awaitable[Reply | None] | None:
        """The refusal of a recipient; ``None`` at once where it is plain that there is none."""
        if self._find is None or not self.at_once:
            return None
        found = self._find(tenant, (address,))
        if isinstance(found, Mapping):
            return None if not found else self._refused(found, address, client)
        return self._refused(found, address, client)

    async def _refused(
        self, found: Answer[Mapping[str, Entry]], address: str, client: Client
    ) -> Reply | None:
        try:
            entry = (await settle(found)).get(address)
        except TemporarilyUnavailable as trouble:
            return unavailable(address, client, trouble)
        return None if entry is None else refusal(entry, address, client)

    def at_end(
        self, tenant: str, told_at_rcpt: str, addresses: Iterable[str], mailing: str = ""
    ) -> Answer[Mapping[str, Entry]]:
        """Who of a complete message's recipients gets nothing.

        :param tenant: whose it is.
        :param told_at_rcpt: whose it was taken for when recipients were answered.
        :param mailing: the list that it is for, which recipients may have left.
        :raise TemporarilyUnavailable: by the awaitable, if that cannot be told now.
        """
        if self._find is None or not tenant:
            return {}
        if mailing:
            return self._find(tenant, list(addresses), mailing)
        return {} if self.at_once and tenant == told_at_rcpt else self._find(tenant, list(addresses))


def refusal(entry: Entry, address: str, client: Client) -> Reply:
    """What is said of a recipient that is suppressed."""
    # What a stranger's server said may have characters that are not for SMTP.
    why = "".join(c if " " <= c <= "~" else "?" for c in entry.words)[:_LONGEST]
    reply = REPLIES.reply("recipient-suppressed", address=address, why=why, ref=client.session)
    evidence = {"reason": entry.reason, "since": entry.created, **entry.evidence}
    evidence["list of"] = entry.tenant or "the server"
    return reply.because("suppression", evidence)


def unavailable(address: str, client: Client, trouble: Exception) -> Reply:
    """What is said while nobody can tell."""
    reply = REPLIES.reply("directory-unavailable", address=address, ref=client.session)
    return reply.because("suppression", {"why": str(trouble)})


def left_out(
    entry: Entry, recipient: Recipient, *, at: float, message: str, session: str, tenant: str, sender: str
) -> SuppressedTo:
    """The event of a recipient of an accepted message who gets nothing."""
    return SuppressedTo(
        at=at,
        message=message,
        session=session,
        recipient=recipient.address,
        tenant=tenant,
        reason=entry.reason,
        list=entry.list,
        since=entry.created,
        everybody=not entry.tenant,
        sender=sender,
        evidence=dict(entry.evidence),
    )
