"""Which ``[[shape]]`` tables fit a site, a domain or a tenant, and what they come to; pure.

A table without ``domain`` and ``tenant`` is about sites: of those that fit, each setting
comes from the last one that has it.  A table with ``domain`` or ``tenant`` is about the
messages to that domain or of that tenant, at whatever site: its rates hold besides the
site's.  Its ``connections`` count for the site too, and there the smallest counts.

Where mail leaves from several sources, a site's limits hold for each of them; so do the rates of
a table with ``domain``.  Those of a table with ``tenant`` hold for all sources together.  With
``source``, a table is about what leaves from these alone: names, or addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from zope.interface import implementer

from mta.config.settings import Shape
from mta.interfaces import IShaping
from mta.model.egress import Source
from mta.model.limits import NO_LIMITS, Gate, Limits, Rate, Timeouts
from mta.model.tls_demand import TlsDemand


@implementer(IShaping)
class Shaping:
    """See the module.

    Several workers share what the tables allow, each a part of its own.

    :param shapes: in the order of the file.
    :param workers: how many there are.
    """

    def __init__(self, shapes: Sequence[Shape] = (), workers: int | str = 1) -> None:
        self._workers = workers if isinstance(workers, int) else 1
        self.use(shapes)

    def use(self, shapes: Sequence[Shape]) -> None:
        """Go by these from now on."""
        if self._workers > 1:
            shapes = [_part_of(shape, self._workers) for shape in shapes]
        self._sites = [shape for shape in shapes if not (shape.domain or shape.tenant)]
        self._with_retry = [shape for shape in shapes if shape.retry]
        self._parts = [(number, s) for number, s in enumerate(shapes) if s.domain or s.tenant]
        self._with_timeouts = [shape for shape in shapes if shape.timeouts]
        self._with_tls = [shape for shape in shapes if shape.tls]
        self._with_egress = [shape for shape in shapes if shape.egress]

    def limits(
        self, transport: str, next_hop: str, hosts: Sequence[str], source: Source | None = None
    ) -> Limits:
        """See :class:`~mta.interfaces.IShaping`."""
        names = _names(hosts)
        found: dict[str, object] = {}
        for shape in self._sites:
            if _fits_site(shape, transport, names, source):
                found.update(
                    (name, value)
                    for name in ("connections", "messages_per_connection", "messages", "recipients")
                    if (value := getattr(shape, name))
                )
        smallest = [
            shape.connections
            for _, shape in self._parts
            if shape.connections
            and not shape.tenant
            and self._fits_part(shape, transport, next_hop, names, source)
        ]
        if smallest:
            known = found.get("connections")
            found["connections"] = min(*smallest, known) if isinstance(known, int) else min(smallest)
        waits: dict[str, float] = {}
        for shape in self._with_timeouts:
            if not shape.tenant and self._fits_part(shape, transport, next_hop, names, source):
                assert shape.timeouts is not None
                waits.update((name, value) for name, value in shape.timeouts.model_dump().items() if value)
        if waits:
            found["timeouts"] = Timeouts(**waits)
        if not found:
            return NO_LIMITS
        return Limits(**{name: tuple(v) if isinstance(v, list) else v for name, v in found.items()})  # type: ignore[arg-type]

    def gates(
        self,
        transport: str,
        next_hop: str,
        hosts: Sequence[str],
        tenant: str,
        source: Source | None = None,
    ) -> Sequence[Gate]:
        """See :class:`~mta.interfaces.IShaping`."""
        if not self._parts:
            return ()
        names = _names(hosts)
        found = []
        for number, shape in self._parts:
            if not (shape.messages or shape.recipients):
                continue
            if shape.tenant and not _any(shape.tenant, tenant):
                continue
            if not self._fits_part(shape, transport, next_hop, names, source):
                continue
            each = source is not None and (shape.source or not shape.tenant)
            key: tuple[str, ...]
            key = (str(number), tenant if shape.tenant else "", next_hop.lower() if shape.domain else "")
            if each:
                assert source is not None
                key = (*key, source.name)
            found.append(Gate(key, tuple(shape.messages), tuple(shape.recipients)))
        return tuple(found)

    def retry(
        self,
        transport: str,
        next_hop: str,
        hosts: Sequence[str],
        tenant: str,
        source: Source | None = None,
    ) -> Sequence[float]:
        """See :class:`~mta.interfaces.IShaping`: of the last table that fits and has one."""
        found = self._last(self._with_retry, transport, next_hop, hosts, tenant, source)
        return found.retry if found is not None else ()

    def tls(
        self,
        transport: str,
        next_hop: str,
        hosts: Sequence[str],
        tenant: str,
        source: Source | None = None,
    ) -> TlsDemand | None:
        """See :class:`~mta.interfaces.IShaping`: of the last table that fits and demands one."""
        found = self._last(self._with_tls, transport, next_hop, hosts, tenant, source)
        if found is None or found.tls is None:
            return None
        patterns = ", ".join([*found.domain, *found.mx, *found.tenant, *found.source]) or "all sites"
        return TlsDemand(found.tls, f"shape for {patterns}")

    @property
    def demands_tls(self) -> bool:
        """See :class:`~mta.interfaces.IShaping`."""
        return bool(self._with_tls)

    def egress(self, transport: str, next_hop: str, hosts: Sequence[str], tenant: str) -> tuple[str, bool]:
        """See :class:`~mta.interfaces.IShaping`: of the last table that fits, one with ``tenant`` first."""
        if not self._with_egress:
            return "", False
        for wanted in (True, False):
            shapes = [shape for shape in self._with_egress if bool(shape.tenant) is wanted]
            found = self._last(shapes, transport, next_hop, hosts, tenant, None)
            if found is not None:
                return found.egress, wanted
        return "", False

    def _last(
        self,
        shapes: Sequence[Shape],
        transport: str,
        next_hop: str,
        hosts: Sequence[str],
        tenant: str,
        source: Source | None,
    ) -> Shape | None:
        names = _names(hosts)
        for shape in reversed(shapes):
            if shape.tenant and not _any(shape.tenant, tenant):
                continue
            if self._fits_part(shape, transport, next_hop, names, source):
                return shape
        return None

    def has_gates(self, transport: str) -> bool:
        """See :class:`~mta.interfaces.IShaping`."""
        return any(transport in s.transport and (s.messages or s.recipients) for _, s in self._parts)

    @staticmethod
    def _fits_part(
        shape: Shape, transport: str, next_hop: str, names: Sequence[str], source: Source | None
    ) -> bool:
        if shape.domain and not _any(shape.domain, next_hop.lower()):
            return False
        return _fits_site(shape, transport, names, source)


def _fits_site(shape: Shape, transport: str, names: Sequence[str], source: Source | None) -> bool:
    if transport not in shape.transport:
        return False
    if shape.source and (
        source is None or not any(_any(shape.source, one) for one in (source.name, *source.addresses))
    ):
        return False
    return not shape.mx or any(_any(shape.mx, name) for name in names)


def _part_of(shape: Shape, workers: int) -> Shape:
    """What one of so many workers may do."""
    return shape.model_copy(
        update={
            "connections": max(1, shape.connections // workers) if shape.connections else 0,
            "messages": [_share(rate, workers) for rate in shape.messages],
            "recipients": [_share(rate, workers) for rate in shape.recipients],
        }
    )


def _share(rate: Rate, workers: int) -> Rate:
    count, seconds = rate
    if count >= workers:
        return count // workers, seconds
    return 1, seconds * workers / count


def _names(hosts: Sequence[str]) -> list[str]:
    """As patterns are written."""
    return [host.lower().rstrip(".") for host in hosts]


def _any(patterns: Sequence[str], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
