"""What a judge may say (see ``IJudge``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from mta.model.reply import Reply

Action = Literal["pass", "defer", "reject", "hold", "tag"]
Stage = Literal["connect", "hello", "mail", "recipient", "message"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's answer at one stage.

    :ivar action: ``pass`` (no objection), ``defer`` (4xx), ``reject`` (5xx),
        ``hold`` (accept, but keep in the queue until a person releases it),
        ``tag`` (accept, with ``fields`` on top).
    :ivar rule: which rule decided, in the words of the configuration.
    :ivar reason: why, in words for the client's operator.
    :ivar evidence: the facts that it rests on, JSON values.
    :ivar reply: the exact reply for ``defer`` and ``reject``; without one, one
        is made from ``reason``.
    :ivar fields: header fields (name, value) that ``tag`` puts on top.
    """

    action: Action = "pass"
    rule: str = ""
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    reply: Reply | None = None
    fields: tuple[tuple[str, str], ...] = ()


#: The verdict of a judge that has nothing to say.
PASS = Verdict()
