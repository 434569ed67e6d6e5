"""Whatever stands in an alias file or comes from the DNS: an answer or a told error."""

from __future__ import annotations

import contextlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.route.alias_syntax import AliasParser
from mta.route.dns_message import Question, ServerTrouble
from mta.route.domain_name import domain_name
from mta.route.file_problem import FileError
from mta.route.next_hop import parse_next_hop
from tests.route.dns_answers import answer

RUN = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PIECES = st.sampled_from(
    [
        "a",
        "b",
        ":",
        ",",
        '"',
        "\\",
        "|",
        "/",
        "@",
        "#",
        "\n",
        "\n ",
        " ",
        ":include:x",
        "\0",
        "ü",
        "\ud800",
        "[",
        "]",
    ]
)


def include(path: str) -> str:
    """An include file that includes itself."""
    return f"ann, :include:{path}\n"


class HostileTests(SynchronousTestCase):
    """Parsers fail only as they say they do."""

    @RUN
    @given(st.lists(PIECES, max_size=30).map("".join))
    def test_aliases(self, text: str) -> None:
        parser = AliasParser("aliases", "here.test", lambda path: "ann\nbob, carl", frozenset({"a"}))
        with contextlib.suppress(FileError):
            for key, entry in parser.parse(text).items():
                self.assertEqual(key, entry.address)
                self.assertTrue(entry.targets)

    def test_include_in_include(self) -> None:
        """A file cannot include itself."""
        parser = AliasParser("aliases", "here.test", include)
        self.assertIn(":include:", str(self.assertRaises(FileError, parser.parse, "a: :include:x")))

    @RUN
    @given(st.data())
    def test_answers(self, data: st.DataObject) -> None:
        """An answer with some octets changed, or cut off."""
        kind = data.draw(st.sampled_from(["MX", "A", "TXT", "PTR"]))
        value = {"MX": "5 mx.far.test.", "A": "192.0.2.1", "TXT": '"a" "b"', "PTR": "x.far.test."}[kind]
        question = Question("far.test", kind)
        octets = bytearray(
            answer(
                question.octets, f"far.test. 60 IN {kind} {value}", "far.test. 60 IN CNAME b.test.", minimum=5
            )
        )
        for _ in range(data.draw(st.integers(0, 4))):
            octets[data.draw(st.integers(2, len(octets) - 1))] = data.draw(st.integers(0, 255))
        cut = bytes(octets[: data.draw(st.integers(12, len(octets)))])
        with contextlib.suppress(ServerTrouble):
            records = question.read(cut)
            self.assertGreaterEqual(records.ttl, 0)

    @RUN
    @given(st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=20).map("".join)))
    def test_names(self, text: str) -> None:
        for read in (parse_next_hop, domain_name):
            with contextlib.suppress(ValueError):
                read(text)
