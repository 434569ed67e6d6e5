"""``/metrics``: the numbers of all workers, for Prometheus; for the operator, or who is let."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Response, Route, bearer
from mta.interfaces import settle
from mta.metrics.exposition import MEDIA, exposition
from mta.metrics.workers import PATH
from mta.model.network import is_within
from mta.registry.keys import ADMIN, Keys, matching
from mta.registry.tenants import DEFAULT

_JSON = "application/json"
#: Samples as :mod:`mta.metrics.counts` makes them.
Samples = Sequence[Mapping[str, Any]]


class MetricsRoutes:
    """Answers with numbers.

    :param keys: know who the operator is: who has a key of the tenant ``default`` with the scope ``admin``.
    :param networks: from where nobody needs a key.
    :param own: what this worker counts.
    :param others: by name, what the other workers do; blocks.
    :param worker: our name.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        keys: Keys,
        networks: Sequence[IPv4Network | IPv6Network],
        *,
        own: Callable[[], Awaitable[Samples]],
        others: Callable[[], dict[str, Any]],
        worker: str,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self.networks = networks
        self._keys = keys
        self._own = own
        self._others = others
        self._worker = worker
        self._run = run_in_thread

    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                "GET",
                "/metrics",
                self.metrics,
                None,
                "Numbers for Prometheus",
                "For a key of the tenant `default` with the scope `admin`, and from `metrics.networks`.",
                group="server",
                media="text/plain",
                refusals=("no-key",),
            ),
            Route(
                "GET", PATH, self.one, ADMIN, "Numbers of one worker", hidden=True, media="application/json"
            ),
        ]

    async def metrics(self, call: Call) -> Response:
        """Those of all workers."""
        if not is_within(call.address, self.networks):
            text = bearer(call.request)
            key = matching(await settle(self._keys.known()), text, call.now) if text else None
            if key is None or key.tenant != DEFAULT or ADMIN not in key.scopes:
                kind = "wrong-key" if text else "no-key"
                raise Refusal(kind, headers={"www-authenticate": 'Bearer realm="mta"'})
        found: dict[str, Any] = await self._run(self._others)
        found[self._worker] = await self._own()
        octets: bytes = await self._run(exposition, dict(sorted(found.items())))
        return Response(octets, media=MEDIA)

    async def one(self, call: Call) -> Response:
        """Those of this worker, for another one."""
        if call.key is None or call.key.id:
            # The operator's, over the guarded socket, has none.
            raise Refusal("not-found", f"GET {PATH} is nothing here")
        return Response(json.dumps(list(await self._own())).encode())
