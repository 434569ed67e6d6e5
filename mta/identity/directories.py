"""Several directories as one, and whose address is whose."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from zope.interface import implementer

from mta.interfaces import Alias, Answer, HostedDomain, IDirectory, IDomains, Mailbox, settle
from mta.model.address import Address, AddressError, parse_address


def _plus(domain: str) -> str:
    return "+"


@implementer(IDirectory, IDomains)
class Directories:
    """Asks directories in order; the first that knows wins.

    One that is temporarily unavailable ends the search: a later one might know
    the address differently, and "unknown" would be a lie.

    :param directories: providers of ``IDirectory``.
    :param separator: gives the character between user and detail of a domain
        (RFC 5233); ``""`` for none.
    :param stands_for: gives the domain that a domain of the configuration stands for: itself,
        or another.
    """

    def __init__(
        self,
        directories: Iterable[Any],
        separator: Callable[[str], str] = _plus,
        stands_for: Callable[[str], str] = str,
    ) -> None:
        self._directories = tuple(directories)
        self._with_domains = tuple(one for one in self._directories if IDomains.providedBy(one))
        self._separator = separator
        self._stands_for = stands_for

    def look_up(self, address: Address) -> Answer[Mailbox | Alias | None]:
        """See :class:`~mta.interfaces.IDirectory`; answers at once where all do."""
        return self._first("look_up", address)

    def account(self, avatar: str) -> Answer[Mailbox | None]:
        """See :class:`~mta.interfaces.IDirectory`."""
        return self._first("account", avatar)

    def domain(self, name: str) -> Answer[HostedDomain | None]:
        """See :class:`~mta.interfaces.IDomains`: of those directories that know domains."""
        return self._first("domain", name, self._with_domains) if self._with_domains else None

    def _first(self, question: str, subject: Any, among: Sequence[Any] = ()) -> Answer[Any]:
        asked = among or self._directories
        for number, directory in enumerate(asked):
            answer = getattr(directory, question)(subject)
            if isinstance(answer, Awaitable):
                return self._rest(answer, question, subject, asked[number + 1 :])
            if answer is not None:
                return answer
        return None

    async def _rest(self, pending: Any, question: str, subject: Any, others: Sequence[Any]) -> Any:
        answer = await pending
        for directory in others:
            if answer is not None:
                break
            answer = await settle(getattr(directory, question)(subject))
        return answer

    def may_send_as(self, avatar: str, address: str) -> Answer[bool]:
        """Whether an account may use an address as sender.

        It may use its own name, its mailbox's address, every address that leads
        to the same mailbox, what ``senders`` lists, and all of these with a
        detail.  The null reverse-path belongs to everybody: notifications that
        a mail client sends (RFC 8098) carry it.

        :param address: canonical address, or ``""``.
        :raise TemporarilyUnavailable: if that cannot be told.
        """
        if not address or address.lower() == avatar.lower():
            return True
        return self._may_send_as(avatar, address)

    async def _own_domain(self, name: str) -> str:
        """The domain whose addresses those of a domain are, where one stands for another."""
        found = self._stands_for(name)
        if found == name and self._with_domains:
            hosted = await settle(self.domain(name))
            if hosted is not None and hosted.alias_of:
                return self._stands_for(hosted.alias_of)
        return found

    async def _may_send_as(self, avatar: str, address: str) -> bool:
        try:
            written = parse_address(address)
        except AddressError:
            return False
        exact = Address(written.local, await self._own_domain(written.domain))
        plain, _ = exact.without_detail(self._separator(exact.domain))
        wanted = {address.lower(), str(exact).lower(), str(plain).lower()}
        if avatar.lower() in wanted:
            return True
        mailbox = await settle(self.account(avatar))
        if mailbox is None:
            return False
        if mailbox.address.lower() in wanted:
            return True
        domain = f"@{written.domain}"
        if any(sender.lower() in wanted or sender.lower() == domain for sender in mailbox.senders):
            return True
        for candidate in dict.fromkeys((exact, plain)):
            found = await settle(self.look_up(candidate))
            if isinstance(found, Mailbox):
                return found.address.lower() == mailbox.address.lower()
            if isinstance(found, Alias):
                return [target.lower() for target in found.targets] == [mailbox.address.lower()]
        return False
