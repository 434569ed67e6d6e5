"""Programs that people really send with: smtplib, aiosmtplib, smtp-source, and SCRAM by hand."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import smtplib
import ssl
import subprocess
from email.message import EmailMessage

import aiosmtplib

from tests.e2e.client import Speaker
from tests.e2e.scenario import Scenario, program
from tests.e2e.server import Server


def letter(subject: str, to: str = "ben@example.org") -> EmailMessage:
    """A message from Anna, with an attachment and text that is not ASCII."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Anna <anna@example.org>", to, subject
    mail.set_content("Grüße\n.\n..\nand so on\n")
    mail.add_attachment(bytes(range(256)) * 40, maintype="application", subtype="octet-stream")
    return mail


def trusting() -> ssl.SSLContext:
    """TLS with the self-signed certificate of an embedded server."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def xor(first: bytes, second: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(first, second, strict=True))


class ClientsScenario(Scenario):
    def setUp(self) -> None:
        super().setUp()
        self.server = self.part(Server(self.place / "server")).start()

    def test_smtplib(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.server.ports["submission"], timeout=60) as client:
            client.starttls(context=trusting())
            client.login("anna@example.org", "anna-secret")
            for number in range(3):
                self.assertEqual({}, client.send_message(letter(f"starttls {number}")))
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                client.sendmail("anna@example.org", ["no@example.org"], b"Subject: x\r\n\r\nx\r\n")
            refused = client.sendmail(
                "anna@example.org", ["no@example.org", "ben@example.org"], b"Subject: some\r\n\r\nx\r\n"
            )
            self.assertEqual(550, refused["no@example.org"][0])
        port = self.server.ports["submissions"]
        with smtplib.SMTP_SSL("127.0.0.1", port, timeout=60, context=trusting()) as client:
            client.login("anna@example.org", "anna-secret")
            client.send_message(letter("tls"))
        mails = self.server.wait_mail("ben@example.org", 5)
        sent = letter("x").as_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")[2]
        body = next(mail for mail in mails if b"Subject: tls" in mail).replace(b"\r\n", b"\n")
        # Boundaries are made anew each time; the encoded content is not.
        self.assertIn(sent.split(b"\n\n")[1].split(b"\n--")[0], body)

    def test_starttls_forgets(self) -> None:
        """What was said before STARTTLS does not count after it (RFC 3207, 4.2)."""
        with smtplib.SMTP("127.0.0.1", self.server.ports["mx"], timeout=60) as client:
            client.ehlo()
            client.starttls(context=trusting())
            self.assertEqual(503, client.docmd("MAIL FROM:<anna@example.org>")[0])
            client.ehlo()
            client.mail("anna@example.org")
            self.assertEqual(503, client.docmd("STARTTLS")[0])

    def test_starttls_injection(self) -> None:
        """Commands that came in clear text behind STARTTLS are not obeyed (CVE-2011-0411)."""
        with Speaker(self.server.ports["mx"]) as speaker:
            speaker.socket.sendall(b"STARTTLS\r\nMAIL FROM:<evil@client.test>\r\n")
            answer = speaker.reply()
            if answer.startswith(b"220"):
                context = trusting()
                try:
                    secure = context.wrap_socket(speaker.socket)
                except (ssl.SSLError, OSError):
                    return
                secure.sendall(b"EHLO client.test\r\nRCPT TO:<ben@example.org>\r\n")
                seen = b""
                while b"503" not in seen and (block := secure.recv(4096)):
                    seen += block
                self.assertNotIn(b"2.1.5", seen)

    def test_aiosmtplib(self) -> None:
        async def story() -> None:
            client = aiosmtplib.SMTP(
                hostname="127.0.0.1",
                port=self.server.ports["submission"],
                start_tls=True,
                tls_context=trusting(),
                username="anna@example.org",
                password="anna-secret",
                timeout=60,
            )
            async with client:
                for number in range(3):
                    refused, _ = await client.send_message(letter(f"aiosmtplib {number}"))
                    self.assertEqual({}, refused)
            with self.assertRaises(aiosmtplib.SMTPAuthenticationError):
                await aiosmtplib.send(
                    letter("no"),
                    hostname="127.0.0.1",
                    port=self.server.ports["submissions"],
                    use_tls=True,
                    tls_context=trusting(),
                    username="anna@example.org",
                    password="wrong",
                )

        asyncio.run(story())
        self.server.wait_mail("ben@example.org", 3)

    def test_smtp_source(self) -> None:
        """Many connections, one message each; and few connections with many messages each."""
        command = [program("smtp-source"), "-s", "10", "-m", "200", "-l", "4000", "-f", "s@client.test"]
        target = f"127.0.0.1:{self.server.ports['mx']}"
        for option in ([], ["-d"]):
            done = subprocess.run(
                [*command, *option, "-t", "ben@example.org", target], capture_output=True, text=True
            )
            self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.server.wait_mail("ben@example.org", 400)

    def test_scram(self) -> None:
        """SCRAM-SHA-256 (RFC 7677): the password never leaves us, and the server proves itself too."""
        with smtplib.SMTP("127.0.0.1", self.server.ports["submission"], timeout=60) as client:
            client.starttls(context=trusting())
            client.ehlo()
            self.assertIn("SCRAM-SHA-256", client.esmtp_features["auth"].split())
            nonce = secrets.token_urlsafe(18)
            bare = f"n=anna@example.org,r={nonce}"
            first = base64.b64encode(f"n,,{bare}".encode()).decode()
            code, text = client.docmd("AUTH", f"SCRAM-SHA-256 {first}")
            self.assertEqual(334, code)
            challenge = base64.b64decode(text).decode()
            values = dict(item.split("=", 1) for item in challenge.split(","))
            self.assertTrue(values["r"].startswith(nonce))
            salted = hashlib.pbkdf2_hmac(
                "sha256", b"anna-secret", base64.b64decode(values["s"]), int(values["i"])
            )
            key = hmac.digest(salted, b"Client Key", "sha256")
            without = f"c=biws,r={values['r']}"
            over = f"{bare},{challenge},{without}".encode()
            proof = xor(key, hmac.digest(hashlib.sha256(key).digest(), over, "sha256"))
            final = f"{without},p={base64.b64encode(proof).decode()}"
            code, text = client.docmd(base64.b64encode(final.encode()).decode())
            signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), over, "sha256")
            if code == 334:
                self.assertEqual(b"v=" + base64.b64encode(signature), base64.b64decode(text))
                code, text = client.docmd("")
            self.assertEqual(235, code, text)
            client.send_message(letter("scram"))
        self.server.wait_mail("ben@example.org")
