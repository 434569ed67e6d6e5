"""What is wrong with a configuration, and what it would do with a message: no server needed.

For ``mta check`` and ``mta test``, and for a supervisor before it starts workers.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from mta.config.loading import Loaded, load
from mta.config.problem import ConfigurationError, Problem
from mta.deliver.webhook_signature import parse_secrets
from mta.dkim.key_store import KeyStore, KeyTrouble
from mta.environment import Environment, endpoints, report_poster, server_certificate
from mta.identity.secret import read_secret
from mta.intake.reception import Reception
from mta.intake.rehearsal import rehearse
from mta.intake.tls_sentences import tls_sentences
from mta.interfaces import Exchanger, ISpool, NoSuchDomain, Route, TemporarilyUnavailable
from mta.listener import Listener
from mta.model.supposition import Supposition
from mta.parts import Parts, assemble
from mta.plugins import Kinds
from mta.publication import Publication
from mta.route.reverse_names import look_at
from mta.ruling import findings as rule_findings
from mta.upkeep import upkeep


def check(path: Path | None, state: str | None = None) -> list[Problem]:
    """Everything that is wrong with a configuration and the files that it names.

    :param path: the file; ``None`` looks in the usual places.
    :param state: the state directory, instead of the configuration's.
    """
    try:
        return problems_of(load(path, state))
    except ConfigurationError as error:
        return error.problems


def problems_of(loaded: Loaded, checkers: Sequence[Any] = ()) -> list[Problem]:
    """As :func:`check`, for a configuration that was read.

    :param checkers: further credentials checkers, of ``--auth``.
    """
    from twisted.internet import reactor

    problems = [*loaded.problems, *_state_problems(loaded)]
    try:
        environment = Environment(reactor, loaded)
        assemble(
            _without_users(loaded),
            Kinds(),
            environment.context,
            bytes(32),
            environment.own_addresses,
            checkers,
        )
        report_poster(loaded, environment)
    except ConfigurationError as error:
        problems += error.problems
    if loaded.settings.tls.certificate:
        try:
            context = server_certificate(loaded, time.time())
        except ConfigurationError as error:
            problems += error.problems
        else:
            days = (context.expires - time.time()) / 86400
            if days < 14:
                what = (
                    f"the certificate expires in {days:.0f} days"
                    if days > 0
                    else "the certificate has expired"
                )
                place = loaded.locations.line(("tls",))
                problems.append(
                    Problem(
                        loaded.file, place, "tls.certificate", what, "renew it, then `mta reload`", "warning"
                    )
                )
    for role, description in endpoints(loaded):
        trouble = Listener(reactor, role, description).trouble()
        if trouble:
            line = loaded.locations.line(("listen", role))
            problems.append(Problem(loaded.file, line, f"listen.{role}", trouble))
    problems += _foreign_addresses(loaded)
    problems += _alert_problems(loaded)
    return sorted(problems, key=lambda problem: problem.line)


def _alert_problems(loaded: Loaded) -> Iterator[Problem]:
    """Secrets of webhooks that cannot be used; a server runs without them, and cannot tell anybody."""
    for number, rule in enumerate(loaded.settings.alert):
        if not rule.secret:
            continue
        path = loaded.resolve(rule.secret)
        try:
            parse_secrets(path.read_text("utf-8"))
        except (OSError, ValueError) as trouble:
            words = getattr(trouble, "strerror", None) or str(trouble)
            remedy = f'`echo "whsec_$(openssl rand -base64 32)" > {path}` makes one'
            yield loaded.problem(("alert", number, "secret"), f"{path}: {words}", remedy)


def _foreign_addresses(loaded: Loaded) -> Iterator[Problem]:
    """Addresses that mail is to leave from and that this machine does not have, or not yet."""
    places: list[tuple[tuple[str | int, ...], str]] = [
        (("egress", number, family), address)
        for number, one in enumerate(loaded.settings.egress)
        for family, address in (("ipv4", one.ipv4), ("ipv6", one.ipv6))
    ]
    places.append((("relay", "source_address"), loaded.settings.relay.source_address))
    for place, address in places:
        if not address:
            continue
        try:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
                probe.bind((address, 0))
        except OSError as error:
            what = f"{address} is no address of this machine ({error.strerror})"
            remedy = "add it to a network interface; until then nothing can leave from it"
            yield replace(loaded.problem(place, what, remedy), severity="warning")


async def rehearse_with(
    parts: Parts,
    environment: Environment,
    reception: Reception,
    supposed: Supposition,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """What would become of a message: see :func:`~mta.intake.rehearsal.rehearse`."""

    async def trace(address: str) -> list[str]:
        steps, _ = await parts.router.trace(address)
        return steps

    def leaves(route: Route, hosts: Sequence[str], sender: str, tenant: str) -> str:
        egress = environment.egress
        if not egress.covers(route.transport):
            return ""
        choice = egress.choose(route.transport, route.next_hop, hosts, "", sender, tenant)
        settings = parts.loaded.settings
        return choice.words(settings.relay.helo or settings.hostname) if choice is not None else ""

    async def tls(route: Route, hosts: Sequence[Exchanger], tenant: str) -> list[str]:
        names = [host.name for host in hosts]
        shaped = environment.shaping.tls(route.transport, route.next_hop, names, tenant)
        return await tls_sentences(route.next_hop, hosts, environment.demands, shaped)

    return await rehearse(reception, environment.exchangers, trace, supposed, notes, leaves, tls)


def _without_users(loaded: Loaded) -> Loaded:
    """The configuration without the users file of an embedded server that was never started."""
    if not loaded.embedded or (loaded.state / "users").exists():
        return loaded
    return replace(loaded, settings=loaded.settings.model_copy(update={"identity": []}))


async def examine(loaded: Loaded, supposed: Supposition) -> dict[str, Any]:
    """What would become of a message, without a running server.

    :raise ConfigurationError: if the configuration cannot be used.
    """
    from twisted.internet import reactor

    # A file that root makes here would keep the server from writing it.
    environment = Environment(reactor, loaded, remember=False)
    secret, notes = _secret(loaded)
    parts = assemble(_without_users(loaded), Kinds(), environment.context, secret, environment.own_addresses)
    reception = Reception(
        reactor=reactor,
        hostname=loaded.settings.hostname,
        spool=cast(ISpool, None),  # nothing is admitted
        router=parts.router,
        pipeline=parts.pipeline,
        relay_from=loaded.settings.access.relay_from,
        leave=parts.departures.leave,
        labels=loaded.settings.submission,
        return_path=parts.return_path,
    )
    environment.threads.start()
    try:
        for plugin in parts.plugins:
            await plugin.start()
        return await rehearse_with(parts, environment, reception, supposed, notes)
    finally:
        for plugin in parts.plugins:
            await plugin.stop()
        environment.threads.stop()


def _secret(loaded: Loaded) -> tuple[bytes, list[str]]:
    """The server's secret, or another, and what is then to be said of reverse-paths."""
    try:
        return read_secret(loaded.state), []
    except OSError as error:
        if loaded.settings.feedback.keys:
            return bytes(32), []  # Keys of that file sign.
        why = error.strerror or str(error)
        words = f"Its signature is another than the server's, whose secret cannot be read: {why}."
        return bytes(32), [words]


async def text_records(loaded: Loaded, names: Sequence[str]) -> dict[str, list[bytes] | str]:
    """The TXT records of names, as the configured servers of the DNS tell them now.

    :return: for each a list, empty if there are none, or why they are not known.
    """
    from twisted.internet import reactor

    resolver = Environment(reactor, loaded).resolver
    found: dict[str, list[bytes] | str] = {}
    for name in names:
        try:
            found[name] = list(await resolver.text(name))
        except NoSuchDomain:
            found[name] = []
        except TemporarilyUnavailable as trouble:
            found[name] = str(trouble)
    return found


async def diagnose(loaded: Loaded) -> list[dict[str, str]]:
    """Whether the DNS names the addresses that mail is to leave from, the keys that sign it, and what
    our domains say of who may send for them; and what is out of date.

    :return: ``where``, ``state``, ``what`` and ``remedy`` of each.
    """
    from twisted.internet import reactor

    settings = loaded.settings
    resolver = Environment(reactor, loaded).resolver
    usual = settings.relay.helo or settings.hostname
    places = [
        (f"[[egress]] {one.name}", address, one.helo or usual)
        for one in settings.egress
        for address in one.source().addresses
    ]
    if settings.relay.source_address:
        places.append(("relay.source_address", settings.relay.source_address, usual))
    found = []
    for where, address, helo in places:
        finding = await look_at(resolver, address, helo)
        found.append({"where": where, "state": finding.state, "what": finding.what, "remedy": finding.remedy})
    found += await _keys_in_dns(loaded)
    try:
        keys = KeyStore(loaded.state).stored()
        signed = {key.domain for key in keys if key.state == "active"}
        waiting = {key.domain for key in keys if key.state == "waiting"}
    except KeyTrouble:
        # It has been told of.
        signed, waiting = {name.lower() for name in settings.domains}, set()
    published = await Publication(reactor, resolver, loaded).findings(signed, waiting)
    return found + published + rule_findings(loaded) + _upkeep(loaded)


def _upkeep(loaded: Loaded) -> list[dict[str, str]]:
    """What is out of date, and whether there is room."""
    tls = loaded.settings.tls
    own = loaded.state / "tls" / "certificate.pem"
    certificate = loaded.resolve(tls.certificate) if tls.certificate else own if own.exists() else None
    try:
        keys = [key for key in KeyStore(loaded.state).stored() if key.state == "active"]
    except KeyTrouble:
        keys = []
    return upkeep(
        now=time.time(),
        certificate=certificate,
        keys=[(key.domain, key.selector, key.since or key.made) for key in keys],
        state=loaded.state,
        minimum_free=loaded.settings.queue.minimum_free,
    )


async def _keys_in_dns(loaded: Loaded) -> list[dict[str, str]]:
    """Whether the records of the keys that sign are in the DNS."""
    try:
        keys = [key for key in KeyStore(loaded.state).stored() if key.state == "active"]
    except KeyTrouble as trouble:
        return [{"where": "dkim", "state": "unknown", "what": str(trouble), "remedy": ""}]
    records = await text_records(loaded, [key.name for key in keys])
    found = []
    for key in keys:
        said = records[key.name]
        state, remedy = "good", ""
        if isinstance(said, str):
            state, what, remedy = (
                "unknown",
                f"the DNS does not answer about {key.name}: {said}",
                "try again later",
            )
        elif key.in_dns(said) == "yes":
            what = f"{key.name} is in the DNS"
        else:
            state = "bad"
            what = f"{key.name}, which signs, in the DNS: {key.in_dns(said)}"
            remedy = f"publish what `mta dkim publish {key.domain}` prints, or sign with other keys"
        found.append({"where": f"dkim {key.domain}", "state": state, "what": what, "remedy": remedy})
    return found


def _state_problems(loaded: Loaded) -> list[Problem]:
    """Whether the state directory is one, or could be made."""
    place = next(path for path in (loaded.state, *loaded.state.parents) if path.exists())
    if not place.is_dir():
        remedy = "set a directory"
        return [loaded.problem(("state",), f"{place} is no directory", remedy)]
    if os.geteuid() == 0 and not os.access(place, os.W_OK):
        # Only root can tell for the user of the server.
        return [loaded.problem(("state",), f"{place} cannot be written", "is it mounted read-only?")]
    return []
