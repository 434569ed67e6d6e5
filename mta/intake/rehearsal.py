"""Plays a message through policies and routing, sending nothing: what ``mta test`` shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from itertools import count
from typing import Any

from mta.intake.reception import Reception
from mta.interfaces import Exchanger, IExchangers, Route, RouteError, TemporarilyUnavailable, settle
from mta.model.address import AddressError, parse_address
from mta.model.authentication import AuthenticationResult
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.reply import Reply
from mta.model.supposition import Supposition
from mta.model.verdict import together

#: Asks how an address is expanded: sentences, in order.
Trace = Callable[[str], Awaitable[list[str]]]
#: The queue id of a message that there never was; a token with it counts nowhere, it is too old.
_NO_MESSAGE = "0000000000000"
#: Two that are played at the same time are two sessions.
_NUMBERS = count(1)
#: Tells from where a route leaves, by the names of its hosts, the sender and the tenant; ``""``: as usual.
Leaves = Callable[[Route, Sequence[str], str, str], str]
#: Tells which TLS is demanded on a route of a tenant's, to hosts: sentences.
Tls = Callable[[Route, Sequence[Exchanger], str], Awaitable[list[str]]]


async def rehearse(
    reception: Reception,
    exchangers: IExchangers,
    trace: Trace,
    supposed: Supposition,
    notes: Sequence[str] = (),
    leaves: Leaves = lambda route, hosts, sender, tenant: "",
    tls: Tls | None = None,
) -> dict[str, Any]:
    """What would become of a message.

    :param trace: tells how the routers of our own domains see the address.
    :param notes: what is to be said of reverse-paths that we make.
    :param leaves: tells from which addresses it would leave.
    :param tls: tells which TLS is demanded.
    :return: JSON values: ``accepted``, ``reply``, ``name``, ``rule``,
        ``evidence``, ``authentication`` (what was found out about who sends it),
        ``steps`` (sentences) and ``routes``.
    """
    try:
        recipient = Recipient(str(parse_address(supposed.address)))
    except AddressError as error:
        return {
            "address": supposed.address,
            "accepted": False,
            "reply": "",
            "steps": [str(error)],
            "routes": [],
        }
    client_ip, helo = supposed.client_ip, supposed.helo
    sender = "" if supposed.sender == "<>" else supposed.sender
    client = Client(
        f"test-{next(_NUMBERS)}",
        "mx" if client_ip else "local",
        client_ip,
        helo=helo,
        protocol="ESMTP",
        rehearsed=True,
    )
    sender = "" if sender == "<>" else sender
    envelope = Envelope(sender)
    origin = f"from {client_ip}" if client_ip else "from this machine"
    steps = [f"A client {origin} says EHLO {helo or '(anything)'} and MAIL FROM:<{sender}>."]
    try:
        reply = await _asked(reception, client, envelope, recipient, bool(helo), steps)
    finally:
        reception.closed(client)
    found = together(verdict for _, verdict in (*client.judged, *envelope.judged))
    steps += [_finding(result) for result in found.authentication]
    steps += await trace(recipient.address)
    ways: Sequence[Route] = ()
    if reply.is_positive:
        tenant = supposed.tenant or reception.labels.tenant(supposed.account)
        ways = reception.leave(recipient.routes, sender, supposed.account, tenant, steps)
    routes = []
    for way in ways:
        route = await _described(way, exchangers, tls, leaves, sender, tenant)
        routes.append(route)
        steps.append(_sentence(route))
        steps += route.get("tls", ())
        try:
            route["return_path"] = await _return_path(reception, way, sender, recipient.address)
        except TemporarilyUnavailable as trouble:
            steps.append(f"Nobody can tell its reverse-path: {trouble}.")
            continue
        if route["return_path"] != sender:
            steps.append(f"Its reverse-path is <{route['return_path']}>{_why(way)}.")
            if way.sender is None:
                steps += notes
    return {
        "address": recipient.address,
        "accepted": reply.is_positive,
        "reply": str(reply),
        "name": reply.name,
        "rule": reply.rule,
        "evidence": dict(reply.evidence) or dict(found.evidence),
        "authentication": [asdict(result) for result in found.authentication],
        "steps": steps,
        "routes": routes,
    }


async def _asked(
    reception: Reception,
    client: Client,
    envelope: Envelope,
    recipient: Recipient,
    helo: bool,
    steps: list[str],
) -> Reply:
    refusal = await settle(reception.connect(client))
    if refusal is None and helo:
        refusal = await settle(reception.hello(client))
    if refusal is not None:
        steps.append(f"The client is answered {refusal}.")
        return refusal
    reply: Reply = await settle(reception.sender(client, None, envelope))
    steps.append(f"MAIL FROM is answered {reply}.")
    if reply.is_positive:
        reply = await settle(reception.recipient(client, envelope, recipient))
        steps.append(f"RCPT TO is answered {reply}.")
    return reply


async def _return_path(reception: Reception, route: Route, sender: str, original: str) -> str:
    """What MAIL FROM would say on the way out."""
    if route.sender is not None:
        return route.sender
    if reception.return_path is None:
        return sender
    found = await settle(reception.return_path(_NO_MESSAGE, sender, original, route.address))
    return sender if found is None else found


def _why(route: Route) -> str:
    if route.sender is not None:
        return ", the owner of the list"
    return f", in which {_NO_MESSAGE} or a time stands for what differs from message to message"


def _finding(result: AuthenticationResult) -> str:
    about = ", ".join(f"{name}={value}" for name, value in result.properties)
    reason = f": {result.reason}" if result.reason else ""
    return f"{result.method.upper()} of {about or 'the message'} is {result.result}{reason}."


async def _described(
    route: Route, exchangers: IExchangers, tls: Tls | None, leaves: Leaves, sender: str, tenant: str
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "address": route.address,
        "transport": route.transport,
        "next_hop": route.next_hop,
        "options": dict(route.options),
    }
    names: list[str] = []
    if route.transport == "relay":
        try:
            hosts = await exchangers.find(route.next_hop)
            names = sorted({host.name for host in hosts})
            found["hosts"] = [f"{host.name} [{', '.join(host.addresses)}]:{host.port}" for host in hosts]
            if tls is not None:
                found["tls"] = await tls(route, hosts, tenant)
        except RouteError as error:
            found["trouble"] = str(error.reply)
        except TemporarilyUnavailable as error:
            found["trouble"] = f"the DNS does not answer: {error}"
    source = leaves(route, names, sender if route.sender is None else route.sender, tenant)
    if source:
        found["egress"] = source
    return found


def _sentence(route: dict[str, Any]) -> str:
    where = f" to {route['next_hop']}" if route["next_hop"] else ""
    words = f"<{route['address']}> goes by {route['transport']}{where}"
    if route["options"].get("login"):
        words += f", with the name and password of {route['options']['login']} if there are any"
    if "hosts" in route:
        words += ", trying " + ", then ".join(route["hosts"])
    if "trouble" in route:
        words += f", but: {route['trouble']}"
    if "egress" in route:
        words += f". It leaves {route['egress']}"
    return words + "."
