"""What `mta doctor` says of what our domains publish."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.loading import parse
from mta.interfaces import NoSuchDomain, TemporarilyUnavailable
from mta.publication import Publication

BASE = 'hostname = "mx.example.org"\n[domains."example.org"]\n'
GOOD = {
    ("example.org", "TXT"): [b"v=spf1 ip4:192.0.2.7 -all"],
    ("_dmarc.example.org", "TXT"): [b"v=DMARC1; p=none; rua=mailto:d@example.org"],
    ("mx.example.org", "A"): ["192.0.2.7"],
}


class Names:
    """Answers from a table; ``None``: not now."""

    def __init__(self, records: dict[tuple[str, str], Any]) -> None:
        self.records = records

    def find(self, name: str, kind: str) -> Any:
        found = self.records.get((name, kind), [])
        if found is None:
            raise TemporarilyUnavailable("SERVFAIL")
        if not found:
            raise NoSuchDomain(name)
        return found

    async def text(self, name: str) -> Sequence[bytes]:
        return self.find(name, "TXT")  # type: ignore[no-any-return]

    async def addresses(self, name: str) -> Sequence[str]:
        return self.find(name, "A")  # type: ignore[no-any-return]

    async def validated(self, name: str, kind: str) -> tuple[Any, bool]:
        return self.find(name, kind), False


class PublicationTests(SynchronousTestCase):
    def look(
        self,
        records: dict[tuple[str, str], Any],
        text: str = BASE,
        signed: Sequence[str] = ("example.org",),
        waiting: Sequence[str] = (),
    ) -> dict[str, tuple[str, str]]:
        names: Any = Names({**GOOD, **records})
        publication = Publication(Clock(), names, parse(text, Path("mta.toml")))
        found = self.successResultOf(Deferred.fromCoroutine(publication.findings(signed, waiting)))
        return {one["where"]: (one["state"], f"{one['what']} | {one['remedy']}") for one in found}

    def expect(self, found: dict[str, tuple[str, str]], where: str, state: str, *words: str) -> None:
        self.assertEqual(state, found[where][0], found)
        for word in words:
            self.assertIn(word, found[where][1])

    def test_good(self) -> None:
        found = self.look({})
        self.assertEqual({"spf example.org", "dmarc example.org"}, set(found))
        self.expect(found, "spf example.org", "good", "192.0.2.7 may send for it")
        self.expect(found, "dmarc example.org", "good", "asks for none", "reports go to d@example.org")

    def test_spf(self) -> None:
        """Each of our addresses must be allowed; what to write is said."""
        name = ("example.org", "TXT")
        for records, state, word in (
            ([b"v=spf1 ip4:192.0.2.8 -all"], "bad", "add ip4:192.0.2.7 to its SPF record"),
            ([b"v=spf1 ?all"], "bad", "neutral"),
            ([], "bad", "publishes no SPF record"),
            ([b"v=spf1 ip4:192.0.2.7 wat:x -all"], "bad", "cannot be followed"),
            (None, "unknown", "try again later"),
        ):
            self.expect(self.look({name: records}), "spf example.org", state, word)

    def test_egress(self) -> None:
        """Where mail leaves from other addresses, those count."""
        text = BASE + '[[egress]]\nname = "a"\nipv4 = "198.51.100.7"\n'
        self.expect(self.look({}, text), "spf example.org", "bad", "add ip4:198.51.100.7")
        records = {("example.org", "TXT"): [b"v=spf1 ip4:198.51.100.7 -all"]}
        self.expect(self.look(records, text), "spf example.org", "good", "198.51.100.7 may send")

    def test_smarthost(self) -> None:
        """Another server sends, whose addresses nobody knows here."""
        text = BASE + '[relay]\nsmarthost = "out.example.net:25"\n'
        self.expect(self.look({}, text), "spf example.org", "good", "not known here")
        self.expect(self.look({("example.org", "TXT"): []}, text), "spf example.org", "bad", "no SPF")

    def test_keys(self) -> None:
        self.expect(self.look({}, signed=()), "dkim example.org", "bad", "mta dkim new example.org")
        waiting = self.look({}, signed=(), waiting=("example.org",))
        self.expect(waiting, "dkim example.org", "bad", "`mta dkim publish example.org`", "mta dkim rotate")
        self.assertNotIn("dkim example.org", self.look({}, BASE + "[dkim]\nsign = false\n", ()))

    def test_dmarc(self) -> None:
        name = ("_dmarc.example.org", "TXT")
        for records, state, word in (
            ([], "bad", "publishes no DMARC record"),
            ([b"v=DMARC1; p=refuse"], "bad", "p='refuse' is no policy"),
            ([b"v=DMARC1; p=none; rua=mailto:d@far.example"], "bad", "far.example does not say"),
            ([b"v=DMARC1; p=reject"], "good", "nobody gets reports"),
            (None, "unknown", "try again later"),
        ):
            self.expect(self.look({name: records}), "dmarc example.org", state, word)
        agreed = {
            name: [b"v=DMARC1; p=none; rua=mailto:d@far.example"],
            ("example.org._report._dmarc.far.example", "TXT"): [b"v=DMARC1"],
        }
        self.expect(self.look(agreed), "dmarc example.org", "good", "d@far.example")

    def test_organization(self) -> None:
        """The record of the domain above holds for one that has none."""
        text = 'hostname = "mx.example.org"\n[domains."news.example.org"]\n'
        found = self.look({("news.example.org", "TXT"): [b"v=spf1 a:mx.example.org -all"]}, text)
        self.expect(found, "dmarc news.example.org", "good", "the record of example.org asks for none")
        self.expect(found, "spf news.example.org", "good")

    def test_local(self) -> None:
        """Names of this machine alone are nobody's business."""
        self.assertEqual({}, self.look({}, '[domains."localhost"]\n'))

    def test_programs(self) -> None:
        """Whoever can fetch mail here should be found by programs that set themselves up."""
        text = BASE + '[listen]\nimaps = ["tcp:993"]\n'
        found = self.look({("autoconfig.example.org", "A"): ["192.0.2.1"]}, text)
        self.expect(found, "programs autoconfig.example.org", "good")
        self.expect(found, "programs autodiscover.example.org", "bad", "no address", "mta dns")
        found = self.look({}, text + "[client_setup]\nenabled = false\n")
        self.assertEqual([], [name for name in found if "programs" in name])
