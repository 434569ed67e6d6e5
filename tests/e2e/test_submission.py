"""People send mail with their accounts: what works, what is refused, and what the journal tells of it."""

from __future__ import annotations

import subprocess

from tests.e2e.dovecot import Dovecot
from tests.e2e.scenario import Scenario, program
from tests.e2e.server import Server
from tests.e2e.slapd import Slapd


def swaks(server: Server, role: str, *options: str, user: str = "", password: str = "", to: str = "") -> str:
    """What swaks says and hears; over STARTTLS or TLS, as the role demands."""
    tls = {"submission": ["--tls"], "submissions": ["--tls-on-connect"]}.get(role, [])
    auth = ["--auth-user", user, "--auth-password", password] if user else []
    command = [program("swaks"), "--server", "127.0.0.1", "--port", str(server.ports[role]), *tls, *auth]
    command += ["--to", to or "ben@example.org", "--from", user or "stranger@elsewhere.test"]
    command += ["--helo", "client.test", "--timeout", "20", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


class SubmissionStory:
    """The same story for any directory that knows anna and ben."""

    server: Server

    def test_mechanisms(self) -> None:
        """PLAIN and LOGIN, over STARTTLS and over TLS from the first byte."""
        for role in ("submission", "submissions"):
            for mechanism in ("PLAIN", "LOGIN"):
                said = swaks(
                    self.server, role, "--auth", mechanism, user="anna@example.org", password="anna-secret"
                )
                self.assertRegex(said, r"(?m)^<~\s+235 ")
                self.assertRegex(said, r"(?m)^<~\s+250 .*queued|^<~\s+250 2\.")
        mails = self.server.wait_mail("ben@example.org", 4)
        self.assertTrue(all(b"with ESMTPSA" in mail for mail in mails), mails)
        told = self.server.wait_trace("ben@example.org", "anna@example.org", "delivered")
        self.assertNotIn("anna-secret", told + self.server.output)

    def test_wrong_password(self) -> None:
        said = swaks(self.server, "submission", user="anna@example.org", password="wrong-word")
        self.assertIn("535 5.7.8", said)
        told = self.server.wait_trace("anna@example.org", "anna@example.org")
        self.assertNotIn("wrong-word", told + self.server.output)

    def test_unknown_user(self) -> None:
        """The answer is that of a wrong password: nobody learns who exists."""
        said = swaks(self.server, "submissions", user="nobody@example.org", password="anything")
        self.assertIn("535 5.7.8", said)
        self.server.wait_trace("nobody@example.org", "nobody@example.org")

    def test_unknown_recipient(self) -> None:
        said = swaks(
            self.server, "submission", user="anna@example.org", password="anna-secret", to="no@example.org"
        )
        self.assertIn("550 5.1.1", said)
        self.server.wait_trace("no@example.org", "550", "5.1.1", "anna@example.org")

    def test_unknown_recipient_from_outside(self) -> None:
        self.assertIn("550 5.1.1", swaks(self.server, "mx", to="no@example.org"))
        self.server.wait_trace("no@example.org", "550", "5.1.1", "127.0.0.1")

    def test_relay_attempt(self) -> None:
        self.assertIn("550 5.7.1", swaks(self.server, "mx", to="victim@elsewhere.test"))
        self.server.wait_trace("victim@elsewhere.test", "550", "5.7.1", "stranger@elsewhere.test")

    def test_without_tls_or_account(self) -> None:
        plain = ["--auth", "PLAIN", "--auth-user", "anna@example.org", "--auth-password", "anna-secret"]
        command = [program("swaks"), "--server", "127.0.0.1", "--port", str(self.server.ports["submission"])]
        done = subprocess.run(
            [*command, "--to", "ben@example.org", *plain], capture_output=True, text=True, timeout=60
        )
        offered = [line for line in done.stdout.splitlines() if "-AUTH " in line or " AUTH " in line[:12]]
        self.assertNotIn("PLAIN", " ".join(offered))
        self.assertNotIn("LOGIN", " ".join(offered))
        self.assertNotEqual(0, done.returncode)
        self.assertIn("530", swaks(self.server, "submission"))

    def test_others_address(self) -> None:
        said = swaks(
            self.server,
            "submission",
            "--from",
            "ben@example.org",
            user="anna@example.org",
            password="anna-secret",
        )
        self.assertIn("550 5.7.1", said)
        self.server.wait_trace("anna@example.org", "550", "ben@example.org")


class FileScenario(SubmissionStory, Scenario):
    """Accounts in a passwd-file."""

    def setUp(self) -> None:
        super().setUp()
        self.server = self.part(Server(self.place / "server")).start()

    def test_read_by_imap(self) -> None:
        """What is delivered is a Maildir that Dovecot reads."""
        dovecot = self.part(Dovecot(self.place / "dovecot", self.server.state / "mail"))
        swaks(
            self.server, "submission", "--body", "From Anna", user="anna@example.org", password="anna-secret"
        )
        self.server.wait_mail("ben@example.org")
        [mail] = dovecot.read("ben@example.org")
        self.assertIn(b"From Anna", mail)
        self.assertTrue(mail.startswith(b"Return-Path: <anna@example.org>\r\n"), mail)
        self.assertRegex(mail, rb"(?s)Received: from client\.test .*by mx\.example\.org")


class LdapScenario(SubmissionStory, Scenario):
    """Accounts in a real slapd, over StartTLS."""

    def setUp(self) -> None:
        super().setUp()
        self.slapd = self.part(Slapd(self.place / "slapd"))
        self.server = Server(self.place / "server", None)
        (self.place / "server" / "service").write_text("service-secret\n")
        self.server.change(
            identity=[
                {
                    "kind": "ldap",
                    "uri": self.slapd.uri,
                    "base": "dc=example,dc=org",
                    "bind_dn": "cn=mta,dc=example,dc=org",
                    "password_file": "service",
                    "start_tls": True,
                    "ca_file": str(self.slapd.base / "ca.pem"),
                    "list_filter": "(&(objectClass=mtaList)(mail={address}))",
                    # Ben forwards everything in the example; this story wants his mail here.
                    "forward": "noForward",
                    "down_for": 0,
                    "stale": 0,
                    "cache": 0,
                }
            ]
        )
        self.server.write()
        self.part(self.server).start()

    def test_alternate_address_and_list(self) -> None:
        for to in ("a.example@example.org", "team@example.org"):
            said = swaks(self.server, "submission", user="anna@example.org", password="anna-secret", to=to)
            self.assertRegex(said, r"(?m)^<~\s+250 2\.")
        self.server.wait_mail("anna@example.org", 2)
        self.server.wait_mail("ben@example.org", 1)

    def test_stopped(self) -> None:
        """A directory that is down is our trouble: come again later, and it works again."""
        self.slapd.stop()
        said = swaks(self.server, "submission", user="anna@example.org", password="anna-secret")
        self.assertIn("454 4.7.0", said)
        self.assertRegex(swaks(self.server, "mx", to="anna@example.org"), r"451 4\.[34]")
        self.server.wait_trace("anna@example.org", "451")
        self.slapd.start()
        said = swaks(
            self.server, "submission", user="anna@example.org", password="anna-secret", to="anna@example.org"
        )
        self.assertRegex(said, r"(?m)^<~\s+250 2\.")
        self.server.wait_mail("anna@example.org")
