"""What a configuration describes and a reload may change: people, policies, ways and transports.

The spool, the queue, the sockets and the sessions outlive a reload; everything
here is made anew from the file, except plugins whose settings stayed the same,
which read their files again.
"""

from __future__ import annotations

import pwd
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.logger import Logger

from mta.config.egress_problems import egress_problems
from mta.config.loading import Loaded
from mta.config.problem import ConfigurationError, Problem
from mta.config.settings import Domain, PluginTable
from mta.deliver.call_forward import CallForward
from mta.deliver.relay import RelayTransport
from mta.dkim.key_store import KeyStore, KeyTrouble, SigningKeys
from mta.dkim.sealer import Sealer
from mta.dkim.signer import Signer, manner_of
from mta.dkim.signing_thread import SigningThread
from mta.feedback.bounce_addresses import BounceAddresses
from mta.feedback.keys import derived_key, read_keys
from mta.feedback.return_path import ReturnPaths
from mta.identity.authenticator import Authenticator
from mta.identity.directories import Directories
from mta.identity.portal import make_portal
from mta.interfaces import (
    Answer,
    IDirectory,
    IEventSink,
    IIdentity,
    IJudge,
    IRouter,
    ITransport,
    PluginContext,
)
from mta.judge.abuse import NAME as ABUSE
from mta.judge.abuse import AbuseGuard
from mta.judge.pipeline import Pipeline
from mta.plugins import Kinds, Plugin, PluginBuilder
from mta.protection import access_judges, throttle
from mta.route.aliases import Aliases
from mta.route.backup import BackupRouter, Verify
from mta.route.configured_maps import Maps
from mta.route.departure import Departures
from mta.route.domain_name import ascii_domain
from mta.route.domains import DomainRouter, DomainsError
from mta.route.file_problem import FileError
from mta.route.outbound import OutboundRouter
from mta.route.rewriting import Rewrites
from mta.route.routers import Routers
from mta.route.way import Known

_log = Logger()

#: Transports that are there without being configured, by name, which is their kind too.
_BUILT_IN = ("maildir", "relay", "error", "feedback")


@dataclass(slots=True)
class Parts:
    """The parts of one configuration.

    :ivar loaded: the configuration.
    :ivar plugins: every plugin, for starting and stopping.
    :ivar aliases: the alias files.
    :ivar authenticator: runs SASL; ``None`` when nobody can log in.
    :ivar directories: all directories as one.
    :ivar pipeline: all judges.
    :ivar return_path: gives copies their reverse-path; ``None`` if each has the message's.
    :ivar router: all routers.
    :ivar departures: which way mail leaves by whose it is.
    :ivar maps: what ``[[rewrite]]``, ``[[route]]`` and their kin say.
    :ivar signer: signs what our people send, and what we write ourselves.
    :ivar domains: our domains, and who has a mailbox in them.
    :ivar transports: by name.
    :ivar sinks: of ``[[sink]]``.
    """

    loaded: Loaded
    plugins: list[Plugin]
    aliases: Aliases
    authenticator: Authenticator | None
    directories: Directories
    pipeline: Pipeline
    return_path: Callable[[str, str, str, str], Answer[str | None]] | None
    router: Routers
    domains: DomainRouter
    departures: Departures
    maps: Maps
    signer: Signer
    transports: dict[str, Any]
    sinks: list[Any]

    def unused(self, after: Parts) -> list[Plugin]:
        """Plugins that the next parts do not use any more."""
        kept = {id(plugin) for plugin in after.plugins}
        return [plugin for plugin in self.plugins if id(plugin) not in kept]

    def added(self, before: Parts) -> list[Plugin]:
        """Plugins that the parts before did not have."""
        return before.unused(self)

    async def reread(self) -> list[str]:
        """Have aliases and plugins read their files again.

        :return: what is wrong with them; what had errors keeps what it had.
        """
        troubles = []
        files = [file.reload for file in self.maps.files]
        for reread in (self.aliases.reload, *files, *(plugin.reload for plugin in self.plugins)):
            try:
                await reread()
            except ValueError as error:
                troubles.append(str(error))
            except Exception as error:
                _log.failure("A reload failed")
                troubles.append(f"{type(error).__name__}: {error}")
        return troubles


def assemble(
    loaded: Loaded,
    kinds: Kinds,
    context: PluginContext,
    secret: bytes,
    own_addresses: Callable[[], frozenset[str]],
    checkers: Sequence[Any] = (),
    before: Parts | None = None,
    guard: AbuseGuard | None = None,
    strike: Callable[[str], None] = lambda address: None,
    tenants: Callable[[str, str], Answer[bool] | None] = lambda account, address: None,
) -> Parts:
    """Make the parts.

    :param loaded: the configuration.
    :param kinds: the kinds of plugin that there are.
    :param context: what plugins may use.
    :param secret: see :class:`~mta.identity.authenticator.Authenticator`.
    :param own_addresses: IP addresses of this machine.
    :param checkers: further credentials checkers, of ``--auth``.
    :param before: the parts in use, at a reload.
    :param guard: watches accounts; it outlives a reload.
    :param strike: told of a client that tries passwords too fast.
    :param tenants: whether an address is that of an account which is a tenant; ``None``: it is none.
    :raise ConfigurationError: with everything that is wrong.
    """
    settings = loaded.settings
    builder = PluginBuilder(loaded, kinds, context)
    kept = before.plugins if before else ()
    identities = builder.build(IIdentity, "identity", kept)
    judges = builder.build(IJudge, "judge", kept)
    judges = [*access_judges(loaded, context, kept, builder.problems), *judges]
    routers = builder.build(IRouter, "router", kept)
    sinks = builder.build(IEventSink, "sink", kept)
    transports = builder.build(ITransport, "transport", kept)
    named = {plugin.name for plugin in transports}
    for name in _BUILT_IN:
        if name not in named:
            own = settings.relay.model_dump(exclude_unset=True) if name == "relay" else {}
            table = PluginTable(kind=name, name=name, **own)
            try:
                transports.append(builder.one(ITransport, name, table, (name,), kept))
            except ConfigurationError as error:
                builder.problems += error.problems
    ways = {plugin.name: plugin.instance for plugin in transports}
    # One with a mistake in its settings is known all the same.
    known = set(ways) | {table.name or table.kind for table in settings.transport}
    problems = builder.problems + _unknown_transports(loaded, known)
    problems += egress_problems(loaded)
    aliases = _aliases(loaded, context, transports, problems)
    there = {table.name or table.kind: Known(table.kind) for table in settings.transport}
    for plugin in transports:
        there[plugin.name] = Known(plugin.kind, str(getattr(plugin.settings, "smarthost", "")))
    problems += _nowhere(loaded, there)
    maps = Maps.of(
        settings,
        loaded.base,
        context.reactor,
        context.run_in_thread,
        there,
        _placed(loaded),
        before.maps if before else None,
    )
    problems += [loaded.problem(*problem) for problem in maps.table_problems]
    problems += [Problem(item.file, item.line, "", item.what, item.remedy) for item in maps.file_problems]
    problems += _ours_already(loaded, maps)
    verify = _verifier(loaded, ways, problems)
    keys = _feedback_keys(loaded, secret, problems)
    signing_keys = _signing_keys(loaded, problems)
    if problems:
        raise ConfigurationError(sorted(problems, key=lambda problem: problem.line))
    people = [plugin.instance for plugin in identities] + list(checkers)
    knowing = [person for person in people if IDirectory.providedBy(person)]
    directories = Directories(knowing, _separators(loaded), _domain_aliases(loaded))
    able = [person for person in people if ICredentialsChecker.providedBy(person)]
    feedback = settings.feedback
    bounces = BounceAddresses(
        domains=frozenset(filter(None, (*feedback.verp.values(), feedback.srs))),
        addresses=(
            *feedback.addresses,
            *settings.tls_report.addresses,
            *settings.dmarc_report.addresses,
        ),
        served=frozenset(name.lower() for name in settings.domains).__contains__,
        keys=keys,
        expire=feedback.expire,
        copies=feedback.copies,
        route=lambda address: router.route(address),
        journal=context.journal,
        clock=context.reactor,
    )
    ours: list[Any] = [bounces, *(plugin.instance for plugin in routers)]
    try:
        outbound = OutboundRouter(settings.relay.smarthost, maps.ways.map)
    except ValueError as error:
        raise ConfigurationError([loaded.problem(("relay", "smarthost"), str(error))]) from None
    backup = BackupRouter(maps.backup.map, outbound, verify)
    elsewhere = [*ours, backup, outbound]
    try:
        domains = DomainRouter(
            settings.domains,
            directories,
            aliases,
            hostname=settings.hostname,
            state=str(loaded.state),
            postmaster=settings.queue.postmaster,
            outbound=Routers(elsewhere),
            rewrites=Rewrites(maps.rewrites.map),
            ways=maps.ways.map,
            relays=frozenset(name for name, one in there.items() if one.kind == "relay"),
            own_addresses=own_addresses,
            clock=context.reactor,
        )
    except DomainsError as error:
        raise ConfigurationError([loaded.problem(place, what) for place, what in error.problems]) from None
    router = Routers([*ours, domains, backup, outbound])

    def may_send_as(account: str, address: str) -> Answer[bool]:
        found = tenants(account, address)
        return directories.may_send_as(account, address) if found is None else found

    paths = ReturnPaths(feedback.verp, feedback.srs, keys, router.is_local, context.reactor)
    return Parts(
        loaded=loaded,
        plugins=[*identities, *judges, *routers, *transports, *sinks],
        aliases=aliases,
        authenticator=(
            Authenticator(make_portal(able, directories), able, secret, throttle(loaded, context, strike))
            if able
            else None
        ),
        directories=directories,
        pipeline=Pipeline(
            [
                *((plugin.name, plugin.instance) for plugin in judges),
                *(((ABUSE, guard),) if guard is not None else ()),
            ]
        ),
        return_path=paths.return_path if feedback.verp or feedback.srs else None,
        router=router,
        domains=domains,
        departures=Departures(maps.senders.map),
        maps=maps,
        signer=_signer(loaded, signing_keys, context, may_send_as, there),
        transports=ways,
        sinks=[plugin.instance for plugin in sinks],
    )


def _feedback_keys(loaded: Loaded, secret: bytes, problems: list[Problem]) -> list[bytes]:
    """The keys that sign bounce addresses; what is wrong with their file goes to ``problems``."""
    file = loaded.settings.feedback.keys
    try:
        return [*(read_keys(loaded.resolve(file)) if file else ()), derived_key(secret)]
    except ValueError as error:
        problems.append(loaded.problem(("feedback", "keys"), str(error)))
        return [derived_key(secret)]


def _signing_keys(loaded: Loaded, problems: list[Problem]) -> SigningKeys:
    """The keys that sign and seal; what is wrong with them goes to ``problems``."""
    settings = loaded.settings
    if not (settings.dkim.sign or settings.arc.seal):
        return SigningKeys()
    try:
        return SigningKeys.read(KeyStore(loaded.state))
    except KeyTrouble as error:
        remedy = "with sign = false, and seal = false in [arc], no key is needed"
        problems.append(loaded.problem(("dkim", "sign"), str(error), remedy))
        return SigningKeys()


def _signer(
    loaded: Loaded,
    keys: SigningKeys,
    context: PluginContext,
    may_send_as: Callable[[str, str], Answer[bool]],
    transports: Mapping[str, Known],
) -> Signer:
    """What signs what our people send, and seals what goes on."""
    settings = loaded.settings
    manner = manner_of(settings.dkim)
    calculate = SigningThread(context.reactor).run
    sealing = keys.sealing(settings.arc.domain or settings.hostname) if settings.arc.seal else None
    sealer = None
    if sealing is not None:
        sealer = Sealer(
            sealing,
            manner,
            authserv_id=settings.trust.authserv_id or settings.hostname,
            relays=frozenset(name for name, one in transports.items() if one.kind == "relay"),
            calculate=calculate,
            run_in_thread=context.run_in_thread,
        )
    return Signer(
        keys if settings.dkim.sign else SigningKeys(),
        manner,
        may_send_as=may_send_as,
        calculate=calculate,
        run_in_thread=context.run_in_thread,
        local_users=_local_users(loaded),
        sealer=sealer,
    )


def _local_users(loaded: Loaded) -> frozenset[int] | None:
    """The numbers of the users whose mail is signed; ``None`` if it is that of all.

    :raise ConfigurationError: if there is no such user.
    """
    names, found, problems = loaded.settings.dkim.sign_local, set(), []
    if "*" in names:
        return None
    for place, name in enumerate(names):
        try:
            found.add(int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid)
        except KeyError:
            what = f"this system has no user {name}"
            problems.append(loaded.problem(("dkim", "sign_local", place), what, "correct or remove it"))
    if problems:
        raise ConfigurationError(problems)
    return frozenset(found)


def _placed(loaded: Loaded) -> Callable[[tuple[str | int, ...]], str]:
    """Where in the configuration something stands, in words."""
    file = loaded.path.name if loaded.path else "(defaults)"
    return lambda place: f"{file}:{loaded.locations.line(place)}"


def _verifier(loaded: Loaded, transports: Mapping[str, Any], problems: list[Problem]) -> Verify | None:
    """What asks the primaries of ``[backup_mx]``, if it is wanted."""
    settings = loaded.settings.backup_mx
    if not settings.verify:
        return None
    relay = transports.get("relay")
    if not isinstance(relay, RelayTransport):
        if not problems:
            what = "the transport relay is another one here, which asks nobody"
            problems.append(loaded.problem(("backup_mx", "verify"), what, "set it to false"))
        return None
    return CallForward(relay, settings).ask


def _domain_aliases(loaded: Loaded) -> Callable[[str], str]:
    """The domain that a domain stands for: itself, or another."""
    domains = loaded.settings.domains
    found: dict[str, str] = {}
    for name, domain in domains.items():
        for _ in domains:  # A circle is told of elsewhere.
            if not domain.alias_of:
                break
            found[name] = domain.alias_of.lower()
            domain = domains.get(found[name], Domain())
    return lambda name: found.get(name, name)


def _separators(loaded: Loaded) -> Any:
    separators = {name: domain.separator for name, domain in loaded.settings.domains.items()}
    return lambda domain: separators.get(domain, "+")


def _unknown_transports(loaded: Loaded, known: set[str]) -> list[Problem]:
    problems = []
    for name, domain in loaded.settings.domains.items():
        if domain.transport not in known:
            what = f"there is no transport {domain.transport!r}"
            remedy = f"add a [[transport]] with that name; there are: {', '.join(sorted(known))}"
            problems.append(loaded.problem(("domains", name, "transport"), what, remedy))
    return problems


def _ours_already(loaded: Loaded, maps: Maps) -> list[Problem]:
    """Domains of our own among those of others."""
    ours = {ascii_domain(name) for name in loaded.settings.domains}
    problems = []
    for layer in maps.backup.map.layers:
        for entry in layer():
            if entry.key.kind == "domain" and entry.key.text in ours:
                what = f"{entry.key.text} is in [domains], so its mail stays here ({entry.place})"
                remedy = "take it out of one of the two"
                problems.append(loaded.problem(("backup_mx",), what, remedy))
    return problems


def _nowhere(loaded: Loaded, known: Mapping[str, Known]) -> list[Problem]:
    """Domains whose mail a relay takes that is not told where to."""
    problems = []
    for name, domain in loaded.settings.domains.items():
        there = known.get(domain.transport)
        if there is not None and there.kind == "relay" and not (domain.next_hop or there.smarthost):
            what = f"the transport {domain.transport} is not told where to take the mail of {name}"
            remedy = 'set next_hop = "[host]:25"; the MX records of a domain that is ours lead to us'
            problems.append(loaded.problem(("domains", name, "transport"), what, remedy))
    return problems


def _aliases(
    loaded: Loaded, context: PluginContext, transports: Sequence[Plugin], problems: list[Problem]
) -> Aliases:
    """The alias files; their mistakes go to ``problems``, each with its own file and line."""
    pipes = frozenset(plugin.name for plugin in transports if plugin.kind == "pipe")
    domains = loaded.settings.domains
    try:
        return Aliases.read(domains, loaded.base, context.reactor, context.run_in_thread, pipes)
    except FileError as error:
        problems += [Problem(item.file, item.line, "", item.what, item.remedy) for item in error.problems]
        return Aliases()
