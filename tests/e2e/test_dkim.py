"""Signatures: keys made, published and rotated under a running server, verified by dkimpy."""

from __future__ import annotations

import os
import re
import smtplib
import ssl
import subprocess
from base64 import b64encode
from typing import Any

import dkim
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mta.cli.zone_file import quoted_text
from mta.dkim.key_store import StoredKey, make_key
from mta.model.header import field_value, header_section
from tests.e2e.dns import Dns
from tests.e2e.filters import OpenDkim, make_dkim_key
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import BIN, Server

TEXT = b"From: Anna <anna@example.org>\r\nTo: rita@remote.test\r\nSubject: %s\r\n\r\nHello  there. \r\n\r\n"


class SigningTests(Scenario):
    def setUp(self) -> None:
        super().setUp()
        self.names: Dns = self.part(Dns())
        self.names.ttl = 0
        self.remote: Remote = self.part(Remote())
        relay = {"smarthost": f"127.0.0.1:{self.remote.port}"}
        self.server: Server = self.part(
            Server(self.place / "server", dns={"servers": [self.names.address]}, relay=relay, workers=2)
        )
        self.server.start()

    def submit(self, content: bytes, recipient: str = "rita@remote.test") -> str:
        """Send it as Anna; the queue id."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with smtplib.SMTP_SSL("127.0.0.1", self.server.ports["submissions"], context=context) as client:
            client.login("anna@example.org", "anna-secret")
            client.mail("anna@example.org")
            client.rcpt(recipient)
            code, text = client.data(content)
        self.assertEqual(250, code, text)
        found = re.search(rb"\b0[0-9a-z]{12}\b", text)
        assert found is not None, text
        return found[0].decode()

    def arrived(self, count: int) -> bytes:
        wait_for(lambda: len(self.remote.mails) >= count, f"no {count} messages there")
        return self.remote.mails[count - 1].content

    def selectors(self, message: bytes) -> list[str]:
        """Those of the signatures, all of which are good."""
        found = re.findall(rb"(?m)^DKIM-Signature:[^\n]*\n?[^\n]*?\ss=([^;]+);", header_section(message))
        for number in range(len(found)):
            self.assertTrue(dkim.DKIM(message).verify(number, dnsfunc=self._record), (number, message))
        return [selector.decode() for selector in found]

    def _record(self, name: bytes, timeout: float = 5) -> bytes:
        [value] = self.names.records[name.decode().rstrip("."), "TXT"]
        return "".join(re.findall(r'"([^"]*)"', value)).encode()

    def publish(self, printed: str) -> list[str]:
        """As an operator who pastes what `mta dkim new` printed; the selectors."""
        found = re.findall(r'(?m)^((\S+)\._domainkey\.\S+)\. IN TXT (".*")$', printed)
        for name, _, value in found:
            self.names.records[name, "TXT"] = [value]
        return [selector for _, selector, _ in found]

    def test_life(self) -> None:
        """No key, two keys, other keys; in both workers, without a restart."""
        first = self.submit(TEXT % b"before")
        self.assertEqual([], self.selectors(self.arrived(1)))
        self.assertNotIn("signature", self.server.mta("trace", first))
        printed = self.server.mta("dkim", "new", "example.org")
        self.submit(TEXT % b"waiting")
        self.assertEqual([], self.selectors(self.arrived(2)))
        refused = self.server.mta("dkim", "rotate", "example.org", check=False)
        self.assertIn("nothing was changed", refused)
        made = self.publish(printed)
        self.assertEqual(2, len(made))
        self.assertIn("mta dkim rotate example.org", self.server.mta("dkim", "publish"))
        self.server.mta("dkim", "rotate", "example.org")
        told = self.server.mta("doctor", check=False)
        self.assertIn(f"{made[0]}._domainkey.example.org is in the DNS", told)
        for count in range(3, 9):
            signed = self.submit(TEXT % b"signed")
            self.assertEqual(made, self.selectors(self.arrived(count)))
        told = self.server.mta("trace", signed)
        self.assertIn("signature domain: example.org", told)
        self.assertIn(made[0], told)
        # Large: hashed while it is written.
        self.submit(TEXT % b"large" + b"line  of text \t\r\n" * 20_000)
        self.assertEqual(made, self.selectors(self.arrived(9)))
        other = self.publish(self.server.mta("dkim", "new", "example.org", "--algorithm", "ed25519"))
        self.server.mta("dkim", "rotate", "example.org")
        for count in range(10, 14):
            self.submit(TEXT % b"rotated")
            self.assertEqual(other, self.selectors(self.arrived(count)))
        del self.names.records[f"{other[0]}._domainkey.example.org", "TXT"]
        self.assertIn(
            "publish what `mta dkim publish example.org` prints", self.server.mta("doctor", check=False)
        )

    def test_bounces(self) -> None:
        """What the server writes itself is signed by the domain above its name."""
        made = self.publish(self.server.mta("dkim", "new", "example.org"))
        self.server.mta("dkim", "rotate", "example.org")
        self.remote.at["RCPT"] = b"550 5.1.1 nobody"
        self.submit(TEXT % b"refused")
        [bounce] = self.server.wait_mail("anna@example.org")
        body = bounce.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        message = body[body.index(b"DKIM-Signature:") :]
        self.assertEqual(made, self.selectors(message))

    def test_strangers(self) -> None:
        """Mail from outside that says it is from us is not signed."""
        self.publish(self.server.mta("dkim", "new", "example.org"))
        self.server.mta("dkim", "rotate", "example.org")
        with smtplib.SMTP("127.0.0.1", self.server.ports["mx"]) as client:
            client.sendmail("anna@example.org", ["ben@example.org"], TEXT % b"forged")
        [mail] = self.server.wait_mail("ben@example.org")
        self.assertNotIn(b"DKIM-Signature", mail)

    def test_programs_of_this_machine(self) -> None:
        """They speak for any domain with keys, unless the configuration names the users who may."""
        made = self.publish(self.server.mta("dkim", "new", "example.org"))
        self.server.mta("dkim", "rotate", "example.org")
        command = [str(BIN / "mta-sendmail"), "-C", str(self.server.file), "-f", "anna@example.org"]
        other = os.geteuid() + 1
        for count, users, signs in ((1, ["*"], True), (2, [str(other)], False), (3, [str(other - 1)], True)):
            self.server.change(dkim={"sign_local": users})
            self.server.write()
            self.server.mta("reload")
            subprocess.run([*command, "rita@remote.test"], input=TEXT % b"local", check=True, timeout=60)
            self.assertEqual(made if signs else [], self.selectors(self.arrived(count)))
        self.assertIn("is not in dkim.sign_local", self.server.mta("trace", "anna@example.org"))

    def test_verified(self) -> None:
        """What dkimpy has signed passes, whole; what was changed on its way does not."""
        self.server.change(judge=[{"kind": "dkim"}])
        self.server.write()
        self.server.mta("reload")
        key = make_key("rsa")
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        record = StoredKey(
            "sender.test",
            "s",
            "rsa-sha256",
            b64encode(
                key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            ).decode(),
        ).record
        self.names.records["s._domainkey.sender.test", "TXT"] = [quoted_text(record)]
        for size in (1, 20_000):
            text = TEXT.replace(b"example.org", b"sender.test") % b"good" + b"line  of text \t\r\n" * size
            field = dkim.sign(text, b"s", b"sender.test", pem, canonicalize=(b"relaxed", b"simple"))
            for content, result in ((field + text, b"pass"), (field + text + b"more\r\n", b"fail")):
                before = len(self.server.mails("ben@example.org"))
                with smtplib.SMTP("127.0.0.1", self.server.ports["mx"]) as client:
                    client.sendmail("anna@sender.test", ["ben@example.org"], content)
                mails = self.server.wait_mail("ben@example.org", before + 1)
                found = [mail for mail in mails if b"dkim=" + result in mail and len(mail) > size * 10]
                self.assertTrue(found, mails[-1][:2000])
                self.assertRegex(found[0], rb"header\.d=sender\.test")
        told = self.server.mta("trace", "anna@sender.test")
        self.assertIn("pass: sender.test, s, rsa-sha256, 2048 bits", told)
        self.assertIn("the body was changed", told)

    def test_forwarded(self) -> None:
        """What an alias leads away is sealed, again and again, and dkimpy finds the chain good."""
        (self.server.base / "aliases").write_text("away: rita@remote.test\n")
        self.server.change(
            domains={"example.org": {"aliases": "aliases"}}, judge=[{"kind": "dkim"}, {"kind": "arc"}]
        )
        self.server.write()
        self.publish(self.server.mta("dkim", "new", "example.org"))
        self.server.mta("dkim", "rotate", "example.org")
        content = TEXT.replace(b"anna@example.org", b"ann@sender.test") % b"forwarded"
        for hop in (1, 2, 3):
            with smtplib.SMTP("127.0.0.1", self.server.ports["mx"]) as client:
                client.sendmail("ann@sender.test", ["away@example.org"], content)
            content = self.arrived(hop)
            status, sets, why = dkim.arc_verify(content, dnsfunc=self._record)
            self.assertEqual((b"pass", hop), (status, len(sets)), why)
            self.assertNotIn(b"DKIM-Signature", content)
        self.assertIn(b"arc=pass", content)
        self.assertIn(b"ARC-Authentication-Results: i=3; mx.example.org;", content)
        told = self.server.mta("trace", "away@example.org")
        self.assertIn("arc sealers: 2: example.org", told)

    def test_opendkim(self) -> None:
        """OpenDKIM finds both of our signatures good, whole, and neither of a message that was changed."""
        printed = self.server.mta("dkim", "new", "example.org")
        made = self.publish(printed)
        self.server.mta("dkim", "rotate", "example.org")
        self.submit(TEXT % b"signed" + b"line  of text \t\r\n" * 10_000)
        signed = self.arrived(1)
        keys = make_dkim_key(self.place / "keys")
        lines = [f"{selector}._domainkey.example.org {self._text(selector)}\n" for selector in made]
        (keys / "key.public").write_text("".join(lines))
        settings = "AlwaysAddARHeader yes\nAuthservID open.test"
        verifier = self.part(OpenDkim(self.place / "verifier", "v", keys, settings))
        self.server.change(judge=[{"kind": "milter", "endpoint": verifier.endpoint}])
        self.server.write()
        self.server.mta("reload")
        for content, passes in ((signed, 2), (signed.replace(b"Hello", b"Hallo"), 0)):
            before = len(self.server.mails("ben@example.org"))
            with smtplib.SMTP("127.0.0.1", self.server.ports["mx"]) as client:
                client.sendmail("anna@example.org", ["ben@example.org"], content)
            mails = self.server.wait_mail("ben@example.org", before + 1)
            [results] = [
                field_value(
                    header_section(mail.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")),
                    b"authentication-results",
                )
                for mail in mails
                if (b"Hello" in mail) == bool(passes)
            ]
            assert results is not None
            self.assertEqual(passes, results.count(b"dkim=pass"), results)

    def _text(self, selector: str) -> str:
        return self._record(f"{selector}._domainkey.example.org".encode()).decode()

    def test_damaged_key(self) -> None:
        """A key that cannot be used is told of, with its file, and a reload keeps those in use."""
        made = self.publish(self.server.mta("dkim", "new", "example.org"))
        self.server.mta("dkim", "rotate", "example.org")
        key = self.server.state / "dkim" / f"example.org.{made[0]}.pem"
        whole = key.read_bytes()
        key.write_bytes(b"rubbish")
        problems: Any = self.server.mta("check", check=False)
        self.assertIn(str(key), problems)
        self.assertIn(str(key), self.server.mta("reload", check=False))
        self.submit(TEXT % b"signed")
        self.assertEqual(made, self.selectors(self.arrived(1)))
        key.write_bytes(whole)
        self.server.mta("reload")
