from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.judge.spf.evaluation import Finding, Identity
from tests.judge.spf.test_record import records
from tests.judge.spf.zone import Zone

BOUNDED = settings(max_examples=300)
RESULTS = ("none", "neutral", "pass", "fail", "softfail", "temperror", "permerror")


def found(zone: dict[str, Any], client: str = "192.0.2.1", sender: str = "ann@a.test") -> Finding:
    """What comes of a message."""
    return Zone(zone).check(Identity(client, sender.rpartition("@")[2], sender, "mx.a.test", "mx.us.test", 7))


class EvidenceTests(SynchronousTestCase):
    """A finding says what it rests on."""

    def test_chain(self) -> None:
        zone = {
            "a.test": [{"TXT": "v=spf1 include:b.test redirect=c.test"}],
            "b.test": [{"TXT": "v=spf1 ip4:198.51.100.0/24 ~all"}],
            "c.test": [{"TXT": "v=spf1 ?mx -all"}, {"MX": [10, "m.c.test"]}],
            "m.c.test": [{"A": "192.0.2.9"}],
        }
        finding = found(zone)
        self.assertEqual("fail", finding.result)
        self.assertEqual("-all", finding.mechanism)
        self.assertEqual("192.0.2.1 may not send: -all in the record of c.test", finding.reason)
        self.assertEqual(["a.test", "b.test", "c.test"], [step.domain for step in finding.chain])
        self.assertEqual("v=spf1 ?mx -all", finding.chain[-1].record)
        self.assertEqual(3, finding.lookups)
        self.assertIn("is left open: ?mx", found(zone, "192.0.2.9").reason)
        passed = found(zone, "198.51.100.7")
        self.assertEqual(
            ("pass", ["a.test", "b.test"]), (passed.result, [step.domain for step in passed.chain])
        )
        # What was included in vain does not tell why it passes.
        zone["c.test"] = [{"TXT": "v=spf1 include:b.test +all"}]
        passed = found(zone)
        self.assertEqual(
            ("pass", ["a.test", "c.test"]), (passed.result, [step.domain for step in passed.chain])
        )

    def test_reasons(self) -> None:
        """Every result has one that a person can use."""
        for record, result, words in (
            ("v=spf1", "neutral", "does not mention 192.0.2.1"),
            ("v=spf1 a:down.test", "temperror", "A records of down.test cannot be had: nobody answers"),
            ("v=spf1 ip4:1.2", "permerror", "'ip4:1.2': '1.2' is no address"),
            ("v=spf1 include:x.test", "permerror", "includes that of x.test, which has none"),
            ("v=spf1 redirect=x.test", "permerror", "redirects to x.test, which has none"),
            ("v=spf1 include:a.test", "permerror", "more than 10 mechanisms ask the DNS"),
            ("v=spf1 redirect=a.test", "permerror", "more than 10 mechanisms ask the DNS"),
            (
                "v=spf1 a:x.test a:y.test exists:z.test -all",
                "permerror",
                "more than 2 mechanisms find nothing in the DNS, the last one exists:z.test",
            ),
            ("v=spf1 mx:many.test", "permerror", "many.test has more than 10 MX hosts"),
        ):
            zone: dict[str, Any] = {
                "a.test": [{"TXT": record}],
                "down.test": ["TIMEOUT"],
                "many.test": [{"MX": [number, f"m{number}.test"]} for number in range(11)],
            }
            finding = found(zone)
            self.assertEqual(result, finding.result, record)
            self.assertIn(words, finding.reason)
        self.assertEqual("a.test publishes no SPF record", found({}).reason)
        self.assertIn("publishes 2 SPF records", found({"a.test": [{"TXT": "v=spf1"}] * 2}).reason)
        self.assertIn("a.test cannot be had: nobody answers", found({"a.test": ["TIMEOUT"]}).reason)

    def test_no_domain(self) -> None:
        for domain in ("", "localhost", "a..test", "x" * 64 + ".test", "[192.0.2.1]"):
            self.assertEqual("none", found({}, sender=f"ann@{domain}").result)

    def test_explanation(self) -> None:
        """It is the domain's; what the client said in it harms nobody."""
        zone = {
            "a.test": [{"TXT": "v=spf1 -all exp=why.a.test"}],
            "why.a.test": [{"TXT": "%{l} at %{c} may not, says %{r} at %{t}"}],
        }
        self.assertEqual("ann at 192.0.2.1 may not, says mx.us.test at 7", found(zone).explanation)
        self.assertEqual(
            "a?? ? at 192.0.2.1 may not, says mx.us.test at 7",
            found(zone, sender="a\r\n é@a.test".replace(" ", " ")).explanation,
        )

    def test_mapped_client(self) -> None:
        """An IPv4 client is one, whatever the socket calls it."""
        zone = {"a.test": [{"TXT": "v=spf1 ip4:192.0.2.1 -all"}]}
        self.assertEqual("pass", found(zone, "::ffff:192.0.2.1").result)
        self.assertEqual("fail", found(zone, "fe80::1%eth0").result)

    def test_name_of_the_client_counts(self) -> None:
        """Each is looked up once, and the look-up counts (4.6.4)."""
        zone = {"a.test": [{"TXT": "v=spf1 exists:%{p}.x.test exists:%{p}.y.test -all"}]}
        finding = found(zone)
        self.assertEqual(("fail", 3), (finding.result, finding.lookups))


NAMES = [f"{letter}.test" for letter in "abc"]
ADDRESS = st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"])
TERM = st.one_of(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["", "-", "~", "?"]),
        st.sampled_from(
            ["a", "mx", "ptr", "include", "exists", "all", "ip4:192.0.2.0/31", "ip6:2001:db8::/64"]
        ),
        st.sampled_from(
            ["", *(f":{name}" for name in NAMES), ":%{ir}.%{v}.%{p}.b.test", ":%{l}.%{d1}", "/24//64"]
        ),
    ),
    st.builds(
        "{}={}".format,
        st.sampled_from(["redirect", "exp", "x"]),
        st.sampled_from([*NAMES, "%{s}", "%{h}.test"]),
    ),
)
RECORD = st.one_of(
    st.lists(TERM, max_size=13).map(lambda terms: "v=spf1 " + " ".join(terms)),
    records().map(lambda octets: octets.decode("utf-8", "replace")),
)
DATA = st.one_of(
    st.just("TIMEOUT"),
    RECORD.map(lambda text: {"TXT": text}),
    ADDRESS.filter(lambda text: "." in text).map(lambda text: {"A": text}),
    ADDRESS.filter(lambda text: ":" in text).map(lambda text: {"AAAA": text}),
    st.sampled_from(NAMES).map(lambda name: {"MX": [10, name]}),
)
REVERSE = ["1.2.0.192.in-addr.arpa", f"1.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa"]


class FuzzTests(SynchronousTestCase):
    """Records of all sorts, over a small DNS."""

    @BOUNDED
    @given(
        st.dictionaries(st.sampled_from(NAMES), st.lists(DATA, max_size=14), max_size=3),
        st.lists(st.sampled_from([*NAMES, "", "x" * 70]).map(lambda name: {"PTR": name}), max_size=14),
        ADDRESS,
        st.text(max_size=20),
    )
    def test_anything(self, zone: dict[str, Any], names: list[Any], client: str, local: str) -> None:
        """There is a result, after so many questions at the most, and words that can be shown."""
        dns = Zone({**zone, **dict.fromkeys(REVERSE, names)})
        finding = dns.check(Identity(client, "a.test", f"{local}@a.test", "mx.a.test"))
        self.assertIn(finding.result, RESULTS)
        self.assertLessEqual(len(dns.asked), 10 * 11 + 11 + 11 + 1)
        for text in (finding.reason, finding.explanation, *(step.record for step in finding.chain)):
            self.assertTrue(text.isprintable() or "\xa0" in text or not text.isascii(), text)
            self.assertNotRegex(text, r"[\0-\x1f\x7f]")
