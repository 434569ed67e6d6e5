"""Kind ``content``: rules about header fields and attachments, asked when the message is there."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Table
from mta.interfaces import Facts, IJudge, IKind, PluginContext
from mta.judge.content.parts import PartScanner
from mta.judge.content.rules import Finding, Rule, Rules
from mta.judge.roles import Role
from mta.model.message import Content
from mta.model.revision import is_in_memory
from mta.model.verdict import PASS, Action, Stage, Verdict

#: Octets up to which a message in memory is looked through at once.
_AT_ONCE = 64 * 1024


class ContentSettings(Table):
    """Settings of ``kind = "content"``."""

    rule: list[Rule] = Field(min_length=1)
    roles: list[Role] = Field(["mx", "submission", "submissions", "lmtp", "local"], min_length=1)


@implementer(IJudge)
class ContentJudge:
    """See the module.

    :param settings: validated.
    :param run_in_thread: where large messages are read.
    """

    stages = frozenset({"message"})

    def __init__(self, settings: ContentSettings, run_in_thread: Any) -> None:
        self._roles = frozenset(settings.roles)
        self._rules = Rules(settings.rule)
        self._run = run_in_thread

    def judge(self, stage: Stage, facts: Facts) -> Any:
        """Ask the rules."""
        content = facts.content
        if stage != "message" or facts.client.role not in self._roles or content is None:
            return PASS
        if not self._rules.about_parts:
            return _verdict(self._rules.fitting(facts.header, content.size, ()))
        if content.size <= _AT_ONCE and is_in_memory(content):
            return self._look(facts.header, content)
        return self._run(self._look, facts.header, content)

    def _look(self, header: bytes, content: Content) -> Verdict:
        scanner = PartScanner()
        for block in content.blocks():
            scanner.feed(block)
        parts = scanner.close()
        if scanner.excess:
            # Nobody sends such a message to be read; what it hides nobody knows.
            evidence = {"parts": len(parts)}
            return Verdict("hold", "content.parts", "it has too many parts to be looked through", evidence)
        return _verdict(self._rules.fitting(header, content.size, parts))


def _verdict(found: list[Finding]) -> Verdict:
    """The first that refuses counts, then the first that holds; fields add up."""
    if not found:
        return PASS
    fields = tuple(pair for finding in found for pair in finding.rule.fields.items())
    evidence = {finding.rule.name: finding.what for finding in found}
    actions: tuple[Action, ...] = ("reject", "hold")
    for action in actions:
        for finding in found:
            if finding.rule.action == action:
                reason = finding.rule.reason or f"Our rules of content do not let it in: {finding.rule.name}"
                return Verdict(action, f"content.{finding.rule.name}", reason, evidence, fields=fields)
    return Verdict("tag", f"content.{found[0].rule.name}", found[0].rule.reason, evidence, fields=fields)


@implementer(IPlugin, IKind)
class ContentKind:
    """Makes :class:`ContentJudge`."""

    seam = IJudge
    kind = "content"
    settings = ContentSettings

    def build(self, settings: ContentSettings, context: PluginContext) -> ContentJudge:
        """See :class:`~mta.interfaces.IKind`."""
        return ContentJudge(settings, context.run_in_thread)


CONTENT = ContentKind()
