"""Facts for judges, as a session has them, and what a resolver says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from mta.interfaces import Facts, NoSuchDomain, TemporarilyUnavailable, settle
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.resolver import Validated
from mta.model.verdict import Verdict


def facts(
    address: str = "192.0.2.1",
    helo: str = "mx.far.test",
    sender: str | None = "ann@far.test",
    recipient: str | None = "ben@example.org",
    **more: Any,
) -> Facts:
    """Facts at ``recipient``; at ``mail`` without one, before without a sender."""
    client = Client("s1", more.pop("role", "mx"), address, helo=helo, account=more.pop("account", ""))
    envelope = None if sender is None else Envelope(sender)
    return Facts(client, envelope, None if recipient is None else Recipient(recipient), **more)


def verdict(answer: Any) -> Verdict:
    """What a judge says, if it says it at once.

    :raise AssertionError: if it does not.
    """
    said: list[Verdict] = []
    ensureDeferred(settle(answer)).addCallbacks(said.append, lambda failure: failure.raiseException())
    if not said:
        raise AssertionError("the judge has not answered")
    return said[0]


class Names:
    """A resolver.

    :param records: by name and type; what is not there does not exist.
    :ivar silent: names about which nothing is ever said.
    :ivar down: names about which the DNS cannot tell.
    """

    def __init__(self, records: Mapping[tuple[str, str], Sequence[Any]] | None = None) -> None:
        self.records = dict(records or {})
        self.silent: set[str] = set()
        self.down: set[str] = set()
        self.asked: list[str] = []

    async def _ask(self, name: str, kind: str) -> Sequence[Any]:
        self.asked.append(f"{name} {kind}")
        if name in self.silent:
            await Deferred()
        if name in self.down:
            raise TemporarilyUnavailable(f"{name}: SERVFAIL")
        try:
            return self.records[name, kind]
        except KeyError:
            if any(known == name for known, _ in self.records):
                return ()
            raise NoSuchDomain(name) from None

    async def reverse(self, address: str) -> Sequence[str]:
        return await self._ask(address, "PTR")

    async def addresses(self, host: str) -> Sequence[str]:
        return await self._ask(host, "A")

    async def mx(self, domain: str) -> Sequence[Any]:
        return await self._ask(domain, "MX")

    async def text(self, name: str) -> Sequence[bytes]:
        return await self._ask(name, "TXT")

    async def validated(self, name: str, kind: str) -> Validated:
        try:
            return Validated(await self._ask(name, kind), False, name)
        except NoSuchDomain:
            return Validated((), False, name)
