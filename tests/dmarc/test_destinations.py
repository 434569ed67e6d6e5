"""Reports go where the domain wants them, and where somebody else wants them, too."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from twisted.trial.unittest import SynchronousTestCase

from mta.dmarc.destinations import Destinations, destinations
from mta.dmarc.discovery import Answer, DnsTrouble
from mta.dmarc.record import parse_record

_NONE: Mapping[str, str | None] = MappingProxyType({})


class DestinationsTests(SynchronousTestCase):
    """The example is that of RFC 9990, 3."""

    def find(
        self, rua: str, names: Mapping[str, str | None] = _NONE, domain: str = "blue.example.com"
    ) -> Destinations:
        """``None``: the DNS does not answer."""
        record = parse_record(f"v=DMARC1; p=none; rua={rua}".encode())
        assert record is not None
        self.asked: list[str] = []
        asking = destinations(domain, record)
        try:
            question = next(asking)
            while True:
                self.asked.append(question.name)
                value = names.get(question.name, "")
                answer = (
                    Answer(trouble="SERVFAIL")
                    if value is None
                    else Answer(tuple(v.encode() for v in value.split("|") if v))
                )
                question = asking.send(answer)
        except StopIteration as end:
            found: Destinations = end.value
            return found

    def test_own(self) -> None:
        self.assertEqual(("a@blue.example.com",), self.find("mailto:a@blue.example.com").addresses)
        self.assertEqual([], self.asked)

    def test_organization(self) -> None:
        """Of the same organization: no agreement is needed."""
        names = {"_dmarc.example.com": "v=DMARC1; p=none"}
        self.assertEqual(("a@red.example.com",), self.find("mailto:a@red.example.com", names).addresses)
        self.assertFalse([name for name in self.asked if "_report" in name])

    def test_agreed(self) -> None:
        for said in ("v=DMARC1", "v=DMARC1;", "spam|v=DMARC1; x=y"):
            found = self.find(
                "mailto:reports@red.example.net",
                {"blue.example.com._report._dmarc.red.example.net": said},
            )
            self.assertEqual(("reports@red.example.net",), found.addresses, said)

    def test_not_agreed(self) -> None:
        for said in ("", "v=spf1 -all", "DMARC1"):
            found = self.find(
                "mailto:a@blue.example.com,mailto:reports@red.example.net",
                {"blue.example.com._report._dmarc.red.example.net": said},
            )
            self.assertEqual(("a@blue.example.com",), found.addresses)
            self.assertIn("red.example.net does not say", found.refused[0])

    def test_instead(self) -> None:
        """Another address of the same host, and no other one."""
        name = "blue.example.com._report._dmarc.red.example.net"
        found = self.find(
            "mailto:reports@red.example.net", {name: "v=DMARC1; rua=mailto:new@red.example.net"}
        )
        self.assertEqual(("new@red.example.net",), found.addresses)
        found = self.find("mailto:reports@red.example.net", {name: "v=DMARC1; rua=mailto:ann@victim.test"})
        self.assertEqual((), found.addresses)

    def test_too_long(self) -> None:
        domain = ".".join(["a" * 60] * 4)
        self.assertEqual((), self.find("mailto:a@red.example.net", domain=domain).addresses)
        self.assertEqual([], self.asked)

    def test_no_answer(self) -> None:
        with self.assertRaises(DnsTrouble):
            self.find("mailto:a@red.test", {"blue.example.com._report._dmarc.red.test": None})

    def test_other_schemes(self) -> None:
        found = self.find("https://blue.example.com/r,mailto:a@blue.example.com")
        self.assertEqual((("a@blue.example.com",), 1), (found.addresses, len(found.refused)))
