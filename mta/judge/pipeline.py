"""All judges in their order, as one.

The first ``defer`` or ``reject`` ends the questions.  A ``hold`` is remembered
and the rest are still asked, because one of them may refuse; tags add up.  What
one changes of the message, those behind it see.  A ``discard`` ends the questions
too, unless somebody wants the message held.  A judge that fails is our own trouble,
so the client is put off, never refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, get_args

from twisted.logger import Logger
from zope.interface import implementer

from mta.interfaces import Answer, Facts, IJudge, IPipeline, ISessionJudge, TemporarilyUnavailable
from mta.model.change import words
from mta.model.envelope import Client
from mta.model.verdict import PASS, Action, Stage, Verdict, together

_ACTIONS = frozenset(get_args(Action))
_STAGES: tuple[Stage, ...] = get_args(Stage)


@implementer(IPipeline)
class Pipeline:
    """See the module.

    :param judges: each with the name under which its verdicts are known.
    """

    _log = Logger()

    def __init__(self, judges: Sequence[tuple[str, IJudge]] = ()) -> None:
        self._judges = {
            stage: tuple(
                (name, judge) for name, judge in judges if stage in getattr(judge, "stages", _STAGES)
            )
            for stage in _STAGES
        }
        #: What tells at once that a judge has nothing to say, where it has such a thing.
        self._passes = {
            stage: tuple(getattr(judge, "passes", None) for _, judge in found)
            for stage, found in self._judges.items()
        }
        self._told = tuple(judge for _, judge in judges if ISessionJudge.providedBy(judge))
        #: Questions under way, by session, while anybody keeps anything about one.
        self._asking: dict[str, int] = {}
        self._gone: set[str] = set()

    def closed(self, client: Client) -> None:
        """The session is over: tell those who keep anything about it."""
        if client.session in self._asking:
            # What is under way goes on, and they may keep something yet.
            self._gone.add(client.session)
        for judge in self._told:
            try:
                judge.closed(client)
            except Exception:
                self._log.failure("A judge failed at the end of {session}", session=client.session)

    def judge(self, stage: Stage, facts: Facts) -> Answer[Verdict]:
        """The verdict of all; at once when there is no judge."""
        judges = self._judges[stage]
        for passes in self._passes[stage]:
            if passes is None or not passes(stage, facts):
                break
        else:
            return PASS
        return self._watched(judges, stage, facts) if self._told else self._ask(judges, stage, facts)

    async def _watched(self, judges: Sequence[tuple[str, IJudge]], stage: Stage, facts: Facts) -> Verdict:
        session, asking = facts.client.session, self._asking
        asking[session] = asking.get(session, 0) + 1
        try:
            return await self._ask(judges, stage, facts)
        finally:
            asking[session] -= 1
            if not asking[session]:
                del asking[session]
                if session in self._gone:
                    self._gone.discard(session)
                    self.closed(facts.client)

    async def _ask(self, judges: Sequence[tuple[str, IJudge]], stage: Stage, facts: Facts) -> Verdict:
        said: list[Verdict] = []
        judged = (*facts.client.judged, *(facts.envelope.judged if facts.envelope else ()))
        facts.authentication = [result for _, verdict in judged for result in verdict.authentication]
        for name, judge in judges:
            verdict = await self._one(name, judge, stage, facts)
            if verdict.action in ("defer", "reject"):
                # What others have found out counts, whoever refuses the message.
                found = (*facts.authentication, *verdict.authentication)
                return replace(verdict, authentication=found) if found else verdict
            if verdict is PASS:
                continue
            facts.authentication += verdict.authentication
            evidence = verdict.evidence
            if verdict.changes:
                evidence = {**evidence, "changes": [words(change) for change in verdict.changes]}
            if evidence:
                verdict = replace(verdict, evidence={name: evidence}, changes=())
            if verdict.action == "discard":
                if stage == "message" and all(one.action != "hold" for one in said):
                    every = together([*said, verdict])
                    found = tuple(facts.authentication)
                    return replace(verdict, evidence=every.evidence, authentication=found)
                verdict = replace(verdict, action="pass")
            said.append(verdict)
        return together(said)

    async def _one(self, name: str, judge: IJudge, stage: Stage, facts: Facts) -> Verdict:
        try:
            answer = judge.judge(stage, facts)
            verdict: Verdict = await answer if isinstance(answer, Awaitable) else answer
            _check(verdict)
            if verdict.changes and verdict.action not in ("defer", "reject"):
                facts.revise(verdict.changes)
        except TemporarilyUnavailable as trouble:
            self._log.warn("Judge {name} cannot tell: {trouble}", name=name, trouble=trouble)
            return Verdict(
                "defer", name, "A check cannot be made now, try again later", {"why": str(trouble)}
            )
        except Exception:
            self._log.failure("Judge {name} failed at {stage}", name=name, stage=stage)
            return Verdict("defer", name, "A check failed on our side, try again later")
        if not verdict.rule and verdict.action != "pass":
            return replace(verdict, rule=name)
        return verdict


def _check(verdict: Any) -> None:
    """See to it that a plugin's slip does not let mail in, or lose it.

    An action misspelt would count as no objection; a refusal with a reply of 250
    would have the client believe that the message was taken.

    :raise TypeError: if it is no verdict.
    :raise ValueError: if it is one that nobody can act on.
    """
    if not isinstance(verdict, Verdict):
        raise TypeError(f"a judge answers with a Verdict, and it was {verdict!r:.100}")
    if verdict.action not in _ACTIONS:
        raise ValueError(f"{verdict.action!r:.100} is no action of a verdict")
    reply = verdict.reply
    if reply is None or verdict.action not in ("defer", "reject"):
        return
    # A 421 may close a session for a permanent reason.
    if not 400 <= reply.code < 600 or (verdict.action == "defer" and reply.is_permanent):
        raise ValueError(f"the reply {reply.code} does not fit the action {verdict.action!r}")
