"""A judge that does not like some words in a subject, and has others written differently."""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Table
from mta.interfaces import Facts, IJudge, IKind, PluginContext
from mta.model.change import AddRecipient, ChangeField, InsertField, ReplaceBody
from mta.model.verdict import PASS, Stage, Verdict


class WordsSettings(Table):
    """Words that no header may have, a word that is not to be read, and who gets a copy then."""

    forbidden: list[str]
    hidden: str = ""
    copy_to: str = ""


@implementer(IJudge)
class Words:
    """Looks at the header once it is there, and at the content."""

    def __init__(self, settings: WordsSettings, context: PluginContext) -> None:
        self._forbidden = settings.forbidden
        self._hidden = settings.hidden.encode()
        self._copy_to = settings.copy_to
        self._run = context.run_in_thread

    async def judge(self, stage: Stage, facts: Facts) -> Verdict:
        """Reject a message with a forbidden word; change one with a hidden word."""
        if stage != "message" or facts.content is None:
            return PASS
        for word in self._forbidden:
            if word.encode() in facts.header:
                evidence = {"word": word}
                return Verdict("reject", f"words: {word}", f"We do not want {word} here", evidence)
        octets = await self._run(facts.content.read)
        body = octets[len(facts.header) + 2 :]
        if not self._hidden or self._hidden not in body:
            return PASS
        hidden = body.replace(self._hidden, b"*" * len(self._hidden))
        changes = (
            InsertField("X-Words", "hidden"),
            ChangeField("Subject", "changed"),
            ReplaceBody(hidden),
            AddRecipient(self._copy_to),
        )
        return Verdict("pass", "words: hidden", changes=changes)


@implementer(IPlugin, IKind)
class WordsKind:
    """Makes :class:`Words`."""

    seam = IJudge
    kind = "words"
    settings = WordsSettings

    def build(self, settings: WordsSettings, context: PluginContext) -> Words:
        """Make it."""
        return Words(settings, context)


WORDS = WordsKind()
