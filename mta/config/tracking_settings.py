"""The tables ``[tracking]`` and ``[metrics]``: what tenants can ask of their messages; numbers."""

from __future__ import annotations

from pydantic import Field

from mta.config.values import Duration, Network, Table


class Tracking(Table):
    """What tenants can ask of their messages."""

    keep: Duration = 30 * 86400.0
    bodies: Duration = 0.0
    bodies_of: dict[str, Duration] = {}
    streams: int = Field(20, ge=0)
    heartbeat: Duration = Field(15.0, gt=0)


class Metrics(Table):
    """Numbers for Prometheus, at ``/metrics`` on ``listen.http``."""

    networks: list[Network] = []
