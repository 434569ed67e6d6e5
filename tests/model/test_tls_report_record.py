"""What domains publish about TLS reports, by table."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.model.tls_report_record import MOST, NoDestination, destinations

_GOOD = [
    (b"v=TLSRPTv1;rua=mailto:reports@example.com", ["mailto:reports@example.com"]),
    (b"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt", ["https://reporting.example.com/v1/tlsrpt"]),
    (b"v=TLSRPTv1 ;\trua=mailto:a@b.test , https://c.test/ ;", ["mailto:a@b.test", "https://c.test/"]),
    # Extensions may stand before and behind.
    (b"v=TLSRPTv1; x-y_1.z=%20!; rua=mailto:a@b.test; more=1", ["mailto:a@b.test"]),
    # What has a meaning in the record is encoded in a URI.
    (b"v=TLSRPTv1; rua=mailto:a%2Cb%3Bc%21d@e.test", []),
    (b"v=TLSRPTv1; rua=mailto:a%21b@e.test?subject=x", ["mailto:a!b@e.test"]),
    # Twice the same is once; other schemes are passed over.
    (b"v=TLSRPTv1; rua=mailto:a@b.test,ftp://x.test/,mailto:a@b.test", ["mailto:a@b.test"]),
    (b"v=TLSRPTv1; rua=https://x.test:8443/p?q=1#part", ["https://x.test:8443/p?q=1"]),
    (b"v=TLSRPTv1; rua=MAILTO:a@B.test,HTTPS://x.test", ["mailto:a@b.test", "HTTPS://x.test"]),
    (b"v=TLSRPTv1; rua=http://x.test/", []),
    (b"v=TLSRPTv1; rua=https://user:secret@x.test/", []),
    (b"v=TLSRPTv1; rua=https:///nowhere,https://x.test:99999/,https://[x/", []),
    (b"v=TLSRPTv1; rua=mailto:a@b.test%0D%0ABcc:c@d.test", []),
    (b"v=TLSRPTv1; rua=mailto:%0D%0A@b.test,mailto:postmaster,mailto:", []),
    (b"v=TLSRPTv1; rua=mailto:a%20b@c.test", []),
]
_BAD = [
    ([], "it publishes no record"),
    ([b"v=spf1 -all"], "it publishes no record"),
    ([b"v=TLSRPTv1"], "it publishes no record"),
    ([b"v=TLSRPTv10;rua=mailto:a@b.test"], "it publishes no record"),
    ([b"V=TLSRPTv1;rua=mailto:a@b.test"], "it publishes no record"),
    ([b"v=TLSRPTv1;rua=mailto:a@b.test"] * 2, "2 records"),
    ([b"v=TLSRPTv1;"], "no rua"),
    ([b"v=TLSRPTv1;RUA=mailto:a@b.test"], "no rua"),
    ([b"v=TLSRPTv1;rua=mailto:a@b.test;rua=mailto:c@d.test"], "two rua"),
    ([b"v=TLSRPTv1;;rua=mailto:a@b.test"], "a field that is none"),
    ([b"v=TLSRPTv1;what;rua=mailto:a@b.test"], "a field that is none"),
    ([b"v=TLSRPTv1;rua=mailto:\xe4@b.test"], "not ASCII"),
]


class RecordTests(SynchronousTestCase):
    def test_good(self) -> None:
        for record, expected in _GOOD:
            try:
                found = [one.uri for one in destinations([b"google-site-verification=x", record])]
            except NoDestination as error:
                self.assertIn("can be used", str(error))
                found = []
            self.assertEqual(expected, found, record)

    def test_bad(self) -> None:
        for records, words in _BAD:
            error = self.assertRaises(NoDestination, destinations, records)
            self.assertIn(words, str(error), records)

    def test_many(self) -> None:
        """A record cannot have us write to everybody."""
        uris = b",".join(b"mailto:a%d@b.test" % number for number in range(100))
        self.assertEqual(MOST, len(destinations([b"v=TLSRPTv1;rua=" + uris])))
