"""Whether an address has a name in the DNS that leads back, and says that name."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import NoSuchDomain, TemporarilyUnavailable
from mta.route.reverse_names import Finding, look_at

ADDRESS = "11.22.33.44"


class Names:
    """A resolver with a table."""

    def __init__(self, reverse: Any, addresses: dict[str, list[str]]) -> None:
        self._reverse, self._addresses = reverse, addresses

    async def reverse(self, address: str) -> list[str]:
        if isinstance(self._reverse, Exception):
            raise self._reverse
        found: list[str] = self._reverse
        return found

    async def addresses(self, host: str) -> list[str]:
        if host not in self._addresses:
            raise NoSuchDomain(host)
        return self._addresses[host]


class ReverseTests(SynchronousTestCase):
    def look(self, reverse: Any, addresses: dict[str, list[str]], address: str = ADDRESS) -> Finding:
        names: Any = Names(reverse, addresses)
        found: Finding = self.successResultOf(
            Deferred.fromCoroutine(look_at(names, address, "Mail-A.example.org"))
        )
        return found

    def test_table(self) -> None:
        there, elsewhere = [ADDRESS], ["55.66.77.88"]
        table: list[tuple[Any, dict[str, list[str]], str, str]] = [
            (["mail-a.example.org."], {"mail-a.example.org": there}, "good", "which leads back to it"),
            (["x.isp.test", "mail-a.example.org"], {"mail-a.example.org": there}, "good", "leads back"),
            ([], {}, "bad", "has no name in the DNS"),
            (NoSuchDomain("x"), {}, "bad", "has no name in the DNS"),
            (["mail-a.example.org"], {"mail-a.example.org": elsewhere}, "bad", "does not lead back"),
            (["mail-a.example.org"], {}, "bad", "does not lead back"),
            (
                ["x.isp.test"],
                {"x.isp.test": there},
                "bad",
                "says Mail-A.example.org in EHLO, but is called x.isp.test",
            ),
            (
                ["x.isp.test"],
                {"x.isp.test": there, "Mail-A.example.org": there},
                "bad",
                "which leads to it, but is called x.isp.test",
            ),
            (TemporarilyUnavailable("timeout"), {}, "unknown", "does not answer"),
        ]
        for reverse, addresses, state, words in table:
            found = self.look(reverse, addresses)
            self.assertEqual(state, found.state, found)
            self.assertIn(words, found.what)
            self.assertEqual(state != "good", bool(found.remedy), found)

    def test_ipv6(self) -> None:
        """However it is written."""
        found = self.look(
            ["mail-a.example.org"], {"mail-a.example.org": ["2a00:1450:0:0::1"]}, "2a00:1450::1"
        )
        self.assertEqual("good", found.state)

    def test_behind_something(self) -> None:
        found = self.look(["mail-a.example.org"], {}, "10.0.0.1")
        self.assertEqual(("unknown", True), (found.state, "not seen on the internet" in found.what))
