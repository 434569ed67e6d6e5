"""pyspf beside ours, over generated domains: the same result, or a difference that the RFC explains.

``make oracle`` plays 5,000 messages, ``make test`` some of them.
"""

from __future__ import annotations

import os
import random
import socket
import warnings
from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.judge.spf.evaluation import Identity
from tests.judge.spf.zone import Zone

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import spf

MESSAGES = int(os.environ.get("MTA_ORACLE", "1000"))
SEED = 7208
#: What pyspf says where it does otherwise, and by which words of the RFC we do not.
EXPLAINED = {
    "include has trivial recursion": "a circle ends at the limit of look-ups, if it is reached (4.6.4)",
    "Void lookup limit": "what counts are terms that find nothing, not each of their questions (4.6.4)",
    "foo= MUST appear at most once": "what nobody knows is passed over, how often it may stand there (6)",
}
NAMES = ["a.test", "b.test", "c.test", "d.test"]
TARGETS = [
    *(*NAMES, "zz.test", "%{d}", "%{o}", "%{h}", "%{p}", "%{l}.d.test"),
    *("%{ir}.%{v}.c.test", "%{d1r}.test", "%{lr-}.%{d2}"),
]
WRONG = [
    "all:x",
    "ip4:1.2.3",
    "a:",
    "include",
    "mx/33",
    "a//129",
    "exists:%{z}.test",
    "ip6:::1/64",
    "ptr:b..test",
]
NETWORKS = [
    "ip4:192.0.2.0/24",
    "ip4:198.51.100.0/25",
    "ip4:10.0.0.1/8",
    "ip6:2001:db8::/32",
    "ip6:2001:db8::9",
]


class Domains:
    """Domains with records of all sorts."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.zone: dict[str, list[dict[str, Any]]] = {name: list(self._records()) for name in NAMES}
        names = [*NAMES, "x.b.test"]
        for reverse in ("1.2.0.192.in-addr.arpa", f"1.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa"):
            self.zone[reverse] = [{"PTR": chance.choice(names)} for _ in range(chance.choice([0, 1, 2, 11]))]
        self.zone["x.b.test"] = [{"A": "192.0.2.1"}]
        self.zone["ann-x.d.test"] = [{"A": "127.0.0.2"}]

    def _term(self) -> str:
        chance = self._chance
        kind = chance.random()
        if kind < 0.06:
            return f"{chance.choice(['redirect', 'exp'])}={chance.choice(TARGETS)}"
        if kind < 0.08:
            return chance.choice([*WRONG, "foo=%{s}"])
        name = chance.choice(["a", "a", "mx", "mx", "ptr", "include", "include", "exists", "all", "ip"])
        term = chance.choice(["", "", "", "-", "~", "?", "+"])
        if name == "ip":
            return term + chance.choice(NETWORKS)
        term += name
        if name in ("include", "exists") or (name != "all" and chance.random() < 0.6):
            term += f":{chance.choice(TARGETS)}"
        if name in ("a", "mx") and chance.random() < 0.3:
            term += chance.choice(["/24", "//64", "/24//64", "/0", "/32"])
        return term

    def _records(self) -> Iterator[dict[str, Any]]:
        chance = self._chance
        for _ in range(chance.choice([0, 1, 1, 1, 1, 1, 1, 2])):
            yield {
                "TXT": " ".join(["v=spf1", *(self._term() for _ in range(chance.choice([0, 1, 2, 3, 4, 6])))])
            }
        for _ in range(chance.choice([0, 1, 2])):
            yield {"A": chance.choice(["192.0.2.1", "192.0.2.77", "198.51.100.3"])}
        for _ in range(chance.choice([0, 1])):
            yield {"AAAA": chance.choice(["2001:db8::1", "2001:db8:5::7"])}
        for preference in range(chance.choice([0, 1, 1, 2, 3, 11])):
            yield {"MX": [preference, chance.choice(NAMES)]}


class OracleTests(SynchronousTestCase):
    """pyspf and we."""

    def theirs(self, zone: dict[str, list[dict[str, Any]]], client: str) -> tuple[str, str]:
        """pyspf's result, and what is wrong by it."""

        def look_up(name: str, kind: str, *_: Any, **__: Any) -> list[Any]:
            found: list[Any] = []
            for record in zone.get(name.lower().rstrip("."), []):
                for type_, value in record.items():
                    if type_ == kind:
                        if kind == "AAAA":
                            value = socket.inet_pton(socket.AF_INET6, value)
                        elif kind == "TXT":
                            value = (value.encode(),)
                        found.append(((name, kind), tuple(value) if kind == "MX" else value))
            return found

        self.patch(spf, "DNSLookup", look_up)
        query = spf.query(i=client, s="ann-x@a.test", h="b.test", strict=True)
        result = query.check()[0]
        return result, str(getattr(query, "perm_error", ""))

    def test_same_result(self) -> None:
        chance = random.Random(SEED)
        results: set[str] = set()
        for number in range(MESSAGES):
            zone = Domains(chance).zone
            client = chance.choice(["192.0.2.1", "192.0.2.1", "2001:db8::1"])
            ours = Zone(zone).check(Identity(client, "a.test", "ann-x@a.test", "b.test"))
            result, wrong = self.theirs(zone, client)
            results.add(ours.result)
            if result != ours.result:
                explained = any(words in wrong for words in EXPLAINED)
                self.assertTrue(
                    explained, f"{number}: {ours.result}, not {result}: {ours.reason}; {wrong}\n{zone}"
                )
        self.assertEqual({"none", "neutral", "pass", "fail", "softfail", "permerror"}, results)
