"""From ``kind`` and settings to an instance, and mistakes in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from mta.config.loading import parse
from mta.config.problem import ConfigurationError
from mta.config.settings import Table
from mta.interfaces import IJudge, IKind, IReloadable, IService, PluginContext
from mta.plugins import Kinds, Plugin, PluginBuilder


class WordSettings(Table):
    """Settings of the kind under test."""

    word: str
    times: int = 1


@implementer(IJudge, IService, IReloadable)
class WordJudge:
    """Remembers what it is told."""

    def __init__(self, settings: WordSettings) -> None:
        self.settings = settings
        self.told: list[str] = []

    def judge(self, stage: Any, facts: Any) -> Any:
        raise AssertionError("not asked here")

    def start(self) -> None:
        self.told.append("start")

    def stop(self) -> None:
        self.told.append("stop")
        raise RuntimeError("a plugin may fail")

    def reload(self) -> None:
        self.told.append("reload")


@implementer(IKind)
class WordKind:
    """Makes them."""

    seam = IJudge
    kind = "word"
    settings = WordSettings

    def build(self, settings: WordSettings, context: Any) -> WordJudge:
        if settings.word == "bad":
            raise ValueError("this word is bad")
        if settings.word == "bug":
            raise KeyError("oops")
        return WordJudge(settings)


def context() -> PluginContext:
    """What a plugin may use: nothing."""
    nothing: Any = None
    return PluginContext(nothing, "", "", "mx.example.org", nothing, nothing)


class PluginTests(SynchronousTestCase):
    """``[[judge]]`` tables become instances."""

    def build(self, text: str, kept: list[Plugin] | None = None) -> tuple[list[Plugin], list[Any]]:
        loaded = parse(text, Path("/etc/mta/mta.toml"))
        builder = PluginBuilder(loaded, Kinds([WordKind()]), context())
        return builder.build(IJudge, "judge", kept or ()), builder.problems

    def test_in_order_with_settings(self) -> None:
        plugins, problems = self.build(
            '[[judge]]\nkind = "word"\nword = "a"\n[[judge]]\nkind = "word"\nname = "second"\nword = "b"\n'
        )
        self.assertEqual([], problems)
        self.assertEqual(["word", "second"], [plugin.name for plugin in plugins])
        self.assertEqual("b", plugins[1].instance.settings.word)

    def test_mistakes_have_lines(self) -> None:
        plugins, problems = self.build(
            '[[judge]]\nkind = "word"\nwrod = "a"\n'
            '[[judge]]\nkind = "wurd"\nname = "n2"\n'
            '[[judge]]\nkind = "word"\nname = "n3"\nword = "a"\ntimes = "often"\n'
            '[[judge]]\nkind = "word"\nname = "n4"\nword = "bad"\n'
            '[[judge]]\nkind = "word"\nname = "n5"\nword = "bug"\n'
        )
        self.assertEqual([], plugins)
        told = [(problem.line, problem.key) for problem in problems]
        self.assertEqual(
            [
                (1, "judge.word"),
                (3, "judge.wrod"),
                (5, "judge.kind"),
                (11, "judge.times"),
                (12, "judge"),
                (16, "judge"),
            ],
            told,
        )
        self.assertIn("'word'", problems[2].remedy)
        self.assertEqual("this word is bad", problems[4].what)
        self.assertIn("test_plugins.py:", problems[5].remedy)

    def test_kept_while_unchanged(self) -> None:
        text = '[[judge]]\nkind = "word"\nword = "a"\n[[judge]]\nkind = "word"\nname = "n"\nword = "b"\n'
        before, _ = self.build(text)
        after, _ = self.build(text.replace('"b"', '"c"'), before)
        self.assertIs(before[0], after[0])
        self.assertIsNot(before[1], after[1])

    def test_life(self) -> None:
        (plugin,), _ = self.build('[[judge]]\nkind = "word"\nword = "a"\n')
        for step in (plugin.start(), plugin.reload(), plugin.stop()):
            self.successResultOf(_deferred(step))
        self.assertEqual(["start", "reload", "stop"], plugin.instance.told)
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))

    def test_unknown_without_any(self) -> None:
        loaded = parse('[[sink]]\nkind = "x"\n', Path("/etc/mta/mta.toml"))
        builder = PluginBuilder(loaded, Kinds([]), context())
        item = loaded.settings.sink[0]
        error = self.assertRaises(ConfigurationError, builder.settings, IJudge, "sink", item, ("sink", 0))
        self.assertIn("known: none", str(error))


def _deferred(coroutine: Any) -> Any:
    from twisted.internet.defer import Deferred

    return Deferred.fromCoroutine(coroutine)
