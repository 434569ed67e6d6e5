"""Tables about how much destinations are given, and from where: ``[[shape]]`` and its kin."""

from __future__ import annotations

from pydantic import Field, model_validator

from mta.config.values import Duration, HostPatterns, Rate, Table


class Shape(Table):
    """What some destinations are given at the most; see :mod:`mta.route.shaping`.

    ``*`` in a pattern stands for anything.
    """

    domain: HostPatterns = []
    mx: HostPatterns = []
    tenant: list[str] = []
    transport: list[str] = ["relay"]
    connections: int = Field(0, ge=0)
    messages_per_connection: int = Field(0, ge=0)
    messages: list[Rate] = []
    recipients: list[Rate] = []
    retry: list[Duration] = []

    @model_validator(mode="after")
    def _says_something(self) -> Shape:
        sets = (self.connections, self.messages_per_connection, self.messages, self.recipients, self.retry)
        if not any(sets):
            names = "connections, messages_per_connection, messages, recipients or retry"
            raise ValueError(f"it sets nothing: give {names}")
        return self
