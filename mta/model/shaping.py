"""The seams between those who know how much goes where, and from where, and those who see to it."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import Attribute, Interface

from mta.model.egress import Choice, Source, Warming
from mta.model.limits import Gate, Limits
from mta.model.tls_demand import TlsDemand


class IShaping(Interface):
    """Knows what destinations are given at the most; ``mta.route`` provides it."""

    def limits(transport: str, next_hop: str, hosts: Sequence[str], source: Source | None = None) -> Limits:
        """The limits of a site, as far as one source goes.

        :param hosts: names of its hosts, where they are known.
        """

    def gates(
        transport: str, next_hop: str, hosts: Sequence[str], tenant: str, source: Source | None = None
    ) -> Sequence[Gate]:
        """The rates that messages of one tenant to one next hop share with others."""

    def retry(
        transport: str, next_hop: str, hosts: Sequence[str], tenant: str, source: Source | None = None
    ) -> Sequence[float]:
        """Seconds after the first, second, ... attempt; empty for the usual ones."""

    demands_tls = Attribute("Whether any of the tables demands TLS.")

    def tls(
        transport: str, next_hop: str, hosts: Sequence[str], tenant: str, source: Source | None = None
    ) -> TlsDemand | None:
        """Which TLS is demanded; ``None``: whatever else says so."""

    def egress(transport: str, next_hop: str, hosts: Sequence[str], tenant: str) -> tuple[str, bool]:
        """The pool that a table picks, or ``""``; and whether the table is about this tenant."""

    def has_gates(transport: str) -> bool:
        """Whether there are any for a transport."""


class IEgress(Interface):
    """Knows from which of this machine's addresses mail leaves; ``mta.route`` provides it."""

    def covers(transport: str) -> bool:
        """Whether any mail of a transport has sources of its own."""

    def choose(
        transport: str, next_hop: str, hosts: Sequence[str], message: str, sender: str, tenant: str
    ) -> Choice | None:
        """The sources that may carry a message, in the order in which it takes them.

        :param message: its queue id.
        :param sender: its reverse-path.
        :return: ``None`` if it leaves from wherever the transport's settings say.
        """

    def find(name: str) -> Warming | None:
        """A source of the configuration; ``None`` if there is none of that name any more."""
