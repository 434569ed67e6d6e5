"""The domains that are ours, and where their mail is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from mta.config.settings import Domain
from mta.interfaces import (
    Answer,
    IDirectory,
    IReloadable,
    IRouter,
    Mailbox,
    Route,
    RouteError,
    TemporarilyUnavailable,
    settle,
)
from mta.model.address import Address, AddressError, parse_address
from mta.model.catalogue import REPLIES
from mta.route.alias_syntax import target_address
from mta.route.aliases import Aliases
from mta.route.domain_name import ascii_domain
from mta.route.expansion import EVERY_ADDRESS, Expansion, LocalDomain, Questions, drive
from mta.route.maildir_path import MaildirTemplate
from mta.route.next_hop import literal_address
from mta.route.outbound import OutboundRouter
from mta.route.own_addresses import OwnAddresses

_DEFAULT = Domain()


class DomainsError(ValueError):
    """Settings of the domains that cannot be used.

    :ivar problems: for each the place in the configuration, and what is wrong there.
    """

    def __init__(self, problems: Sequence[tuple[tuple[str, ...], str]]) -> None:
        super().__init__("\n".join(f"{_dotted(place)}: {what}" for place, what in problems))
        self.problems = problems


class _Mistake(ValueError):
    """What is wrong with one key of a domain."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key


@implementer(IRouter, IReloadable)
class DomainRouter:
    """Routes addresses of our domains; see :mod:`~mta.route.expansion` for the rules.

    Our host name is ours too, even where no domain is called so, and so is an
    address literal of one of our addresses: both stand for the domain named
    like the host or like a parent of it, or else for the first.

    :param domains: by name.
    :param directory: knows mailboxes and aliases.
    :param aliases: the aliases files; ``None`` for none.
    :param hostname: our name.
    :param state: absolute path of the state directory.
    :param postmaster: an address for the mail of postmasters that neither
        aliases nor directory know; ``""`` for a Maildir of each domain.
    :param outbound: routes members of aliases that are elsewhere.
    :param own_addresses: our IP addresses; ``None``: those that the kernel knows.
    :param clock: ``seconds()`` tells the time; with one, what an address leads
        to is remembered for a second.
    :raise DomainsError: with everything that is wrong, for the operator.
    """

    #: Seconds for which an answer is remembered, and routes in all: a list has thousands.
    remember = 1.0
    remembered = 10_000

    _log = Logger()

    def __init__(
        self,
        domains: Mapping[str, Domain],
        directory: IDirectory,
        aliases: Aliases | None = None,
        *,
        hostname: str,
        state: str,
        postmaster: str = "",
        outbound: IRouter | None = None,
        own_addresses: Callable[[], frozenset[str]] | None = None,
        clock: Any = None,
    ) -> None:
        self._state = state
        self._hostname = hostname.lower()
        self._own_addresses = own_addresses or OwnAddresses()
        self._clock = clock
        self._aliases = aliases or Aliases()
        self._kept: dict[str, tuple[float, tuple[Route, ...]]] = {}
        self._weight = 0
        self._outbound: IRouter = outbound or OutboundRouter()
        self._expansion = Expansion(self._domain, directory, self._outbound.route)
        self._by_name: dict[str, LocalDomain] = {}
        problems: list[tuple[tuple[str, ...], str]] = []
        for name, settings in domains.items():
            try:
                local = self._local_domain(name.lower(), settings)
                self._by_name[local.name] = local
                self._by_name[ascii_domain(local.name)] = local
            except _Mistake as mistake:
                problems.append((("domains", name, mistake.key), str(mistake)))
        self._home = self._home_domain()
        if self._hostname:
            self._by_name.setdefault(self._hostname, self._home)
        self._postmaster: Address | None = None
        try:
            if postmaster:
                self._postmaster = parse_address(
                    postmaster if "@" in postmaster else f"{postmaster}@{self._home.name}"
                )
        except AddressError as error:
            problems.append((("queue", "postmaster"), str(error)))
        if problems:
            raise DomainsError(problems)

    # --- IRouter, IReloadable ------------------------------------------------

    def is_local(self, domain: str) -> bool:
        """Whether we take mail for the domain from anybody."""
        return domain in self._by_name or self._domain(domain.lower()) is not None

    def route(self, address: str) -> Answer[Sequence[Route] | None]:
        """See :class:`~mta.interfaces.IRouter`; at once if the directory answers at once."""
        clock = self._clock
        if clock is None:
            return self._route(address)
        now = clock.seconds()
        kept = self._kept.get(address)
        if kept is not None and now < kept[0]:
            return kept[1]
        routes = self._route(address)
        if isinstance(routes, Awaitable):
            return self._keep_later(address, routes)
        if routes is not None:
            self._keep(address, now, routes)
        return routes

    async def reload(self) -> None:
        """Read the aliases anew.

        :raise ValueError: if there are errors in them; what was, stays.
        """
        try:
            await self._aliases.reload()
        finally:
            self._forget()

    async def trace(self, address: str) -> tuple[list[str], Sequence[Route] | Exception | None]:
        """What :meth:`route` does, in sentences, and its end.

        :return: the sentences, and routes, or the exception that :meth:`route`
            raises, or ``None`` if the address is not of a domain of ours.
        """
        steps: list[str] = []
        try:
            questions = self._questions(address, steps)
            if questions is None:
                return [f"{address} is of no domain in [domains]"], None
            return steps, await settle(drive(questions))
        except (RouteError, TemporarilyUnavailable) as trouble:
            steps.append(str(trouble))
            return steps, trouble

    # --- parts ---------------------------------------------------------------

    def _home_domain(self) -> LocalDomain:
        """What the host name, our literals and the bare postmaster stand for."""
        name = self._hostname
        while name:
            if name in self._by_name:
                return self._by_name[name]
            name = name.partition(".")[2]
        first = next(iter(self._by_name.values()), None)
        return first or self._local_domain(self._hostname, Domain())

    def _route(self, address: str) -> Answer[tuple[Route, ...]] | None:
        questions = self._questions(address, None)
        return None if questions is None else drive(questions)

    def _keep(self, address: str, now: float, routes: tuple[Route, ...]) -> None:
        if self._weight + len(routes) > self.remembered:
            self._forget()
        self._kept[address] = (now + self.remember, routes)
        self._weight += len(routes)

    def _forget(self) -> None:
        self._kept.clear()
        self._weight = 0

    async def _keep_later(self, address: str, pending: Awaitable[tuple[Route, ...]]) -> Sequence[Route]:
        routes = await pending
        self._keep(address, self._clock.seconds(), routes)
        return routes

    def _questions(self, text: str, steps: list[str] | None) -> Questions | None:
        try:
            address = parse_address(text)
        except (AddressError, UnicodeError) as error:
            raise self._refused("mailbox-unknown", text, str(error)) from None
        home = self._home
        if not address.domain:
            address = Address(address.local, home.name)
            if steps is not None:
                steps.append(f"{text} without a domain is {address}")
        local = self._domain(address.domain)
        if local is None:
            return None
        if address.local.lower() == "postmaster":
            return self._always(address, local, steps)
        return self._expansion.run(address, steps)

    def _always(self, address: Address, local: LocalDomain, steps: list[str] | None) -> Questions:
        """Mail for a postmaster is accepted whatever the aliases say (RFC 5321, 4.5.1)."""
        try:
            return (yield from self._expansion.run(address, steps))
        except RouteError as error:
            self._log.warn("the postmaster's mail is kept in a Maildir: {why}", why=error.reason)
            if steps is not None:
                steps.append(f"{error.reason}; mail for a postmaster is always kept")
            return (self._last_resort(local.name),)

    def _domain(self, name: str) -> LocalDomain | None:
        found = self._by_name.get(name)
        if found is not None:
            return found
        if name.startswith("["):
            own = literal_address(name)
            return self._home if own is not None and own in self._own_addresses() else None
        if not name.isascii() or name.endswith("."):
            return self._by_name.get(ascii_domain(name))
        return None

    def _refused(self, name: str, address: str, reason: str) -> RouteError:
        return RouteError(REPLIES.reply(name, address=address, ref="-"), reason)

    # --- mailboxes -----------------------------------------------------------

    def _local_domain(self, name: str, settings: Domain) -> LocalDomain:
        """:raise _Mistake: with a text for the operator."""
        try:
            template = MaildirTemplate(settings.maildir, self._state)
        except ValueError as error:
            raise _Mistake("maildir", str(error)) from None
        catch_all: Address | str | None = None
        if settings.transport == "maildir" and not template.has_local:
            raise _Mistake(
                "maildir", f"{settings.maildir!r} has no {{local}}, so all would share one mailbox"
            )
        if settings.catch_all == EVERY_ADDRESS:
            if settings.transport == "maildir":
                raise _Mistake(
                    "catch_all",
                    '"*" would make a Maildir for every address that anybody thinks of; '
                    "name an address, or another transport",
                )
            catch_all = EVERY_ADDRESS
        elif settings.catch_all:
            text = settings.catch_all
            try:
                catch_all = parse_address(text if "@" in text else f"{text}@{name}")
            except AddressError as error:
                raise _Mistake("catch_all", str(error)) from None
        if len(settings.separator) > 1:
            raise _Mistake("separator", f"{settings.separator!r} is more than one character")
        modes = {
            key: value
            for key in ("file_mode", "directory_mode")
            if (value := getattr(settings, key)) != getattr(_DEFAULT, key)
        }
        deliver: Callable[[Mailbox, Address, str], Route]
        if settings.transport == "maildir":
            deliver = partial(self._to_maildir, settings, template, ascii_domain(name), modes)
        else:
            deliver = partial(_to_transport, settings)
        return LocalDomain(
            name,
            settings.separator,
            self._aliases.of(name),
            catch_all,
            settings.transport != "maildir",
            deliver,
            partial(self._to_postmaster, name, settings),
        )

    def _to_maildir(
        self,
        settings: Domain,
        template: MaildirTemplate,
        domain: str,
        modes: dict[str, Any],
        mailbox: Mailbox,
        address: Address,
        detail: str,
    ) -> Route:
        own = _own_address(mailbox, address)
        if own.domain != address.domain:
            # An alternate address in one domain of a mailbox in another: that one's settings.
            domain = ascii_domain(own.domain)
        if mailbox.maildir:
            try:
                template = MaildirTemplate(mailbox.maildir, self._state)
            except ValueError as error:
                raise TemporarilyUnavailable(
                    f"the directory has no usable maildir for {mailbox.address}: {error}"
                ) from None
        options = dict(modes)
        quota = mailbox.quota or settings.quota
        if quota:
            options["quota"] = quota
        if detail:
            options["detail"] = detail
        return Route(str(own), "maildir", template.path(own.local, domain), options)

    def _to_postmaster(self, name: str, settings: Domain, address: Address) -> Route | Address:
        wanted = self._postmaster
        if wanted is not None and str(wanted).lower() != str(address).lower():
            return wanted
        return self._last_resort(name)

    def _last_resort(self, name: str) -> Route:
        path = MaildirTemplate("{state}/mail/{domain}/{local}", self._state)
        return Route(f"postmaster@{name}", "maildir", path.path("postmaster", ascii_domain(name)))


def _dotted(place: Sequence[str]) -> str:
    return ".".join(f'"{part}"' if "." in part else part for part in place)


def _to_transport(settings: Domain, mailbox: Mailbox, address: Address, detail: str) -> Route:
    """The other side knows its mailboxes and details: it gets the whole address."""
    own = _own_address(mailbox, address)
    options: dict[str, Any] = {}
    if detail:
        options["detail"] = detail
        own = Address(f"{own.local}{settings.separator}{detail}", own.domain)
    return Route(str(own), settings.transport, settings.next_hop, options)


def _own_address(mailbox: Mailbox, address: Address) -> Address:
    """The mailbox's canonical address, where the directory has a proper one."""
    text = mailbox.address
    if "@" not in text or text == str(address):
        return address
    try:
        return target_address(text)
    except AddressError:
        return address
