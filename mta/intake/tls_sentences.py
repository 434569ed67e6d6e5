"""Tells which TLS mail to a destination would have to have: a part of what ``mta test`` shows."""

from __future__ import annotations

from collections.abc import Sequence

from mta.interfaces import Exchanger, ITlsDemands, TemporarilyUnavailable, settle
from mta.model.tls_demand import TlsDemand


async def tls_sentences(
    next_hop: str, hosts: Sequence[Exchanger], demands: ITlsDemands, shaped: TlsDemand | None
) -> list[str]:
    """Which TLS is demanded of a next hop, and by whom.

    :param shaped: what ``[[shape]]`` demands.
    """
    try:
        demand = await settle(demands.demand(next_hop, shaped))
    except TemporarilyUnavailable as trouble:
        return [f"Nothing would be sent to {next_hop} now: which TLS it demands cannot be told: {trouble}."]
    if demand is None:
        return [f"The TLS to {next_hop} is that of relay.tls; nothing else demands any."]
    if demand.problem:
        return [f"Nothing would be sent to {next_hop} now, demanded is {demand.words}: {demand.problem}."]
    steps = []
    for host in hosts:
        tls = await settle(demands.of_host(demand, next_hop, host.name, host.port))
        if tls.unknown:
            steps.append(f"{host.name} would not be used now, TLSA records cannot be told: {tls.problem}.")
            continue
        if tls.problem:
            steps.append(f"{host.name} would not be used, demanded is {tls.words}: {tls.problem}.")
            continue
        words = f"The TLS to {host.name} is demanded to be: {tls.words or 'as relay.tls says'}"
        facts = [*tls.strings, tls.reason]
        steps.append(f"{words} ({'; '.join(filter(None, facts))})." if any(facts) else f"{words}.")
    return steps
