"""An SMTP reply (RFC 5321, 4.2) with its enhanced status code (RFC 2034)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mta.model.authentication import AuthenticationResult


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, of one or more lines.

    :ivar code: the three-digit reply code.
    :ivar lines: the text of each line, without code and enhanced code.
    :ivar enhanced: enhanced status code such as ``5.1.1``; ``""`` for none.
    :ivar name: the catalogue's name of it; ``""`` if it is not from there.
    :ivar rule: for the journal: which rule decided.
    :ivar evidence: for the journal: the facts that the decision rests on.
    :ivar authentication: for the journal: what is known of who sent what is refused.
    """

    code: int
    lines: tuple[str, ...]
    enhanced: str = ""
    name: str = ""
    rule: str = field(default="", compare=False)
    evidence: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)
    authentication: tuple[AuthenticationResult, ...] = field(default=(), compare=False)

    @property
    def text(self) -> str:
        """The lines, joined by a space."""
        return " ".join(self.lines)

    @property
    def is_positive(self) -> bool:
        """Whether the code is 2xx or 3xx."""
        return self.code < 400

    @property
    def is_permanent(self) -> bool:
        """Whether the code is 5xx."""
        return self.code >= 500

    def because(self, rule: str, evidence: Mapping[str, Any] | None = None) -> Reply:
        """The same reply, with what the journal is to tell of it.

        :param rule: which rule decided.
        :param evidence: the facts that the decision rests on.
        """
        return Reply(self.code, self.lines, self.enhanced, self.name, rule, evidence or {})

    def encode(self) -> bytes:
        """The octets that go to the client, CRLF included."""
        mark = f"{self.enhanced} " if self.enhanced else ""
        last = len(self.lines) - 1
        return "".join(
            f"{self.code}{' ' if index == last else '-'}{mark}{line}\r\n"
            for index, line in enumerate(self.lines)
        ).encode()

    def __str__(self) -> str:
        mark = f"{self.enhanced} " if self.enhanced else ""
        return f"{self.code} {mark}{self.text}"
