"""A post that tries an endpoint out; pure but for chance."""

from __future__ import annotations

import secrets

from mta.registry.endpoints import Endpoint
from mta.webhook.content import TEST
from mta.webhook.formats import tried
from mta.webhook.outbox import New


def trial(endpoint: Endpoint, shard: int, now: float, by: str) -> New:
    """What is to be posted.

    :param shard: of the worker whose outbox takes it.
    :param now: seconds since 1970.
    :param by: who tries.
    """
    identity = f"evt_{shard}_test{secrets.token_hex(8)}_{int(now * 1000):x}"
    body = tried(endpoint.format, identity, now, {"endpoint": endpoint.id, "by": by})
    return New(identity, endpoint.id, "", TEST, body)
