"""Puts the questions of :mod:`mta.judge.spf.evaluation` to a resolver."""

from __future__ import annotations

from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable
from mta.judge.spf.evaluation import Answer, Question


async def answer_from(resolver: IResolver, question: Question) -> Answer:
    """What the DNS says; never raises for that."""
    try:
        if question.kind == "PTR":
            return Answer(tuple(await resolver.reverse(question.name)))
        values, *_ = await resolver.validated(question.name, question.kind)
        return Answer(tuple(values))
    except NoSuchDomain:
        return Answer()
    except TemporarilyUnavailable as trouble:
        return Answer(trouble=str(trouble) or "nobody answers")
