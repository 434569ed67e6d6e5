"""What destinations publish about their TLS (DANE, MTA-STS), with a Postfix that has it, or has not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.deliver.certificates import Made, make
from tests.e2e.client import Speaker
from tests.e2e.dns import Dns
from tests.e2e.dnssec import SignedDns
from tests.e2e.policy_host import PolicyHost
from tests.e2e.postfix import Postfix
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario
from tests.e2e.server import Server

WRONG = "3 1 1 " + "00" * 32


def write(base: Path, *chain: Made) -> dict[str, str]:
    """Postfix's settings for a certificate and those above it."""
    (base / "chain.pem").write_bytes(b"".join(made.pem for made in chain))
    (base / "server.key").write_bytes(chain[0].key_pem)
    os.chmod(base / "server.key", 0o600)
    return {
        "smtpd_tls_cert_file": str(base / "chain.pem"),
        "smtpd_tls_key_file": str(base / "server.key"),
        "smtpd_tls_security_level": "may",
        "smtpd_tls_received_header": "yes",
    }


class PublishedScenario(Scenario):
    def begin(self, domains: tuple[str, ...], wrong: str = "", **settings: Any) -> None:
        """A Postfix for all domains, a DNS that knows them, and the server.

        :param wrong: the domain for whose host the certificate is not.
        """
        self.prepare(domains, wrong)
        self.names = self.part(Dns())
        # The DNS is asked anew for whatever a scenario changes.
        self.names.ttl = 0
        for domain in domains:
            self.names.add_mx(domain)
        relay = {"port": self.postfix.port, **settings.pop("relay", {})}
        self.serve(dns={"servers": [self.names.address]}, relay=relay, **settings)

    def prepare(self, domains: tuple[str, ...], wrong: str = "") -> None:
        """A Postfix for all domains, each with an MX host of its own."""
        self.authority = make("Authority", authority=True)
        (self.place / "ca.pem").write_bytes(self.authority.pem)
        hosts = [f"mx.{domain}" for domain in domains if domain != wrong]
        self.certificate = make(*hosts, by=self.authority)
        tls = write(self.place, self.certificate, self.authority)
        self.postfix = self.part(Postfix(self.place / "postfix", domains, settings=tls))

    def serve(self, **settings: Any) -> None:
        server = Server(
            self.place / "server",
            env={"SSL_CERT_FILE": str(self.place / "ca.pem")},
            access={"relay_from": ["127.0.0.0/8"]},
            **settings,
        )
        self.server: Server = self.part(server).start()

    def send(self, address: str) -> None:
        with Speaker(self.server.ports["mx"]) as speaker:
            speaker.send("anna@example.org", [address], b"Subject: x\r\n\r\nHello.\r\n")

    def arrives(self, domain: str, *words: str) -> None:
        self.send(f"rita@{domain}")
        *_, mail = self.postfix.wait_mail(f"rita@{domain}")
        self.assertIn(b"using TLSv1.3", mail)
        self.server.wait_trace(f"rita@{domain}", "delivered", *words)

    def waits(self, domain: str, *words: str) -> None:
        before = len(self.postfix.mails(f"rita@{domain}"))
        self.send(f"rita@{domain}")
        self.server.wait_trace(f"rita@{domain}", "deferred", *words)
        self.assertEqual(before, len(self.postfix.mails(f"rita@{domain}")))

    def tells(self, domain: str, *words: str) -> None:
        """What `mta test` says."""
        text = " ".join(self.server.mta("test", f"rita@{domain}").split())
        for word in words:
            self.assertIn(word, text)

    # --- DANE (RFC 7672) -----------------------------------------------------------

    def test_dane(self) -> None:
        """What is published decides, where DNSSEC has validated it."""
        domains = (
            "right.test", "wrong.test", "silent.test", "plain.test", "odd.test", "issued.test", "far.test"
        )  # fmt: skip
        self.begin(domains, wrong="wrong.test")
        self.names.secure = set(domains) - {"plain.test"}
        base = f"_{self.postfix.port}._tcp.mx."
        for domain, record in (
            ("right.test", self.certificate.tlsa),
            ("wrong.test", WRONG),
            ("plain.test", WRONG),
            ("odd.test", "1 1 1 " + "00" * 32),
            ("issued.test", f"2 0 0 {self.authority.der.hex()}"),
        ):
            self.names.records[base + domain, "TLSA"] = [record]
        self.names.trouble[f"{base}silent.test"] = "SERVFAIL"
        self.arrives("right.test", "verified by TLSA 3 1 1", f"demanded: dane by {base}right.test")
        self.arrives("issued.test", "verified by TLSA 2 0 0")
        self.arrives("odd.test", "demanded: encrypt by", "no TLSA record is usable")
        # Without DNSSEC the records are nobody's word, and without records there is nothing to say.
        self.arrives("plain.test", "verified as mx.plain.test")
        self.arrives("far.test", "verified as mx.far.test")
        self.waits("wrong.test", "no TLSA record fits its certificate", "demanded: dane")
        self.waits("silent.test", "nobody can say whether its certificate is the right one", "SERVFAIL")
        self.tells("right.test", f"demanded to be: dane by {base}right.test", self.certificate.tlsa)
        self.tells("silent.test", "mx.silent.test would not be used now", "SERVFAIL")
        # Failures are found by domain; each has what a TLS report needs.
        self.server.wait_trace("wrong.test", "TLS to mx.wrong.test [127.0.0.2]", "tlsa: validation-failure")
        self.server.wait_trace("silent.test", "tlsa: dnssec-invalid")
        self.server.wait_trace("odd.test", "tlsa: tlsa-invalid")
        # What was wrong is mended, and the mail that waited arrives.
        self.names.records[f"{base}wrong.test", "TLSA"] = [self.certificate.tlsa]
        self.names.trouble.clear()
        for domain in ("wrong.test", "silent.test"):
            self.server.mta("queue", "retry", "--all")
            self.postfix.wait_mail(f"rita@{domain}")

    def test_starttls_taken_away(self) -> None:
        """Who hides STARTTLS gets nothing where more than clear text is demanded or published."""
        remote = self.part(Remote(host="127.0.0.2"))
        self.names = self.part(Dns())
        for domain in ("may.test", "dane.test", "must.test"):
            self.names.add_mx(domain)
        self.names.secure = {"dane.test"}
        self.names.records[f"_{remote.port}._tcp.mx.dane.test", "TLSA"] = [WRONG]
        self.serve(
            dns={"servers": [self.names.address]},
            relay={"port": remote.port},
            tls_policy=[{"domain": ["must.test"], "demand": "encrypt"}],
        )
        for domain, demanded in (("dane.test", "dane by _"), ("must.test", "encrypt by tls_policy")):
            self.send(f"rita@{domain}")
            self.server.wait_trace(
                f"rita@{domain}", "deferred", "does not offer STARTTLS", f"demanded: {demanded}"
            )
        self.assertEqual([], remote.mails)
        self.send("rita@may.test")
        remote.wait(1)

    def test_dane_demanded(self) -> None:
        """Where we demand DANE, and it is not published, nothing is sent."""
        domains = ("right.test", "unsigned.test", "bare.test")
        self.begin(domains, tls_policy=[{"domain": ["*"], "demand": "dane"}])
        self.names.secure = {"right.test", "bare.test"}
        self.names.records[f"_{self.postfix.port}._tcp.mx.right.test", "TLSA"] = [self.certificate.tlsa]
        self.arrives("right.test", "verified by TLSA 3 1 1", "demanded: dane by tls_policy for *")
        self.waits("unsigned.test", "the MX records of unsigned.test are not validated by DNSSEC")
        self.waits("bare.test", "has no TLSA record", "demanded: dane by tls_policy for *")
        self.tells("unsigned.test", "demanded is dane by tls_policy for *", "not validated by DNSSEC")

    def test_told_to_programs(self) -> None:
        """What `mta test` tells a program."""
        self.begin(("wrong.test",))
        self.names.secure = {"wrong.test"}
        self.names.records[f"_{self.postfix.port}._tcp.mx.wrong.test", "TLSA"] = [WRONG]
        loaded = json.loads(self.server.mta("--json", "test", "rita@wrong.test"))
        self.assertIn("dane by", loaded["routes"][0]["tls"][0])

    def test_dnssec(self) -> None:
        """The same with a resolver that validates, and zones that are signed, or not, or forged."""
        domains = ("right.signed.test", "wrong.signed.test", "forged.signed.test", "bare.signed.test")
        self.prepare((*domains, "plain.test"))
        tlsa = f"_{self.postfix.port}._tcp.mx."
        signed = []
        for domain in domains:
            name = domain.removesuffix(".signed.test")
            signed += [f"{name} MX 10 mx.{name}", f"mx.{name} A 127.0.0.2"]
            record = WRONG if name == "wrong" else self.certificate.tlsa
            signed += [f"{tlsa}{name} TLSA {record}"] if name != "bare" else []
        plain = ["@ MX 10 mx", "mx A 127.0.0.2", f"{tlsa.removesuffix('.')} TLSA {WRONG}"]
        forged = (f"{tlsa}forged.signed.test", "TLSA", WRONG)
        zones = {"signed.test": signed}, {"plain.test": plain}, [forged]
        names = self.part(SignedDns(self.place / "dns", *zones))
        self.serve(dns={"servers": [names.address], "timeout": 5}, relay={"port": self.postfix.port})
        self.arrives("right.signed.test", "verified by TLSA 3 1 1, demanded: dane by")
        self.arrives("bare.signed.test", "verified as mx.bare.signed.test")
        self.arrives("plain.test", "verified as mx.plain.test")
        self.waits("wrong.signed.test", "no TLSA record fits its certificate", "demanded: dane by")
        self.waits("forged.signed.test", "nobody can say whether its certificate is the right", "SERVFAIL")

    # --- MTA-STS (RFC 8461) ----------------------------------------------------------

    def publish(self, domain: str, mode: str, *mx: str) -> None:
        hosts = "".join(f"mx: {host}\n" for host in mx or (f"mx.{domain}",))
        self.policy_host.policies[domain] = f"version: STSv1\nmode: {mode}\n{hosts}max_age: 86400\n"

    def announce(self, *domains: str) -> None:
        for domain in domains:
            self.names.records[f"_mta-sts.{domain}", "TXT"] = ['"v=STSv1; id=1;"']
            self.names.records[f"mta-sts.{domain}", "A"] = [self.policy_host.address]

    def begin_sts(self, domains: tuple[str, ...], **settings: Any) -> None:
        self.begin(domains, **settings)
        names = [f"mta-sts.{domain}" for domain in domains]
        self.policy_host = self.part(PolicyHost(self.place, make(*names, by=self.authority)))
        self.announce(*domains)

    def test_sts(self) -> None:
        domains = (
            "enforce.test", "wrongcert.test", "wronghost.test", "testing.test", "none.test", "missing.test"
        )  # fmt: skip
        self.begin_sts(domains, wrong="wrongcert.test")
        for domain in ("enforce.test", "wrongcert.test"):
            self.publish(domain, "enforce")
        self.publish("wronghost.test", "enforce", "*.elsewhere.test")
        self.publish("testing.test", "testing", "*.elsewhere.test")
        self.publish("none.test", "none")
        by = "the MTA-STS policy of"
        self.arrives("enforce.test", f"verified as mx.enforce.test, demanded: verify by {by} enforce.test")
        self.arrives("testing.test", f"demanded: may by {by} testing.test (testing)")
        self.arrives("none.test", "verified as mx.none.test")
        self.arrives("missing.test", f"demanded: may by relay.tls, as {by} missing.test cannot be had", "404")
        self.waits("wrongcert.test", "the certificate is not for mx.wrongcert.test", "demanded: verify by")
        self.waits(
            "wronghost.test", "the host is none of *.elsewhere.test", "not connected, demanded: verify"
        )
        self.tells("enforce.test", f"demanded to be: verify by {by} enforce.test", "mode: enforce")
        self.tells("wronghost.test", "mx.wronghost.test would not be used", "none of *.elsewhere.test")
        self.server.wait_trace("wrongcert.test", "policy sts: certificate-host-mismatch")
        self.server.wait_trace("testing.test", "policy sts: validation-failure", "none of *.elsewhere.test")
        self.server.wait_trace("missing.test", "policy sts: sts-policy-fetch-error")

    def test_sts_outlives_everything(self) -> None:
        """Whoever takes record and policy away after the first message has gained nothing (10.2)."""
        self.begin_sts(("enforce.test",))
        self.publish("enforce.test", "enforce")
        self.arrives("enforce.test", "verified as mx.enforce.test")
        self.policy_host.stop()
        del self.names.records["_mta-sts.enforce.test", "TXT"]
        self.names.records["enforce.test", "MX"] = ["10 mx.evil.test."]
        self.names.records["mx.evil.test", "A"] = ["127.0.0.2"]
        self.assertTrue(self.server.stop())
        self.server.start()
        self.waits("enforce.test", "the host is none of mx.enforce.test")
        self.assertEqual(["enforce.test"], self.policy_host.asked)

    def test_sts_demanded(self) -> None:
        """Where we demand MTA-STS, and it is not published, nothing is sent; in testing it counts, too."""
        domains = ("testing.test", "without.test")
        self.begin_sts(domains, tls_policy=[{"domain": domains, "demand": "mta-sts"}])
        self.publish("testing.test", "testing")
        del self.names.records["_mta-sts.without.test", "TXT"]
        self.arrives("testing.test", "verified as mx.testing.test, demanded: mta-sts by tls_policy for")
        self.waits("without.test", "has no TXT record of MTA-STS", "demanded: mta-sts by tls_policy for")
