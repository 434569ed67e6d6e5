"""A mail program that is given an address and a password finds out the rest, and reads and sends by it."""

from __future__ import annotations

import imaplib
import plistlib
import poplib
import smtplib
import ssl
import subprocess
from typing import Any
from xml.etree import ElementTree

from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import USERS, Server
from tests.e2e.slapd import make_authority

ADDRESS = "ben@example.org"
_OUTLOOK = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"


class MailProgramScenario(Scenario):
    """One server, which is asked as Thunderbird, Outlook and an iPhone ask."""

    def setUp(self) -> None:
        super().setUp()
        make_authority(self.place)
        tls = {"certificate": str(self.place / "cert.pem"), "key": str(self.place / "key.pem")}
        self.server: Server = self.part(Server(self.place / "server", hostname="localhost", tls=tls))
        for role in ("imap", "imaps", "pop3s"):
            self.server.add_listener(role)
        self.http = self.server.add_listener("http")
        # Nobody is greeted there.
        del self.server.ports["http"]
        self.server.write()
        self.server.start()
        self.trust = ssl.create_default_context(cafile=str(self.place / "ca.pem"))

    def curl(self, path: str, *more: str) -> bytes:
        """What is served; fails where the status is an error."""
        url = f"http://127.0.0.1:{self.http}{path}"
        done = subprocess.run(["curl", "-sS", "--fail", *more, url], capture_output=True, timeout=60)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def send(self, port: int, implicit: bool, subject: str) -> None:
        """Send a message to the account itself."""
        client: Any = (
            smtplib.SMTP_SSL("localhost", port, context=self.trust, timeout=60)
            if implicit
            else smtplib.SMTP("localhost", port, timeout=60)
        )
        with client:
            if not implicit:
                client.starttls(context=self.trust)
            client.login(ADDRESS, USERS[ADDRESS])
            client.sendmail(ADDRESS, [ADDRESS], f"Subject: {subject}\r\n\r\nx\r\n")

    def read(self, port: int, implicit: bool, subject: str) -> None:
        """Wait by IMAP until the message is there."""
        client = (
            imaplib.IMAP4_SSL("localhost", port, ssl_context=self.trust, timeout=60)
            if implicit
            else imaplib.IMAP4("localhost", port, timeout=60)
        )
        with client:
            if not implicit:
                client.starttls(self.trust)
            client.login(ADDRESS, USERS[ADDRESS])
            client.select("INBOX")

            def there() -> bool:
                client.noop()
                count = int(client.response("EXISTS")[1][-1] or 0)  # type: ignore[arg-type]
                found = [
                    client.fetch(str(n), "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0]
                    for n in range(1, count + 1)
                ]
                return any(subject.encode() in one[1] for one in found if isinstance(one, tuple))

            client.untagged_responses.setdefault("EXISTS", [b"0"])
            wait_for(there, f"{subject} does not arrive")

    def test_thunderbird(self) -> None:
        """Every way that the document names is gone."""
        document = self.curl(f"/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress={ADDRESS}")
        provider = ElementTree.fromstring(document).find("emailProvider")
        assert provider is not None
        servers = [
            (
                one.get("type"),
                one.findtext("hostname"),
                int(one.findtext("port") or 0),
                one.findtext("socketType") == "SSL",
            )
            for one in provider
            if one.tag.endswith("Server")
        ]
        self.assertEqual(
            [("imap", True), ("imap", False), ("pop3", True), ("smtp", True), ("smtp", False)],
            [(kind, implicit) for kind, _, _, implicit in servers],
        )
        self.assertEqual({"localhost"}, {host for _, host, _, _ in servers})
        for kind, _, port, implicit in reversed(servers):
            if kind == "smtp":
                self.send(port, implicit, f"sent-{port}")
        self.server.wait_mail(ADDRESS, 2)
        subject = f"sent-{servers[-1][2]}"
        for kind, _, port, implicit in servers:
            if kind == "imap":
                self.read(port, implicit, subject)
            elif kind == "pop3":
                client = poplib.POP3_SSL("localhost", port, context=self.trust, timeout=60)
                client.user(ADDRESS)
                client.pass_(USERS[ADDRESS])
                self.assertEqual(2, client.stat()[0])
                client.quit()

    def test_outlook(self) -> None:
        """It asks by POST, writes the path as it likes, and reads the first of each kind."""
        body = (
            '<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">'
            f"<Request><EMailAddress>{ADDRESS}</EMailAddress></Request></Autodiscover>"
        )
        answer = self.curl("/Autodiscover/Autodiscover.xml", "-H", "Content-Type: text/xml", "-d", body)
        found = {
            one.findtext(f"{_OUTLOOK}Type"): int(one.findtext(f"{_OUTLOOK}Port") or 0)
            for one in ElementTree.fromstring(answer).iter(f"{_OUTLOOK}Protocol")
        }
        self.assertEqual({"IMAP", "POP3", "SMTP"}, set(found))
        self.send(found["SMTP"], True, "from Outlook")
        self.read(found["IMAP"], True, "from Outlook")

    def test_profile_and_records(self) -> None:
        """The profile has the ports that listen, `mta dns` prints them; a stranger's domain has nothing."""
        [account] = plistlib.loads(self.curl(f"/mail/apple.mobileconfig?emailaddress={ADDRESS}"))[
            "PayloadContent"
        ]
        ports = self.server.ports
        self.assertEqual(
            (ports["imaps"], ports["submissions"]),
            (account["IncomingMailServerPortNumber"], account["OutgoingMailServerPortNumber"]),
        )
        told = self.server.mta("dns", "example.org")
        for role, label in (("imaps", "_imaps"), ("submissions", "_submissions")):
            self.assertRegex(told, rf"{label}\._tcp\.example\.org\. +SRV +0 1 {ports[role]} localhost\.")
        url = f"http://127.0.0.1:{self.http}/mail/config-v1.1.xml?emailaddress=x@other.test"
        done = subprocess.run(
            ["curl", "-sS", "-w", "%{http_code}", url], capture_output=True, timeout=60, text=True
        )
        self.assertEqual("This server has nothing to tell about that domain.\n404", done.stdout)
