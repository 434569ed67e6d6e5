"""The judge of ``[[access.rule]]``: what the first rule that fits says.

A client that is accepted is not asked further by limits, ``reputation`` and ``greylist``
(:mod:`mta.judge.accepted`).  Mail of this machine meets only rules that name its role.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from zope.interface import implementer

from mta.config.settings import AccessRule
from mta.interfaces import Answer, Facts, IJudge, IReloadable
from mta.judge.accepted import is_accepted, judged
from mta.judge.access.rules import Decision, Rule, decide, read_rules
from mta.judge.reverse_name import ReverseNames
from mta.model.catalogue import REPLIES
from mta.model.reply import Reply
from mta.model.verdict import PASS, Action, Stage, Verdict

#: The name of this judge in the pipeline.
NAME = "access"


@implementer(IJudge, IReloadable)
class AccessJudge:
    """See the module.

    :param settings: the tables, in order.
    :param base: directory that file names are relative to.
    :param names: finds the reverse name of a client.
    :param contact: whom those who are refused may write to.
    :param run_in_thread: where files are read anew.
    :raise AccessProblem: if a rule or its file is wrong.
    """

    def __init__(
        self,
        settings: Sequence[AccessRule],
        base: Path,
        names: ReverseNames,
        contact: str,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._settings = tuple(settings)
        self._base = base
        self._names = names
        self._contact = contact
        self._run_in_thread = run_in_thread
        self._rules: list[Rule] = read_rules(self._settings, base)
        self._wants_name = any(rule.reverse_name or rule.of == "reverse_name" for rule in self._settings)
        self._local = any("local" in rule.role for rule in self._settings)
        self.stages: frozenset[str] = frozenset({"connect", "hello", "mail", "recipient"})

    async def reload(self) -> None:
        """Read the files again.

        :raise AccessProblem: if one is wrong; what was read before stays.
        """
        self._rules = await self._run_in_thread(read_rules, self._settings, self._base)

    def judge(self, stage: Stage, facts: Facts) -> Answer[Verdict]:
        """See :class:`~mta.interfaces.IJudge`."""
        client = facts.client
        if stage == "message" or (client.role == "local" and not self._local) or is_accepted(facts):
            return PASS
        if self._wants_name and stage != "connect" and client.address:
            return self._with_name(stage, facts)
        return self._judge(stage, facts, None)

    async def _with_name(self, stage: Stage, facts: Facts) -> Verdict:
        found = await self._names.find(facts.client)
        # When the DNS does not answer, nobody is refused by it, nor let in.
        return self._judge(stage, facts, found.name)

    def _judge(self, stage: Stage, facts: Facts, reverse_name: str | None) -> Verdict:
        client, envelope = facts.client, facts.envelope
        known = {"client": client.address}
        if reverse_name is not None:
            known["reverse_name"] = reverse_name
        if stage != "connect":
            known["helo"] = client.helo
        if envelope is not None:
            known["account"] = client.account
            known["sender"] = envelope.reverse_path
        if facts.recipient is not None:
            known["recipient"] = facts.recipient.address
        tags, decision = decide(self._rules, client.role, known, stage == "recipient")
        said = judged(facts, NAME)
        fresh = [tag for tag in tags if tag.rule not in said]
        evidence: dict[str, Any] = {tag.rule: _told(tag) for tag in fresh}
        fields = tuple((tag.field, tag.words or tag.rule) for tag in fresh)
        if decision is None:
            return Verdict("tag", NAME, evidence=evidence, fields=fields) if fresh else PASS
        evidence[decision.rule] = _told(decision)
        rule = f"{NAME}.{decision.rule}"
        match decision.action:
            case "accept":
                facts.results[NAME] = decision.rule
                return Verdict("tag" if fields else "pass", rule, evidence=evidence, fields=fields)
            case "hold":
                reason = decision.words or f"held by the rule {decision.rule}"
                return Verdict("hold", rule, reason, evidence, fields=fields)
        action: Action = "defer" if decision.action == "defer" else "reject"
        words = decision.words or ("You are refused" if action == "reject" else "You are put off")
        reply = self._reply(action, decision, words, client.session)
        return Verdict(action, rule, words, {**dict(decision.facts), "rule": decision.rule}, reply)

    def _reply(self, action: Action, decision: Decision, words: str, session: str) -> Reply:
        reply = REPLIES.reply(
            "access-denied" if action == "reject" else "access-deferred",
            reason=words,
            rule=decision.rule,
            contact=self._contact,
            ref=session,
        )
        return Reply(
            decision.code or reply.code, reply.lines, decision.enhanced or reply.enhanced, reply.name
        )


def _told(decision: Decision) -> str:
    """For the journal: what a rule did, and what it fits."""
    facts = ", ".join(f"{name} {value or '<>'}" for name, value in decision.facts)
    if decision.action == "accept" and any(name == "recipient" for name, _ in decision.facts):
        # It says nothing of the recipients that follow.
        return f"accept for this recipient, because of {facts}"
    return f"{decision.action}, because of {facts}"
