"""Which way mail goes: by recipient, by sender with its own password, to a primary, and by another name."""

from __future__ import annotations

import os

from tests.e2e.client import Speaker
from tests.e2e.dns import Dns
from tests.e2e.postfix import Postfix
from tests.e2e.remote import Remote
from tests.e2e.sasl import Sasl
from tests.e2e.scenario import Scenario, free_port, wait_for
from tests.e2e.server import Server
from tests.e2e.slapd import Slapd, make_authority

TEXT = b"From: %s\r\nTo: %s\r\nSubject: %s\r\n\r\nHello.\r\n"


class RoutingScenario(Scenario):
    def send(self, server: Server, sender: str, to: str, subject: str = "x") -> bytes:
        """From a client of our network; the answer."""
        text = TEXT % (sender.encode(), to.encode(), subject.encode())
        with Speaker(server.ports["mx"]) as speaker:
            return speaker.send(sender, [to], text)

    def said(self, server: Server, *arguments: str) -> str:
        return " ".join(server.mta("test", *arguments, check=False).split())

    def smarthost(self, name: str, password: str) -> Postfix:
        """A Postfix that takes mail of one account only, inside TLS."""
        sasl = self.part(Sasl(self.place / f"sasl-{name}", {name: password}))
        tls = {
            "myhostname": f"{name}.smart.test",
            "smtpd_tls_security_level": "encrypt",
            "smtpd_tls_auth_only": "yes",
            "smtpd_tls_cert_file": str(self.place / "cert.pem"),
            "smtpd_tls_key_file": str(self.place / "key.pem"),
        }
        postfix: Postfix = self.part(
            Postfix(self.place / f"postfix-{name}", settings={**sasl.settings, **tls})
        )
        return postfix

    # --- by sender -------------------------------------------------------------

    def test_smarthosts_by_sender(self) -> None:
        """Two senders, two smarthosts, two passwords: from a map of passwords and from a transport."""
        make_authority(self.place)
        shop, office = self.smarthost("shop", "shop-geheim"), self.smarthost("office", "office-geheim")
        server: Server = self.part(
            Server(
                self.place / "server",
                access={"relay_from": ["127.0.0.0/8"]},
                relay={"smarthost": f"127.0.0.1:{free_port()}", "passwords": "passwords", "tls": "require"},
                transport=[
                    {
                        "kind": "relay",
                        "name": "office",
                        "smarthost": f"127.0.0.1:{office.port}",
                        "username": "office",
                        "password_file": "office-password",
                        "tls": "require",
                    }
                ],
                sender_relay=[
                    {"match": ["ben@example.org"], "transport": "office"},
                    {"file": "senders"},
                ],
            )
        )
        for name, text in (
            ("passwords", f"@shop.test shop:shop-geheim\n[127.0.0.1]:{office.port} office:wrong\n"),
            ("office-password", "office-geheim\n"),
            ("senders", f"@shop.test [127.0.0.1]:{shop.port}\n"),
        ):
            (server.base / name).write_text(text)
            (server.base / name).chmod(0o600)
        server.start()
        self.assertEqual(b"250", self.send(server, "kim@shop.test", "rita@remote.test", "of the shop")[:3])
        self.assertEqual(
            b"250", self.send(server, "ben@example.org", "rita@remote.test", "of the office")[:3]
        )
        [mail] = shop.wait_mail("rita@remote.test")
        self.assertIn(b"of the shop", mail)
        [mail] = office.wait_mail("rita@remote.test")
        self.assertIn(b"of the office", mail)
        # What they write into their logs goes through another program.
        for postfix, name in ((shop, "shop"), (office, "office")):
            wait_for(lambda p=postfix, n=name: f"sasl_username={n}" in p.output, f"{name} is not in the log")  # type: ignore[misc]
        self.assertNotIn("sasl_username=office", shop.output)
        said = self.said(server, "rita@remote.test", "--from", "kim@shop.test")
        self.assertIn(f"goes by relay to [127.0.0.1]:{shop.port}", said)
        self.assertIn("senders:1 says so of shop.test (sender <kim@shop.test>)", said)
        said = self.said(server, "rita@remote.test", "--from", "ben@example.org")
        self.assertIn(f"goes by office to 127.0.0.1:{office.port}", said)
        # Everybody else leaves by the smarthost of all, where nobody listens now.
        self.assertEqual(b"250", self.send(server, "anna@example.org", "rolf@remote.test")[:3])
        server.wait_trace("rolf@remote.test", "deferred", "4.4.1")
        # Another password for the map, after a reload; and it is told nowhere.
        (server.base / "senders").write_text(f"@shop.test [127.0.0.1]:{office.port}\n")
        (server.base / "passwords").write_text("kim@shop.test office:office-geheim\n")
        server.reload()
        self.assertEqual(b"250", self.send(server, "kim@shop.test", "rolf@remote.test", "moved")[:3])
        [mail] = office.wait_mail("rolf@remote.test")
        self.assertIn(b"moved", mail)
        everything = (
            server.output
            + server.mta("trace", "kim@shop.test", "--json")
            + server.mta("queue", "list", "--json")
        )
        everything += self.said(server, "rita@remote.test", "--from", "kim@shop.test", "--json")
        self.assertNotIn("geheim", everything)

    def test_wrong_password(self) -> None:
        """One sender's login is refused: their mail waits, and the others' at the same host goes."""
        make_authority(self.place)
        shop = self.smarthost("shop", "shop-geheim")
        server: Server = self.part(
            Server(
                self.place / "server",
                access={"relay_from": ["127.0.0.0/8"]},
                relay={"passwords": "passwords", "tls": "require", "connections": 1},
                sender_relay=[{"match": "*", "next_hop": f"[127.0.0.1]:{shop.port}"}],
            )
        )
        (server.base / "passwords").write_text("eve@bad.test shop:falsch\n@shop.test shop:shop-geheim\n")
        (server.base / "passwords").chmod(0o600)
        server.start()
        for number in range(8):
            self.assertEqual(b"250", self.send(server, "eve@bad.test", "rolf@remote.test", str(number))[:3])
        server.wait_trace("eve@bad.test", "deferred", "4.7.0", "does not accept our credentials")
        self.assertEqual(b"250", self.send(server, "kim@shop.test", "rita@remote.test")[:3])
        shop.wait_mail("rita@remote.test")
        # Mended, it goes.
        (server.base / "passwords").write_text("[127.0.0.1] shop:shop-geheim\n")
        server.reload()
        shop.wait_mail("rolf@remote.test", 8)
        self.assertNotIn("falsch", server.output + server.mta("trace", "eve@bad.test", "--json"))

    # --- by recipient ------------------------------------------------------------

    def test_transport_map(self) -> None:
        """A domain by a file, its subdomains elsewhere; the file changes, and what is refused says so."""
        one, two = self.part(Remote()), self.part(Remote())
        server: Server = self.part(
            Server(
                self.place / "server",
                access={"relay_from": ["127.0.0.0/8"]},
                relay={"smarthost": f"127.0.0.1:{free_port()}"},
                route=[{"file": "transport"}],
            )
        )
        (server.base / "transport").write_text(
            f"remote.test smtp:[127.0.0.1]:{one.port}\n.remote.test smtp:[127.0.0.1]:{two.port}\n"
            "gone.test error:5.1.2 This domain has moved\n"
        )
        server.start()
        self.send(server, "anna@example.org", "rita@remote.test")
        self.send(server, "anna@example.org", "rita@sub.remote.test")
        self.assertIn("rita@remote.test", one.wait(1)[0].recipients[0])
        self.assertIn("rita@sub.remote.test", two.wait(1)[0].recipients[0])
        answer = self.send(server, "anna@example.org", "rita@gone.test")
        self.assertEqual((b"550 5.1.2", True), (answer[:9], b"This domain has moved" in answer))
        self.assertIn("transport:2 says so of remote.test", self.said(server, "x@a.remote.test"))
        (server.base / "new").write_text(f"remote.test smtp:[127.0.0.1]:{two.port}\n")
        os.replace(server.base / "new", server.base / "transport")
        server.reload()
        self.send(server, "anna@example.org", "rolf@remote.test")
        self.assertIn("rolf@remote.test", two.wait(2)[1].recipients[0])
        (server.base / "transport").write_text("remote.test nowhere:\n")
        said = server.mta("check", check=False)
        self.assertIn("transport:1", said)
        self.assertIn("nowhere", said)

    # --- a backup MX ---------------------------------------------------------------

    def test_backup_mx(self) -> None:
        """We are the second MX: mail waits for the primary, goes to it alone, and nobody unknown is taken."""
        names = self.part(Dns())
        names.records["remote.test", "MX"] = [
            "10 mx.remote.test.",
            "20 mx.example.org.",
            "30 far.remote.test.",
        ]
        names.records["mx.remote.test", "A"] = ["127.0.0.2"]
        names.records["mx.example.org", "A"] = ["127.0.0.1"]
        names.records["far.remote.test", "A"] = ["127.0.0.3"]
        postfix = self.part(Postfix(self.place / "postfix"))
        server: Server = self.part(
            Server(
                self.place / "server",
                dns={"servers": [names.address]},
                relay={"port": postfix.port},
                backup_mx={"domains": ["remote.test"], "verify": True, "verify_negative_cache": "0s"},
            )
        ).start()
        self.assertEqual(b"250", self.send(server, "eve@away.test", "rita@remote.test", "by the backup")[:3])
        [mail] = postfix.wait_mail("rita@remote.test")
        self.assertIn(b"by the backup", mail)
        answer = self.send(server, "eve@away.test", "nobody@remote.test")
        self.assertEqual(b"550 5.1.1", answer[:9])
        self.assertIn(b"mx.remote.test", answer)
        self.assertEqual(b"550", self.send(server, "eve@away.test", "rita@other.test")[:3])
        said = self.said(server, "rita@remote.test", "--client-ip", "192.0.2.9")
        self.assertIn("makes us a backup MX", said)
        self.assertIn("trying mx.remote.test [127.0.0.2]", said)
        self.assertNotIn("far.remote.test", said)
        # The primary is away: everybody is taken, and kept until it is back.
        postfix.stop()
        self.assertEqual(b"250", self.send(server, "eve@away.test", "rolf@remote.test", "for later")[:3])
        server.wait_trace("rolf@remote.test", "deferred")
        postfix.start()
        [mail] = postfix.wait_mail("rolf@remote.test")
        self.assertIn(b"for later", mail)

    def test_backup_that_became_the_best(self) -> None:
        """The primary is gone from the DNS: that is for people to mend, and returns nothing."""
        names = self.part(Dns())
        names.records["remote.test", "MX"] = ["20 mx.example.org."]
        names.records["mx.example.org", "A"] = ["127.0.0.1"]
        server: Server = self.part(
            Server(
                self.place / "server",
                dns={"servers": [names.address]},
                backup_mx={"domains": ["remote.test"]},
            )
        ).start()
        self.assertEqual(b"250", self.send(server, "anna@example.org", "rita@remote.test")[:3])
        server.wait_trace("rita@remote.test", "deferred", "4.4.4")

    def test_next_hop_without_a_port(self) -> None:
        """A domain's own next hop, looked up by MX, does not exist, then turns everybody away, then works."""
        names, remote = self.part(Dns()), self.part(Remote(host="127.0.0.2"))
        remote.at["CONNECT"] = b"554 5.3.2 closed"
        server: Server = self.part(
            Server(
                self.place / "server",
                dns={"servers": [names.address], "timeout": 1},
                relay={"port": remote.port},
                domains={"inner.test": {"transport": "relay", "next_hop": "store.test", "catch_all": "*"}},
            )
        ).start()
        self.assertEqual(b"250", self.send(server, "anna@example.org", "kim@inner.test")[:3])
        server.wait_trace("kim@inner.test", "deferred", "4.4.4")
        names.add_mx("store.test")
        server.reload()  # forgets what the DNS said
        server.wait_trace("kim@inner.test", "deferred", "554", "closed")
        del remote.at["CONNECT"]
        self.assertIn("kim@inner.test", remote.wait(1)[0].recipients[0])
        self.assertEqual([], server.mails("anna@example.org"))

    # --- other names -----------------------------------------------------------------

    def test_rewriting(self) -> None:
        """An expression, a catch-all for several domains, and a domain that stands for another."""
        server: Server = self.part(
            Server(
                self.place / "server",
                domains={"example.net": {"alias_of": "example.org"}, "shop.test": {}, "old.shop.test": {}},
                rewrite=[
                    {"match": r"/^(.+)-orders@(example\.org|shop\.test)$/", "to": ["$1@example.org"]},
                    {"file": "virtual"},
                ],
            )
        )
        (server.base / "virtual").write_text("@shop.test ben@example.org\n@.shop.test @shop.test\n")
        server.start()
        for address in ("anna-orders@shop.test", "anna@example.net", "kim@shop.test", "kim@old.shop.test"):
            self.assertEqual(b"250", self.send(server, "eve@away.test", address)[:3], address)
        server.wait_mail("anna@example.org", 2)
        server.wait_mail("ben@example.org", 2)
        self.assertEqual(b"550", self.send(server, "eve@away.test", "nobody@example.net")[:3])
        said = self.said(server, "kim@old.shop.test")
        self.assertIn("virtual:2 rewrites it to kim@shop.test", said)
        self.assertIn("virtual:1 rewrites it to ben@example.org", said)
        self.assertIn("example.net stands for example.org", self.said(server, "anna@example.net"))

    def test_domains_in_ldap(self) -> None:
        """Domains that no table names: one of its own, one that stands for another; without slapd, 451."""
        slapd = self.part(Slapd(self.place / "slapd"))
        server: Server = self.part(
            Server(
                self.place / "server",
                users=None,
                identity=[
                    {
                        "kind": "ldap",
                        "uri": slapd.uri,
                        "base": "dc=example,dc=org",
                        "bind_dn": "cn=mta,dc=example,dc=org",
                        "password_file": "ldap-password",
                        "domain_filter": "(&(objectClass=mtaDomain)(associatedDomain={domain}))",
                        "domain_like": "example.org",
                        "down_for": 0,
                    }
                ],
            )
        )
        (server.base / "ldap-password").write_text("service-secret\n")
        server.start()
        for address in ("anna@example.net", "anybody@example.edu"):
            self.assertEqual(b"250", self.send(server, "eve@away.test", address)[:3], address)
        server.wait_mail("anna@example.org", 2)
        self.assertEqual(b"550 5.1.1", self.send(server, "eve@away.test", "nobody@example.net")[:9])
        self.assertEqual(b"550 5.7.1", self.send(server, "eve@away.test", "anna@example.com")[:9])
        self.assertIn("example.net stands for example.org", self.said(server, "anna@example.net"))
        slapd.stop()
        self.assertEqual(b"451", self.send(server, "eve@away.test", "anna@unasked.test")[:3])
        slapd.start()
