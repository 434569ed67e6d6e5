"""Records as they are published, well and badly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.dmarc.record import Record, mail_address, milder, parse_record, policy_record


def record(text: str) -> Record:
    found = parse_record(text.encode())
    assert found is not None, text
    return found


class RecordTests(SynchronousTestCase):
    def test_all_tags(self) -> None:
        found = record(
            "v=DMARC1; p=reject; sp=quarantine; np=none; adkim=s; aspf=s; psd=n; t=y; fo=1:d:s;"
            " rua=mailto:a@example.org!10m,https://example.org/x ; ruf=mailto:f@example.org; pct=20; x=1"
        )
        self.assertEqual(
            ("reject", "quarantine", "none"), (found.policy, found.subdomains, found.nonexistent)
        )
        self.assertTrue(found.strict_dkim and found.strict_spf and found.is_testing)
        self.assertEqual(("n", "1:d:s"), (found.psd, found.fo))
        self.assertEqual(("mailto:a@example.org", "https://example.org/x"), found.aggregate)
        self.assertEqual(("mailto:f@example.org",), found.failure)
        self.assertEqual((), found.faults)

    def test_defaults(self) -> None:
        found = record("v=DMARC1;p=none")
        self.assertFalse(found.strict_dkim or found.strict_spf or found.is_testing)
        self.assertEqual(
            ("u", "0", (), None, None),
            (found.psd, found.fo, found.aggregate, found.subdomains, found.nonexistent),
        )

    def test_spelling(self) -> None:
        for text in (
            "v=DMARC1; p=reject",
            "v = DMARC1 ;p = REJECT;",
            "\tv=DMARC1;;P=Reject;",
            "v=DMARC1; adkim=r; p=reject",
        ):
            self.assertEqual("reject", record(text).policy, text)

    def test_no_record(self) -> None:
        for text in (
            "",
            "v=DMARC2; p=none",
            "v=dmarc1; p=none",
            "p=none; v=DMARC1",
            "v=DMARC1.",
            "v=DMARC10; p=none",
        ):
            self.assertIsNone(parse_record(text.encode()), text)

    def test_several(self) -> None:
        """Two records are none; others beside one do no harm."""
        one = b"v=DMARC1; p=reject"
        self.assertIsNotNone(policy_record([b"v=spf1 -all", one, b"google-site-verification=x"]))
        self.assertIsNone(policy_record([one, b"v=DMARC1; p=none"]))
        self.assertIsNone(policy_record([]))

    def test_faults(self) -> None:
        """Each is told, and the rest holds."""
        found = record("v=DMARC1; p=reject; adkim=x; psd=maybe; t=; fo=7; rua=mailto:,nonsense; what; p=none")
        self.assertEqual("reject", found.policy)
        self.assertEqual(8, len(found.faults), found.faults)
        self.assertTrue(found.is_applicable)

    def test_no_policy(self) -> None:
        """Without a policy that can be followed it counts only if it asks for reports (4.10.1)."""
        for text, applies, asks in (
            ("v=DMARC1", False, "none"),
            ("v=DMARC1; p=refuse", False, "none"),
            ("v=DMARC1; p=refuse; rua=mailto:a@b.test", True, "none"),
            ("v=DMARC1; rua=mailto:a@b.test", True, "none"),
            ("v=DMARC1; p=reject; sp=bad; rua=mailto:a@b.test", True, "none"),
            ("v=DMARC1; p=reject; np=bad", False, "none"),
            ("v=DMARC1; p=reject", True, "reject"),
        ):
            found = record(text)
            self.assertEqual((applies, asks), (found.is_applicable, found.asks(False, True)), text)

    def test_asks(self) -> None:
        for text, expected in (
            # The domain itself, one below it, one below it that is not there.
            ("v=DMARC1; p=reject", ("reject", "reject", "reject")),
            ("v=DMARC1; p=reject; sp=none", ("reject", "none", "none")),
            ("v=DMARC1; p=none; np=reject", ("none", "none", "reject")),
            ("v=DMARC1; p=none; sp=quarantine; np=reject", ("none", "quarantine", "reject")),
        ):
            found = record(text)
            asks = found.asks(False, True), found.asks(True, True), found.asks(True, False)
            self.assertEqual(expected, asks, text)

    def test_milder(self) -> None:
        self.assertEqual(
            ["none", "none", "quarantine"], [milder("none"), milder("quarantine"), milder("reject")]
        )

    def test_mail_address(self) -> None:
        for uri, address in (
            ("mailto:a@b.test", "a@b.test"),
            ("MAILTO:a%2Bx@b.test?subject=y", "a+x@b.test"),
            ("mailto:a@b.test,c@d.test", None),
            ("mailto:%0d%0aBcc:x@y.test", None),
            ("mailto:a", None),
            ("https://b.test", None),
        ):
            self.assertEqual(address, mail_address(uri), uri)

    @given(st.binary(max_size=200))
    def test_anything(self, octets: bytes) -> None:
        parse_record(b"v=DMARC1;" + octets)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["p", "sp", "np", "t", "psd", "rua", "ruf", "fo", "adkim", "aspf", "v"]),
                st.text("abmyn:@.,!%;= ", max_size=20),
            ),
            max_size=8,
        )
    )
    def test_any_tags(self, tags: list[tuple[str, str]]) -> None:
        found = record("v=DMARC1;" + ";".join(f"{name}={value}" for name, value in tags))
        self.assertIn(found.asks(True, False), ("none", "quarantine", "reject"))
