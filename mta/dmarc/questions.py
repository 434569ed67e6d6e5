"""Puts the questions of :mod:`mta.dmarc.discovery` to a resolver."""

from __future__ import annotations

from mta.dmarc.discovery import Answer, Question
from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable


async def answer_from(resolver: IResolver, question: Question) -> Answer:
    """What the DNS says; never raises for that."""
    try:
        if question.kind == "TXT":
            return Answer(tuple(await resolver.text(question.name)))
        await resolver.addresses(question.name)
        return Answer()
    except NoSuchDomain:
        return Answer(exists=False)
    except TemporarilyUnavailable as trouble:
        return Answer(trouble=str(trouble) or "nobody answers")
