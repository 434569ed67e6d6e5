"""The table ``[rules]``: what people's own rules may do with the mail that is delivered to them."""

from __future__ import annotations

from collections.abc import Container

from pydantic import Field, field_validator

from mta.config.values import Duration, Rate, Table, domain


class RulesTable(Table):
    """Whether mailboxes have rules, and their limits.

    ``forward_to`` names domains, besides our own, to which mail may be forwarded; ``"*"`` is any.
    """

    enabled: bool = True
    forward_to: list[str] = []
    forward_rate: Rate = (200, 3600.0)
    forward_most: int = Field(5, ge=0, le=50)
    reply: bool = True
    reply_rate: Rate = (200, 86400.0)
    reply_again: Duration = Field(86400.0, ge=3600)

    @field_validator("forward_to")
    @classmethod
    def _are_domains(cls, names: list[str]) -> list[str]:
        return [name if name == "*" else domain(name) for name in names]

    def may_forward(self, name: str, ours: Container[str]) -> bool:
        """Whether mail may be forwarded to a domain.

        :param ours: the domains whose mail is kept here.
        """
        lower = name.lower()
        return lower in ours or "*" in self.forward_to or lower in self.forward_to
