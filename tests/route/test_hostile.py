"""Whatever stands in an alias file or comes from the DNS: an answer or a told error."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.deliver.passwords import parse_passwords
from mta.model.address import AddressError, parse_address
from mta.route.address_map import Layers
from mta.route.alias_syntax import AliasParser
from mta.route.dns_message import Question, ServerTrouble
from mta.route.domain_name import domain_name
from mta.route.file_problem import FileError
from mta.route.maps import parse_map
from mta.route.next_hop import parse_next_hop
from mta.route.rewriting import Rewrites, find_circles, rewrite_key, rewrite_targets
from mta.route.way import Known, parse_way
from tests.route.dns_answers import answer

RUN = settings(max_examples=400)
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
MAP_PIECES = st.sampled_from(
    [
        *(
            "a@here.test",
            "@here.test",
            "@.b",
            "@*",
            "/",
            "(.*)",
            "^",
            "$",
            "$1",
            "${0}",
            "$$",
            " ",
            "\n",
            "\n ",
            "#",
        ),
        *(
            "a:",
            "relay:",
            "error:",
            "5.1.1",
            "[",
            "]",
            ":25",
            "*",
            ",",
            '"',
            "\\",
            "\0",
            "ü",
            "\ud800",
            "b",
            "@",
        ),
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

    @RUN
    @given(
        st.lists(MAP_PIECES, max_size=30).map("".join), st.sampled_from(["a@here.test", '"a$1 b"@b', "ü@ü"])
    )
    def test_maps(self, text: str, written: str) -> None:
        """A map is wrong, or answers; what comes out of it is an address, or told to be none."""
        address = parse_address(written)
        with contextlib.suppress(FileError):
            found = parse_map(text, "virtual", rewrite_targets, rewrite_key, find_circles)
            rewrites = Rewrites(Layers([lambda: found]))
            with contextlib.suppress(AddressError):
                answer = rewrites.of_address(address, "+") or rewrites.of_domain(address)
                for target in answer.targets if answer else ():
                    self.assertEqual(target, parse_address(str(target)))
        with contextlib.suppress(FileError):
            known = {"relay": Known("relay"), "a": Known("pipe")}
            ways = parse_map(text, "transport", lambda key, value: parse_way(value, known))
            hit = ways.find(address, "+")
            if hit is not None and hit.entry.value.kind == "go":
                hit.entry.value.route(address)
        with contextlib.suppress(ValueError):
            parse_passwords(text, "passwords")

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
