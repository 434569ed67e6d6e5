"""The documentation against the program: what can be said of settings is said, with its default."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

import mta.interfaces
from mta.cli.main import COMMANDS
from mta.config.settings import Bounce, parse_duration
from mta.interfaces import IKind
from mta.model.bounce import Rule
from mta.model.bounce_classes import CLASSES
from mta.model.bounce_data import classifier, shipped
from mta.model.outcome import RemoteReply
from mta.upkeep import read_pins

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = ROOT / "docs" / "reference" / "plugins.rst"
_SETTING = re.compile(r"``(\w+)`` \((required|``[^`]*``)\)")


def own_kinds() -> list[Any]:
    """The kinds that are shipped."""
    return [kind for kind in getPlugins(IKind) if type(kind).__module__.startswith("mta.")]


class PluginReferenceTests(SynchronousTestCase):
    """docs/reference/plugins.rst."""

    def section(self, title: str) -> dict[str, str]:
        """Setting and default, as they stand under a heading."""
        text = PLUGINS.read_text("utf-8")
        match = re.search(rf"(?ms)^{re.escape(title)}\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)", text)
        assert match is not None, f"there is no section {title!r}"
        return {name: default.strip("`") for name, default in _SETTING.findall(match[1])}

    def test_every_setting_of_every_kind(self) -> None:
        for kind in own_kinds():
            table = kind.seam.__name__.removeprefix("I").lower()
            found = self.section(f"{table}: {kind.kind}")
            fields = kind.settings.model_fields
            self.assertEqual(sorted(fields), sorted(found), kind.kind)
            for name, field in fields.items():
                where = f"{kind.kind}.{name}"
                if field.default is PydanticUndefined:
                    self.assertEqual("required", found[name], where)
                elif found[name].startswith("0o"):
                    self.assertEqual(field.default, int(found[name], 8), where)
                else:
                    value = json.loads(found[name])
                    if isinstance(field.default, float):
                        value = parse_duration(value)
                    self.assertEqual(field.default, value, where)


class BounceReferenceTests(SynchronousTestCase):
    """docs/reference/bounces.rst."""

    def setUp(self) -> None:
        self.text = (ROOT / "docs" / "reference" / "bounces.rst").read_text("utf-8")

    def test_every_class(self) -> None:
        """Each with its title, whom it concerns, and what follows from a 4xx."""
        rows = re.findall(r"(?m)^   \* - ``([\w-]+)``\n     - (.*)\n     - (.*)\n     - (.*)$", self.text)
        expected = []
        for one in CLASSES:
            read = classifier([Rule(one.name)]).classify(RemoteReply(450, "", "x", "x.test"))
            then = read.consequence.removeprefix("it is ")
            expected.append((one.name, one.title, one.scope, then))
        self.assertEqual(expected, rows)

    def test_every_provider(self) -> None:
        _, providers = shipped()
        found = re.search(r"(?s)rules of their own: (.*?)\.\n", self.text)
        assert found is not None
        self.assertEqual(sorted(providers), [name.strip("`") for name in re.split(r",\s+", found[1])])

    def test_every_key(self) -> None:
        for name in Bounce.model_fields:
            self.assertIn(f"``{name}``", self.text)


class PluginGuideTests(SynchronousTestCase):
    """docs/guides/plugins.rst."""

    def test_every_interface_is_named(self) -> None:
        """A seam that nobody is told of might as well not be there."""
        text = (ROOT / "docs" / "guides" / "plugins.rst").read_text("utf-8")
        names = re.findall(
            r"(?m)^class (I[A-Z]\w+)\(Interface\)", Path(mta.interfaces.__file__).read_text("utf-8")
        )
        self.assertIn("IJudge", names)
        self.assertEqual([], [name for name in names if name not in text])


class SetUpTests(SynchronousTestCase):
    """setup.cfg and constraints.txt."""

    def test_every_requirement_has_a_bound_and_a_version(self) -> None:
        """And the version that is installed reaches the bound."""
        parser = configparser.ConfigParser()
        parser.read(ROOT / "setup.cfg")
        lines = parser["options"]["install_requires"].split("\n")
        for extra in parser["options.extras_require"].values():
            lines += extra.split("\n")
        pinned = {
            name: pin.version for name, pin in read_pins((ROOT / "constraints.txt").read_text()).items()
        }
        for line in filter(None, map(str.strip, lines)):
            match = re.fullmatch(r"([\w.-]+)(?:\[\w+\])? >= ([\d.]+)", line)
            assert match is not None, line
            version = pinned.get(_normal(match[1]), "0")
            self.assertGreaterEqual(_numbers(version), _numbers(match[2]), line)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


class TableTests(SynchronousTestCase):
    """Tables of reStructuredText, without the program that reads them."""

    @staticmethod
    def crossed(text: str) -> list[int]:
        """Numbers of lines whose text runs over the end of a column."""
        found = []
        gaps: list[slice] = []
        before = ""
        for number, line in enumerate(text.splitlines(), 1):
            if re.fullmatch(r"=+( +=+)+", line):
                gaps = [slice(*match.span()) for match in re.finditer(" +", line)]
            elif not line and before.startswith("=="):
                gaps = []
            if any(line[gap].strip() for gap in gaps):
                found.append(number)
            before = line
        return found

    def test_columns(self) -> None:
        for path in [ROOT / "README.rst", *(ROOT / "docs").rglob("*.rst"), *(ROOT / "bench").rglob("*.rst")]:
            if "_build" not in path.parts:
                self.assertEqual([], self.crossed(path.read_text("utf-8")), path.name)

    def test_found(self) -> None:
        rule = "===  ==="
        good = [rule, "a    b", rule, "abc  d", "e    ", rule, "", "text that is long enough"]
        self.assertEqual([], self.crossed("\n".join(good)))
        good[3] = "abcd e"
        self.assertEqual([4], self.crossed("\n".join(good)))


class ReadMeTests(SynchronousTestCase):
    """README.rst."""

    def test_commands(self) -> None:
        """Each group of commands is named."""
        text = (ROOT / "README.rst").read_text("utf-8")
        listed = re.search(r"(?s)``mta (init,[^`]*)``", text)
        assert listed is not None
        self.assertEqual(sorted(COMMANDS), sorted(re.findall(r"[\w-]+", listed[1])))
