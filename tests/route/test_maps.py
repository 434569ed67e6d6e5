"""Maps of addresses: their keys, their order, their mistakes, and how long an answer takes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.model.address import parse_address
from mta.route.address_map import AddressMap, Entry, parse_key
from mta.route.file_problem import FileError, Wrong
from mta.route.maps import MapBuilder, parse_map
from mta.route.pattern import Pattern, check_references, insert
from mta.route.rewriting import find_circles, rewrite_key, rewrite_targets
from tests.route.test_domains import at_once


def table(*keys: str) -> AddressMap[str]:
    return AddressMap.of(Entry(parse_key(key), key, f"f:{n}") for n, key in enumerate(keys, 1))


class KeyTests(SynchronousTestCase):
    """The left side."""

    def test_kinds(self) -> None:
        for text, kind, found in (
            ("Ann@Example.ORG", "address", "ann@example.org"),
            ('"a b"@example.org', "address", '"a b"@example.org'),
            ("example.org", "domain", "example.org"),
            ("@Example.org", "domain", "example.org"),
            ("bücher.example", "domain", "xn--bcher-kva.example"),
            (".example.org", "below", "example.org"),
            ("@.example.org", "below", "example.org"),
            ("*", "any", "*"),
            ("/^a@/", "pattern", "/^a@/"),
        ):
            key = parse_key(text)
            self.assertEqual((kind, found), (key.kind, key.text), text)

    def test_wrong(self) -> None:
        for text in (
            "/^a",
            "//",
            "/(/",
            "/a(?=b)/",
            r"/(a)\1/",
            "a b@x.org",
            "exa mple",
            "@",
            "a@b@",
            "/((a{1000}){1000}){9}/",
        ):
            self.assertRaises(Wrong, parse_key, text)


class OrderTests(SynchronousTestCase):
    """Which entry counts."""

    def test_order(self) -> None:
        keys = ["*", ".example.org", ".a.example.org", "b.a.example.org", "/^ann/", "ann@b.a.example.org"]
        keys += ["ann+x@b.a.example.org"]
        address = parse_address("ann+x@b.a.example.org")
        while keys:
            hit = table(*keys).find(address, "+")
            assert hit is not None
            self.assertEqual(keys[-1], hit.entry.value)
            self.assertEqual("x" if keys[-1].startswith("ann@") else "", hit.detail)
            keys.pop()
        self.assertIsNone(AddressMap[str]().find(address, "+"))

    def test_below_is_not_itself(self) -> None:
        self.assertIsNone(table(".example.org").find(parse_address("a@example.org")))
        self.assertIsNone(table(".example.org").find(parse_address("a@badexample.org")))

    def test_case(self) -> None:
        self.assertIsNotNone(table("/^ANN@/").find(parse_address("ann@x.org")))
        self.assertIsNotNone(table("ann@x.org").find(parse_address("ANN@X.org")))


class PatternTests(SynchronousTestCase):
    """Expressions."""

    def test_groups(self) -> None:
        pattern = Pattern.parse(r"^(.+)-(in|out)@(.*)$")
        groups = pattern.match("ann-out@x.org")
        self.assertEqual(("ann-out@x.org", "ann", "out", "x.org"), groups)
        assert groups is not None
        self.assertEqual("out+ann$@x.org", insert("${2}+$1$$@$(3)", groups))
        self.assertIsNone(pattern.match("ann@x.org"))
        self.assertEqual(("ab", ""), Pattern.parse("ab(c)?").match("ab"))

    def test_references(self) -> None:
        check_references("$1 ${2} $(2) $$ $0", 2)
        for value in ("$3", "${3}", "$", "a$b"):
            self.assertRaises(Wrong, check_references, value, 2)

    def test_no_utf8(self) -> None:
        self.assertIsNone(Pattern.parse("^a").match("a\ud800@x.org"))
        self.assertRaises(Wrong, Pattern.parse, "\ud800")

    def test_time(self) -> None:
        """What makes others need longer than the world will last is answered at once."""
        for text in (
            r"^(a+)+$",
            r"^(a|a)*$",
            r"^(.*)*(.*)*(.*)*@$",
            r"(x+x+)+y",
            r"^(([a-z])+.)+[A-Z]([a-z])+$",
        ):
            pattern = Pattern.parse(text)
            began = time.process_time()
            self.assertIsNone(pattern.match("a" * 64 + "@" + "a" * 200 + "!"))
            self.assertLess(time.process_time() - began, 0.5, text)


class FileTests(SynchronousTestCase):
    """Lines, and what is wrong with them."""

    def test_lines(self) -> None:
        found = parse_map(
            "# comment\na@x.org  one\n  two\n\n/^a b/ three\n@x.org\tfour\n", "f", lambda k, t: t
        )
        self.assertEqual(
            [("a@x.org", "one two", "f:2"), ("/^a b/", "three", "f:5"), ("x.org", "four", "f:6")],
            [(entry.key.text, entry.value, entry.place) for entry in found],
        )

    def test_mistakes(self) -> None:
        """Each with its line, and a remedy."""
        text = (
            "ann ann@x.org\n"  # no @
            "@x.org\n"  # leads nowhere
            "/(/ a@x.org\n"
            "/^(a)@/ $2@x.org\n"
            "b@x.org bob\n"
            "b@x.org c@x.org\n"  # twice
            "c@x.org d@x.org\n"
            "d@x.org e@x.org\n"
            "e@x.org c@x.org\n"  # a circle of three
            "@y.org @z.org\n"
            "@z.org @y.org\n"
        )
        error = self.assertRaises(
            FileError, parse_map, text, "virtual", rewrite_targets, rewrite_key, find_circles
        )
        said = str(error).splitlines()
        self.assertEqual(
            [1, 2, 3, 4, 5, 6, 7, 10], [problem.line for problem in error.problems], "\n".join(said)
        )
        self.assertIn("virtual:1: ann has no @: write a whole address, or @ann for a domain", said[0])
        self.assertIn("no regular expression", said[2])
        self.assertIn("$2", said[3])
        self.assertIn("a circle: c@x.org → d@x.org → e@x.org → c@x.org", said[6])
        self.assertIn("a circle: y.org → z.org → y.org", said[7])

    def test_flags(self) -> None:
        error = self.assertRaises(FileError, parse_map, "/^a/i b@x.org\n", "virtual", rewrite_targets)
        self.assertIn("no flags are needed", str(error))

    def test_itself_is_no_circle(self) -> None:
        text = "a@x.org a@x.org\nb@x.org b@x.org, c@x.org\n"
        self.assertEqual(2, len(parse_map(text, "f", rewrite_targets, rewrite_key, find_circles)))


class BuilderTests(SynchronousTestCase):
    """Tables and files together."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.clock = Clock()

    def builder(self) -> MapBuilder[str]:
        return MapBuilder("route", self.base, self.clock, at_once, lambda place: "mta.toml:7", lambda k, t: t)

    def found(self, builder: MapBuilder[Any], address: str) -> Any:
        hit = builder.map.find(parse_address(address))
        return hit and (hit.entry.value, hit.entry.place)

    def test_order(self) -> None:
        """In the order of the tables; a domain counts less than an address wherever it stands."""
        (self.base / "map").write_text("a@x.org file\n* last\n")
        builder = self.builder()
        builder.add(0, ["x.org"], "table", "to", "")
        builder.add(1, [], "", "to", "map")
        self.assertEqual(("file", f"{self.base}/map:1"), self.found(builder, "a@x.org"))
        self.assertEqual(("table", "mta.toml:7"), self.found(builder, "b@x.org"))
        self.assertEqual(("last", f"{self.base}/map:2"), self.found(builder, "b@y.org"))

    def test_changed(self) -> None:
        """A change counts within two questions; a broken one does not."""
        path = self.base / "map"
        path.write_text("a@x.org one\n")
        builder = self.builder()
        builder.add(0, [], "", "to", "map")
        for text, wanted in (("a@x.org two!\n", "two!"), ("/(/ three\n", "two!"), ("a@x.org four\n", "four")):
            (self.base / "new").write_text(text)
            os.replace(self.base / "new", path)
            self.clock.advance(2)
            self.found(builder, "a@x.org")
            self.assertEqual(wanted, self.found(builder, "a@x.org")[0])
        path.write_text("/(/ x\n")
        failure = self.failureResultOf(Deferred.fromCoroutine(builder.files[0].reload()), FileError)
        self.assertIn(f"{path}:1", str(failure.value))
        self.flushLoggedErrors()

    def test_kept(self) -> None:
        """At a reload a file that is in use is not read where everybody would wait for it."""
        (self.base / "map").write_text("a@x.org one\n")
        first = self.builder()
        first.add(0, [], "", "to", "map")
        (self.base / "map").write_text("a@x.org another\n")
        second = self.builder()
        second.kept = {file.path: file for file in first.files}
        second.add(0, [], "", "to", "map")
        self.assertEqual("one", self.found(second, "a@x.org")[0])
        self.successResultOf(Deferred.fromCoroutine(second.files[0].reload()))
        self.assertEqual("another", self.found(second, "a@x.org")[0])

    def test_mistakes(self) -> None:
        builder = self.builder()
        builder.add(0, ["x.org"], "a", "to", "map")
        builder.add(1, [], "", "to", "")
        builder.add(2, ["/(/"], "a", "to", "")
        builder.add(3, [], "", "to", "missing")
        self.assertEqual(
            [("route", 0, "match"), ("route", 1), ("route", 2, "match")],
            [place for place, _, _ in builder.table_problems],
        )
        self.assertIn("cannot be read", builder.file_problems[0].what)
