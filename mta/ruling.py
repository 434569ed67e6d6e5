"""Joins what looks at the rules of mailboxes and changes them: the API, ``mta rules``, ``mta doctor``."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from mta.api.v1.mailbox_rules import MailboxRulesRoutes
from mta.api.v1.route import Route
from mta.api.v1.tenant_account import TenantAccount
from mta.config.loading import Loaded
from mta.config.problem import ConfigurationError
from mta.environment import Environment
from mta.identity.secret import read_secret
from mta.model.event import Event
from mta.parts import Parts, assemble
from mta.plugins import Kinds
from mta.registry.registry import Registry
from mta.rules.desk import Desk, checked
from mta.rules.memory import broken
from mta.rules.rule_file import load


def rule_routes(own: Desk, registry: Registry) -> Sequence[Route]:
    """What the API answers for rules."""
    return MailboxRulesRoutes(
        own, lambda tenant, address: TenantAccount(registry, tenant).may_send_as(address)
    ).routes()


def desk(environment: Environment, parts: Callable[[], Parts], note: Callable[[Event], None]) -> Desk:
    """A desk of a server, or of a command.

    :param parts: gives the parts in use.
    :param note: puts an event into the journal.
    """
    return Desk(
        lambda address: parts().domains.mailbox(address),
        lambda: parts().loaded.settings.rules,
        lambda: _ours(parts().loaded),
        environment.run_in_thread,
        note,
        environment.context.reactor.seconds,
    )


def _ours(loaded: Loaded) -> list[str]:
    return [name.lower() for name in loaded.settings.domains]


def check(loaded: Loaded, text: str, file: str) -> None:
    """Look at rules; nobody's mailbox is looked at, so neither accounts nor a directory are needed.

    :raise ConfigurationError: with what is wrong with them.
    """
    checked(text, loaded.settings.rules, _ours(loaded), file)


async def at_desk(
    loaded: Loaded, act: str, address: str, text: str | None, by: str, note: Callable[[Event], None]
) -> str | None:
    """Do something with the rules of an address, without a server.

    :param act: ``get`` or ``put``.
    :param by: who does it.
    :param note: puts an event into the journal.
    :return: the rules that there are, for ``get``.
    :raise ConfigurationError: with what is wrong with the configuration, or the rules.
    """
    from twisted.internet import reactor

    environment = Environment(reactor, loaded)
    try:
        secret = read_secret(loaded.state)
    except OSError:
        secret = bytes(32)
    parts = assemble(loaded, Kinds(), environment.context, secret, environment.own_addresses)
    environment.threads.start()
    for plugin in parts.plugins:
        await plugin.start()
    try:
        own = desk(environment, lambda: parts, note)
        if act == "get":
            return await own.get(address)
        await own.put(address, text, by)
        return None
    finally:
        for plugin in parts.plugins:
            await plugin.stop()
        environment.threads.stop()


def findings(loaded: Loaded) -> list[dict[str, str]]:
    """``where``, ``state``, ``what`` and ``remedy`` of each file of rules that was and is broken."""
    try:
        told = broken(loaded.state)
    except sqlite3.Error as error:
        return [_finding("rules", "unknown", f"{loaded.state}: {error}", "try again later")]
    found = []
    for maildir, account in told:
        try:
            load(maildir)
        except ConfigurationError as error:
            what = f"its mail is delivered without its rules: {error.problems[0]}"
            remedy = "mend the file; `mta rules check` tells all"
            found.append(_finding(f"rules {account}", "bad", what, remedy))
    return found


def _finding(where: str, state: str, what: str, remedy: str) -> dict[str, Any]:
    return {"where": where, "state": state, "what": what, "remedy": remedy}
