"""A judge that does not like some words in a subject."""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Table
from mta.interfaces import Facts, IJudge, IKind, PluginContext
from mta.model.verdict import PASS, Stage, Verdict


class WordsSettings(Table):
    """Words that no header may have."""

    forbidden: list[str]


@implementer(IJudge)
class Words:
    """Looks at the header once it is there."""

    def __init__(self, forbidden: list[str]) -> None:
        self._forbidden = forbidden

    def judge(self, stage: Stage, facts: Facts) -> Verdict:
        """Reject a message with a forbidden word."""
        if stage != "message":
            return PASS
        for word in self._forbidden:
            if word.encode() in facts.header:
                evidence = {"word": word}
                return Verdict("reject", f"words: {word}", f"We do not want {word} here", evidence)
        return PASS


@implementer(IPlugin, IKind)
class WordsKind:
    """Makes :class:`Words`."""

    seam = IJudge
    kind = "words"
    settings = WordsSettings

    def build(self, settings: WordsSettings, context: PluginContext) -> Words:
        """Make it."""
        return Words(settings.forbidden)


WORDS = WordsKind()
