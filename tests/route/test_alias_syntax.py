"""What aliases(5) says, and how its mistakes are told."""

from __future__ import annotations

from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from mta.route.alias_syntax import MAX_TARGETS, AliasEntry, AliasParser
from mta.route.file_problem import FileError

INCLUDES = {
    "members": "# the members\nann\nbob@far.test, carl\n\r\n",
    "bad": "ann\n|filter\na b c\n",
    "long": "\n".join(f"user{number}@far.test" for number in range(MAX_TARGETS + 1)),
}


def read(path: str) -> str:
    if path not in INCLUDES:
        raise FileNotFoundError(2, "No such file or directory", path)
    return INCLUDES[path]


def parse(text: str) -> dict[str, AliasEntry]:
    return AliasParser("aliases", "here.test", read, frozenset({"filter", "tickets"})).parse(text)


def shown(entry: AliasEntry) -> list[str]:
    return [f"{target.kind} {target.value}" for target in entry.targets]


class GoodTests(SynchronousTestCase):
    """Files without mistakes."""

    TABLE: ClassVar = {
        "a: b": ["address b@here.test"],
        "a:b": ["address b@here.test"],
        "a : b , c,": ["address b@here.test", "address c@here.test"],
        "a: b,\n  c,\n\td": ["address b@here.test", "address c@here.test", "address d@here.test"],
        "a: b,\n# between\n\n  # indented\n c": ["address b@here.test", "address c@here.test"],
        "a: b\r\n": ["address b@here.test"],
        "\ufeffa: b": ["address b@here.test"],
        "a: b, b, B@here.test": ["address b@here.test", "address B@here.test"],
        "a: x@Far.Test": ["address x@far.test"],
        "a: \\a, x@far.test": ["mailbox a@here.test", "address x@far.test"],
        'a: "\\a"': ["mailbox a@here.test"],
        "a: \\x@far.test": ["mailbox x@far.test"],
        "a: |filter": ["pipe filter"],
        'a: "|filter"': ["pipe filter"],
        'a: "| tickets "': ["pipe tickets"],
        "a: /srv/mail/a/": ["maildir /srv/mail/a/"],
        'a: "/srv/my mail/a/"': ["maildir /srv/my mail/a/"],
        'a: "ann smith"': ['address "ann smith"@here.test'],
        'a: "ann smith"@far.test': ['address "ann smith"@far.test'],
        'a: "x, y"@far.test, z': ['address "x, y"@far.test', "address z@here.test"],
        'a: "b@far.test"': ["address b@far.test"],
        "a: :include:members": ["address ann@here.test", "address bob@far.test", "address carl@here.test"],
        'a: z, ":include: members"': [
            "address z@here.test",
            "address ann@here.test",
            "address bob@far.test",
            "address carl@here.test",
        ],
        "a: jürgen": ["address jürgen@here.test"],
        "A+Spam: b": ["address b@here.test"],
    }

    def test_targets(self) -> None:
        for text, expected in self.TABLE.items():
            with self.subTest(text):
                (entry,) = parse(text).values()
                self.assertEqual(expected, shown(entry))

    def test_names(self) -> None:
        """A name is found whatever its case, and may be quoted or a whole address."""
        for text, key in {
            "Sales: x": "sales@here.test",
            "sales@here.test: x": "sales@here.test",
            "Sales@Other.Test: x": "sales@other.test",
            '"sales": x': "sales@here.test",
            '"a b": x': '"a b"@here.test',
            '"a:b": x': '"a:b"@here.test',
            "a+b: x": "a+b@here.test",
        }.items():
            with self.subTest(text):
                self.assertEqual([key], list(parse(text)))

    def test_nothing(self) -> None:
        self.assertEqual({}, parse("# only a comment\n\n   \n"))
        self.assertEqual({}, parse(""))

    def test_place(self) -> None:
        """An entry knows the line that it begins in."""
        entries = parse("# one\na: b,\n c\n\nd: e")
        self.assertEqual("aliases:2", entries["a@here.test"].place)
        self.assertEqual("aliases:5", entries["d@here.test"].place)

    def test_owner(self) -> None:
        """``owner-NAME`` takes the bounces of NAME, and is an alias of its own."""
        entries = parse("list: a, b\nowner-list: boss@far.test\nOther: c")
        self.assertEqual("owner-list@here.test", entries["list@here.test"].owner)
        self.assertEqual("", entries["other@here.test"].owner)
        self.assertEqual("", entries["owner-list@here.test"].owner)
        self.assertEqual(["address boss@far.test"], shown(entries["owner-list@here.test"]))


class BadTests(SynchronousTestCase):
    """Mistakes: each with its file and line, what it is, and what to do."""

    TABLE: ClassVar = {
        "just words": ("aliases:1: no colon behind the name", "NAME: TARGET"),
        ": b": ("aliases:1: no name", "NAME: TARGET"),
        "a:": ("aliases:1: the alias leads nowhere", "at least one"),
        "a: , ,": ("aliases:1: the alias leads nowhere", "at least one"),
        "a: b\n\nA: c": ("aliases:3: a@here.test stands here twice, first in line 1", "join"),
        "@here.test: b": ("aliases:1: @here.test", "catch_all"),
        "a: |/usr/bin/vacation ann": ("|/usr/bin/vacation ann", "[[transport]]"),
        'a: "|exit 75"': ("|exit 75", "[[transport]]"),
        'a: |"filter x"': ('|"filter x"', "filter, tickets"),
        "a: /var/mail/a": ("/var/mail/a is a file", "slash"),
        "a: /srv/../../etc/": ("/srv/../../etc/", "slash"),
        "a: /dev/null": ("would lose mail", "leave the alias out"),
        "a: :blackhole:": (":blackhole: is not known", ":include:"),
        "a: b c": ("not a valid local part", "commas"),
        "a: b # comment": ("not a valid local part", "line of its own"),
        "a: Ann <ann@far.test>": ("not a valid local part", "angle brackets"),
        "a: b@": ("an address is local-part@domain", "write"),
        "a: b@far test": ("is no domain name", "write"),
        "a: b@far.test\rx": ("control characters", "write"),
        'a: "b\rRCPT TO:<x@y>"@far.test': ("control characters", "write"),
        "a: b@[far.test]": ("no IP address", "write"),
        f"a: {'x' * 65}": ("longer than 64", "write"),
        'a: "b': ("a quote has no end", "close it"),
        "a: :include:gone": ("gone cannot be included", "mend the path"),
        "a: :include:bad": ("bad:2: |filter stands in an include file", "alias itself"),
        "a: :include:long": (f"more than {MAX_TARGETS} targets", "split"),
    }

    def test_mistakes(self) -> None:
        for text, (what, remedy) in self.TABLE.items():
            with self.subTest(text):
                error = self.assertRaises(FileError, parse, text)
                self.assertIn(what, str(error))
                self.assertIn(remedy, str(error))

    def test_all_at_once(self) -> None:
        """Every mistake is told, not just the first."""
        error = self.assertRaises(FileError, parse, "a: /dev/null\nb: c\nd:\ne: :include:bad\n")
        self.assertEqual(
            [("aliases", 1), ("aliases", 3), ("bad", 2), ("bad", 3)],
            [(problem.file, problem.line) for problem in error.problems],
        )

    def test_no_transports(self) -> None:
        """Without any pipe the text says so."""
        parser = AliasParser("aliases", "here.test", read)
        self.assertIn("there is none yet", str(self.assertRaises(FileError, parser.parse, "a: |x")))
