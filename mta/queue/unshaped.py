"""Destinations without ``[[shape]]``: no limits besides those of the transports."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from mta.interfaces import IShaping
from mta.model.egress import Source
from mta.model.limits import NO_LIMITS, Gate, Limits
from mta.model.tls_demand import TlsDemand


@implementer(IShaping)
class Unshaped:
    """See the module."""

    demands_tls = False

    def limits(
        self, transport: str, next_hop: str, hosts: Sequence[str], source: Source | None = None
    ) -> Limits:
        """See :class:`~mta.interfaces.IShaping`."""
        return NO_LIMITS

    def gates(
        self,
        transport: str,
        next_hop: str,
        hosts: Sequence[str],
        tenant: str,
        source: Source | None = None,
    ) -> Sequence[Gate]:
        """See :class:`~mta.interfaces.IShaping`."""
        return ()

    def retry(
        self,
        transport: str,
        next_hop: str,
        hosts: Sequence[str],
        tenant: str,
        source: Source | None = None,
    ) -> Sequence[float]:
        """See :class:`~mta.interfaces.IShaping`."""
        return ()

    def tls(
        self,
        transport: str,
        next_hop: str,
        hosts: Sequence[str],
        tenant: str,
        source: Source | None = None,
    ) -> TlsDemand | None:
        """See :class:`~mta.interfaces.IShaping`."""
        return None

    def egress(self, transport: str, next_hop: str, hosts: Sequence[str], tenant: str) -> tuple[str, bool]:
        """See :class:`~mta.interfaces.IShaping`."""
        return "", False

    def has_gates(self, transport: str) -> bool:
        """See :class:`~mta.interfaces.IShaping`."""
        return False
