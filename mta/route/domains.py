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
    HostedDomain,
    IDirectory,
    IDomains,
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
from mta.route.address_map import Layers
from mta.route.alias_syntax import target_address
from mta.route.aliases import Aliases
from mta.route.domain_name import ascii_domain
from mta.route.expansion import (
    EVERY_ADDRESS,
    Expansion,
    LocalDomain,
    MaybeQuestions,
    Questions,
    drive,
)
from mta.route.maildir_path import MaildirTemplate
from mta.route.next_hop import literal_address
from mta.route.outbound import OutboundRouter
from mta.route.own_addresses import OwnAddresses
from mta.route.rewriting import Rewrites
from mta.route.way import Way

_DEFAULT = Domain()
#: Domains of a directory that stand for one another, at the most.
_MAX_HOSTED = 10


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
    :param rewrites: of ``[[rewrite]]``.
    :param ways: of ``[[route]]``: what they say of an address or a domain of ours counts, too.
    :param relays: names of the transports of kind relay.
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
        rewrites: Rewrites | None = None,
        ways: Layers[Way] | None = None,
        relays: frozenset[str] = frozenset({"relay"}),
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
        self._directory = directory
        self._outbound: IRouter = outbound or OutboundRouter()
        self._relays = relays
        self._rewrites = rewrites or Rewrites(Layers())
        self._expansion = Expansion(
            self._domain, directory, self._outbound.route, self._rewrites, ways or Layers()
        )
        self._settings = {ascii_domain(name): settings for name, settings in domains.items()}
        self._hosted = directory if IDomains.providedBy(directory) else None
        self._hosted_domains: dict[HostedDomain, LocalDomain] = {}
        self._by_name: dict[str, LocalDomain] = {}
        problems: list[tuple[tuple[str, ...], str]] = []
        for name, settings in domains.items():
            if settings.alias_of:
                continue
            try:
                local = self._local_domain(name.lower(), settings)
                self._by_name[local.name] = local
                self._by_name[ascii_domain(local.name)] = local
            except _Mistake as mistake:
                problems.append((("domains", name, mistake.key), str(mistake)))
        for name, settings in domains.items():
            if settings.alias_of:
                try:
                    local = self._by_name[name.lower()] = self._alias(name, domains)
                    self._by_name[ascii_domain(name)] = local
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

    def is_local(self, domain: str) -> Answer[bool]:
        """Whether we take mail for the domain from anybody."""
        if domain in self._by_name:
            return True
        found = self._domain(domain.lower())
        return _is_one(found) if isinstance(found, Awaitable) else found is not None

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

    async def mailbox(self, account: str) -> Route | None:
        """The way into the Maildir of somebody who logs in, whatever aliases say of the address.

        :return: ``None`` if the account has none here.
        :raise TemporarilyUnavailable: if the directory cannot tell.
        """
        try:
            address = parse_address(account)
        except (AddressError, UnicodeError):
            return None
        if not address.domain:
            address = Address(address.local, self._home.name)
        local = await settle(self._domain(address.domain))
        found = await settle(self._directory.look_up(address))
        if local is None or not isinstance(found, Mailbox):
            return None
        route = local.deliver(found, address, "")
        return route if route.transport == "maildir" else None

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
            routes = await settle(drive(self._questions(address, steps)))
            if routes is None:
                steps.append(f"{address} is of no domain in [domains]")
            return steps, routes
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

    def _route(self, address: str) -> Answer[tuple[Route, ...] | None]:
        return drive(self._questions(address, None))

    def _keep(self, address: str, now: float, routes: tuple[Route, ...]) -> None:
        if self._weight + len(routes) > self.remembered:
            self._forget()
        self._kept[address] = (now + self.remember, routes)
        self._weight += len(routes)

    def _forget(self) -> None:
        self._kept.clear()
        self._weight = 0

    async def _keep_later(
        self, address: str, pending: Awaitable[tuple[Route, ...] | None]
    ) -> Sequence[Route] | None:
        routes = await pending
        if routes is not None:
            self._keep(address, self._clock.seconds(), routes)
        return routes

    def _questions(self, text: str, steps: list[str] | None) -> MaybeQuestions:
        try:
            address = parse_address(text)
        except (AddressError, UnicodeError) as error:
            raise self._refused("mailbox-unknown", text, str(error)) from None
        home = self._home
        if not address.domain:
            address = Address(address.local, home.name)
            if steps is not None:
                steps.append(f"{text} without a domain is {address}")
        answer = self._domain(address.domain)
        local = (yield answer) if isinstance(answer, Awaitable) else answer
        if local is None and not self._expansion.rewrites_foreign(address):
            return None
        if local is not None and address.local.lower() == "postmaster":
            return (yield from self._always(address, local, steps))
        return (yield from self._expansion.run(address, steps))

    def _always(self, address: Address, local: LocalDomain, steps: list[str] | None) -> Questions:
        """Mail for a postmaster is accepted whatever the aliases say (RFC 5321, 4.5.1)."""
        try:
            return (yield from self._expansion.run(address, steps))
        except RouteError as error:
            self._log.warn("the postmaster's mail is kept in a Maildir: {why}", why=error.reason)
            if steps is not None:
                steps.append(f"{error.reason}; mail for a postmaster is always kept")
            return (self._last_resort(local.name),)

    def _alias(self, name: str, domains: Mapping[str, Domain]) -> LocalDomain:
        """The domain that another one stands for.

        :raise _Mistake: if there is none, or it is a circle.
        """
        names = [name.lower()]
        settings = domains[name]
        if settings.model_fields_set - {"alias_of"}:
            others = ", ".join(sorted(settings.model_fields_set - {"alias_of"}))
            raise _Mistake(
                "alias_of", f"a domain that stands for another has no settings of its own: {others}"
            )
        while settings.alias_of:
            following = settings.alias_of.lower()
            if following in names:
                raise _Mistake("alias_of", f"a circle: {' → '.join([*names, following])}")
            names.append(following)
            found = self._settings.get(ascii_domain(following))
            if found is None:
                raise _Mistake("alias_of", f'there is no [domains."{following}"]')
            settings = found
        local = self._by_name.get(ascii_domain(names[-1]))
        if local is None:
            raise _Mistake("alias_of", f'[domains."{names[-1]}"] cannot be used')
        return local

    def _domain(self, name: str) -> Answer[LocalDomain | None]:
        found = self._by_name.get(name)
        if found is not None:
            return found
        if name.startswith("["):
            own = literal_address(name)
            return self._home if own is not None and own in self._own_addresses() else None
        if not name.isascii() or name.endswith("."):
            found = self._by_name.get(ascii_domain(name))
            if found is not None:
                return found
        if self._hosted is None or not name:
            return None
        answer = self._hosted.domain(name)
        if isinstance(answer, Awaitable):
            return self._hosted_later(answer)
        return None if answer is None else self._hosted_domain(answer)

    async def _hosted_later(self, pending: Awaitable[HostedDomain | None]) -> LocalDomain | None:
        found = await pending
        if found is None:
            return None
        followed = [found.name]
        while found.alias_of and found.alias_of.lower() not in self._by_name:
            if found.alias_of.lower() in followed or len(followed) > _MAX_HOSTED:
                raise TemporarilyUnavailable(f"the directory leads in a circle: {' → '.join(followed)}")
            followed.append(found.alias_of.lower())
            assert self._hosted is not None
            found = await settle(self._hosted.domain(followed[-1]))
            if found is None:
                raise TemporarilyUnavailable(
                    f"the directory does not know {followed[-1]}, for which {followed[-2]} stands"
                )
        return self._hosted_domain(found)

    def _hosted_domain(self, found: HostedDomain) -> LocalDomain:
        """The domain that a directory has described."""
        if found.alias_of:
            known = self._by_name.get(found.alias_of.lower())
            if known is None:
                raise TemporarilyUnavailable(f"{found.name} stands for {found.alias_of}, which nobody knows")
            return known
        kept = self._hosted_domains.get(found)
        if kept is not None:
            return kept
        settings = self._settings.get(ascii_domain(found.like), _DEFAULT) if found.like else _DEFAULT
        values = {**settings.model_dump(exclude={"alias_of", "aliases"}), **dict(found.settings)}
        try:
            local = self._local_domain(found.name, Domain.model_validate(values))
        except ValueError as error:
            raise TemporarilyUnavailable(f"the directory's settings of {found.name}: {error}") from None
        if len(self._hosted_domains) >= self.remembered:
            self._hosted_domains.clear()
        self._hosted_domains[found] = local
        return local

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
            deliver = partial(_to_transport, settings, settings.transport in self._relays)
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


async def _is_one(pending: Awaitable[LocalDomain | None]) -> bool:
    return await pending is not None


def _to_transport(settings: Domain, relay: bool, mailbox: Mailbox, address: Address, detail: str) -> Route:
    """The other side knows its mailboxes and details: it gets the whole address."""
    own = _own_address(mailbox, address)
    # No trouble with a host of our own configuration is a reason to return a message.
    options: dict[str, Any] = {"configured": True} if relay and settings.next_hop else {}
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
