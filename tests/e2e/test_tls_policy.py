"""A Postfix with right and wrong certificates, and destinations of which TLS is demanded."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from OpenSSL import crypto

from tests.deliver.relay_server import Authority
from tests.e2e.client import Speaker
from tests.e2e.dns import Dns
from tests.e2e.postfix import Postfix
from tests.e2e.scenario import Scenario
from tests.e2e.server import Server

_POLICIES = [
    {"domain": ["*"], "demand": "may"},
    {"domain": ["encrypt.test"], "demand": "encrypt"},
    {"domain": ["verify.test"], "demand": "verify"},
]
_DOMAINS = ("may.test", "encrypt.test", "verify.test")


class TlsPolicyScenario(Scenario):
    def begin(self, certificate: str) -> None:
        """Postfix with a certificate for a name, or without any, is the MX of all the domains."""
        authority = Authority(self.place)
        settings = {"smtpd_tls_security_level": "may"} if certificate else {}
        if certificate:
            made = authority.issue(certificate)
            key = made.privateKey.original.to_cryptography_key().private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            (self.place / "key.pem").write_bytes(key)
            (self.place / "cert.pem").write_bytes(made.dump(crypto.FILETYPE_PEM))
            settings["smtpd_tls_cert_file"] = str(self.place / "cert.pem")
            settings["smtpd_tls_key_file"] = str(self.place / "key.pem")
        names = self.part(Dns())
        for domain in _DOMAINS:
            names.add_mx(domain, "mx.host.test")
        self.postfix = self.part(Postfix(self.place / "postfix", domains=_DOMAINS, settings=settings))
        server = Server(
            self.place / "server",
            access={"relay_from": ["127.0.0.0/8"]},
            dns={"servers": [names.address]},
            relay={"port": self.postfix.port, "authorities": str(authority.path)},
            tls_policy=_POLICIES,
        )
        self.server: Server = self.part(server).start()

    def check(self, domain: str, taken: bool, words: str) -> None:
        address = f"rita@{domain}"
        with Speaker(self.server.ports["mx"]) as speaker:
            speaker.send("anna@example.org", [address], b"Subject: x\r\n\r\nHello.\r\n")
        self.server.wait_trace(address, "delivered" if taken else "deferred", words)
        if taken:
            # Postfix stores it a moment after it has taken it.
            self.postfix.wait_mail(address)
        else:
            self.assertEqual([], self.postfix.mails(address))

    def test_right_certificate(self) -> None:
        self.begin("mx.host.test")
        for domain in _DOMAINS:
            self.check(domain, True, "verified as mx.host.test, demanded:")

    def test_wrong_certificate(self) -> None:
        """All three at the same host: what does for one does not do for the other."""
        self.begin("other.test")
        refused = "not verified: the certificate is not for mx.host.test, demanded:"
        self.check("may.test", True, refused)
        self.check("encrypt.test", True, refused)
        self.check("verify.test", False, "the certificate is not for mx.host.test")

    def test_no_tls(self) -> None:
        self.begin("")
        self.check("may.test", True, "clear text, demanded: may by tls_policy for *")
        self.check("encrypt.test", False, "it does not offer STARTTLS")
        self.check("verify.test", False, "it does not offer STARTTLS")
