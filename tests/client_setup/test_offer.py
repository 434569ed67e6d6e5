"""Tests of mta.client_setup.offer and the records made of it."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.client_setup.offer import domain_of, offer_of
from mta.client_setup.records import srv_records, web_records
from mta.config.settings import Settings

LISTEN = {
    "imap": ["tcp:143"],
    "imaps": ["tcp:993"],
    "pop3s": ["tcp6:995:interface=\\:\\:"],
    "submission": ["tcp:587"],
    "submissions": ["tcp:465:interface=192.0.2.1"],
}


def settings(**tables: Any) -> Settings:
    """As they are with these tables."""
    given = {"hostname": "mx.example.org", "listen": LISTEN, "domains": {"Example.org": {}, "b.test": {}}}
    return Settings.model_validate({**given, **tables})


class OfferTests(SynchronousTestCase):
    """What is told of the listeners."""

    def ports(self, **tables: Any) -> dict[str, int]:
        """Ports by role, in the order in which they are recommended."""
        offer = offer_of(settings(**tables), "example.org")
        assert offer is not None
        return {one.role: one.port for one in offer.services}

    def test_recommended_first(self) -> None:
        """TLS from the first octet comes before STARTTLS, IMAP before POP3."""
        self.assertEqual(["imaps", "imap", "pop3s", "submissions", "submission"], list(self.ports()))

    def test_not_for_others(self) -> None:
        """Nobody is told of what listens on loopback, or of nothing."""
        listen = {
            "imap": ["tcp:143:interface=127.0.0.1", "tcp:1143"],
            "imaps": ["tcp6:993:interface=\\:\\:1"],
            "submission": ["unix:/run/submission"],
            "submissions": [],
        }
        self.assertEqual({"imap": 1143}, self.ports(listen=listen))

    def test_same_machine(self) -> None:
        """A server that is called localhost is reached on loopback."""
        listen = {"imap": ["tcp:2143:interface=127.0.0.1"], "submission": [], "submissions": []}
        self.assertEqual({"imap": 2143}, self.ports(hostname="localhost", listen=listen))

    def test_ports_of_the_world(self) -> None:
        """What is in front of us is told where it is, and systemd's sockets have the usual ports."""
        listen = {"imaps": ["systemd:domain=INET:index=0"], "submission": [], "submissions": []}
        setup = {"ports": {"submissions": 465}}
        self.assertEqual({"imaps": 993, "submissions": 465}, self.ports(listen=listen, client_setup=setup))

    def test_nobody(self) -> None:
        """Another's domain, and a server that tells nothing."""
        self.assertIsNone(offer_of(settings(), "other.test"))
        self.assertIsNone(offer_of(settings(client_setup={"enabled": False}), "example.org"))

    def test_wrong_port(self) -> None:
        """A role that there is not, and a number that is none."""
        for ports in ({"smtp": 25}, {"imaps": 0}, {"imaps": 70000}):
            with self.assertRaisesRegex(ValueError, "port"):
                settings(client_setup={"ports": ports})

    def test_domain(self) -> None:
        """It is that of the address, or the one below which a program looks."""
        domains = {"Example.org": None, "b.test": None}
        self.assertEqual("b.test", domain_of("Kim@B.test", "mx.example.org", domains))
        self.assertEqual("b.test", domain_of("", "autoconfig.b.test", domains))
        self.assertEqual("b.test", domain_of("", "Autodiscover.B.test.", domains))
        self.assertEqual("mx.example.org", domain_of("", "mx.example.org", domains))
        self.assertEqual("b.test", domain_of("", "mx.example.org", {"b.test": None}))


class RecordTests(SynchronousTestCase):
    """What is published."""

    def test_records(self) -> None:
        """The lowest priority is the recommended one."""
        offer = offer_of(settings(), "example.org")
        assert offer is not None
        self.assertEqual(
            [
                ("_imaps._tcp.example.org.", "0 1 993 mx.example.org."),
                ("_imap._tcp.example.org.", "5 1 143 mx.example.org."),
                ("_pop3s._tcp.example.org.", "10 1 995 mx.example.org."),
                ("_submissions._tcp.example.org.", "0 1 465 mx.example.org."),
                ("_submission._tcp.example.org.", "5 1 587 mx.example.org."),
            ],
            [record[:2] for record in srv_records(offer)],
        )
        self.assertEqual(
            ["autoconfig.example.org.", "autodiscover.example.org.", "_autodiscover._tcp.example.org."],
            [record[0] for record in web_records(offer)],
        )
