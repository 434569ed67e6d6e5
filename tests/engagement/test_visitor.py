"""Who is a person."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.engagement.visitor import Visitor, known, visitor

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120 Safari/537.36"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"


class VisitorTests(SynchronousTestCase):
    """By table."""

    def look(self, **facts: Any) -> Visitor:
        values: dict[str, Any] = {
            "method": "GET",
            "agent": CHROME,
            "address": "192.0.2.7",
            "headers": {},
            "since_delivery": 3600.0,
            **facts,
        }
        return visitor(**values)

    def test_a_person(self) -> None:
        self.assertEqual(Visitor("human"), self.look())
        self.assertEqual(Visitor("human"), self.look(since_delivery=None, address="nonsense"))

    def test_proxies(self) -> None:
        self.assertEqual(Visitor("proxy", "gmail"), self.look(agent=GMAIL))
        self.assertEqual(Visitor("proxy", "apple"), self.look(agent="Mozilla/5.0"))
        self.assertEqual(Visitor("proxy", "apple"), self.look(address="17.58.101.2"))
        self.assertEqual(Visitor("proxy", "yahoo"), self.look(agent="YahooMailProxy; https://help.yahoo.com"))

    def test_scanners(self) -> None:
        for expected, facts in (
            ("HEAD", {"method": "HEAD"}),
            ("prefetch", {"headers": {"sec-purpose": "prefetch;prerender"}}),
            ("prefetch", {"headers": {"purpose": "preview"}}),
            ("barracuda", {"address": "64.235.150.1"}),
            ("microsoft", {"address": "::ffff:40.107.1.2"}),
            ("no user agent", {"agent": ""}),
            ("within seconds of delivery", {"since_delivery": 1.0}),
            ("before delivery", {"since_delivery": -1.0}),
            ("program", {"agent": "curl/8.5.0"}),
            ("preview", {"agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"}),
            ("configured network", {"scanners": [ip_network("192.0.2.0/24")]}),
        ):
            self.assertEqual(Visitor("scanner", expected), self.look(**facts), facts)

    def test_a_proxy_may_be_fast(self) -> None:
        self.assertEqual("proxy", self.look(agent=GMAIL, since_delivery=1.0).sort)

    def test_the_table(self) -> None:
        """Sorts are right, and what is looked for in lower case is written so."""
        of = known()
        sorts = {v.sort for _, v in (*of.agents, *of.networks)} | {v.sort for v in of.whole.values()}
        self.assertEqual({"proxy", "scanner"}, sorts)
