"""What a judge may say (see ``IJudge``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from mta.model.authentication import AuthenticationResult
from mta.model.change import Change
from mta.model.reply import Reply

Action = Literal["pass", "defer", "reject", "hold", "tag", "discard"]
Stage = Literal["connect", "hello", "mail", "recipient", "message"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's answer at one stage.

    :ivar action: ``pass`` (no objection), ``defer`` (4xx), ``reject`` (5xx),
        ``hold`` (accept, but keep in the queue until a person releases it),
        ``tag`` (accept, with ``fields`` on top), ``discard`` (at ``message``: answer as if it
        had been accepted, and do not keep it; the journal tells).
    :ivar rule: which rule decided, in the words of the configuration.
    :ivar reason: why, in words for the client's operator.
    :ivar evidence: the facts that it rests on, JSON values.
    :ivar reply: the exact reply for ``defer`` and ``reject``; without one, one
        is made from ``reason``.
    :ivar fields: header fields (name, value) that ``tag`` puts on top.
    :ivar authentication: what it has found out about who sends this.
    :ivar changes: at ``message``: what is to be changed of it, whatever the action, unless it
        refuses.  Judges that are asked after this one see the message so.
    """

    action: Action = "pass"
    rule: str = ""
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    reply: Reply | None = None
    fields: tuple[tuple[str, str], ...] = ()
    authentication: tuple[AuthenticationResult, ...] = ()
    changes: tuple[Change, ...] = ()


#: The verdict of a judge that has nothing to say.
PASS = Verdict()


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """What the pipeline has said at several stages of one message that none of them refused.

    The first ``hold`` counts; fields, results and evidence add up.

    :param verdicts: each with its evidence by the name of the judge.
    """
    hold: Verdict | None = None
    fields: list[tuple[str, str]] = []
    found: list[AuthenticationResult] = []
    evidence: dict[str, Any] = {}
    for verdict in verdicts:
        if verdict.action == "hold" and hold is None:
            hold = verdict
        fields += verdict.fields
        found += verdict.authentication
        for name, facts in verdict.evidence.items():
            before = evidence.get(name)
            if isinstance(before, dict) and isinstance(facts, dict):
                facts = {**before, **facts}
            evidence[name] = facts
    if hold is not None:
        return Verdict("hold", hold.rule, hold.reason, evidence, None, tuple(fields), tuple(found))
    if not (fields or evidence or found):
        return PASS
    action: Action = "tag" if fields else "pass"
    return Verdict(action, evidence=evidence, fields=tuple(fields), authentication=tuple(found))
