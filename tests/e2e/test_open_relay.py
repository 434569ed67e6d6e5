"""A stranger tries to have mail relayed, with every trick that has ever worked somewhere.

Whatever is relayed goes to a smarthost of ours that keeps it; so one look there tells whether anything
got through.  Each attempt is a session of its own, and is in the journal with the rule that refused it.
"""

from __future__ import annotations

import base64

from tests.e2e.client import Speaker
from tests.e2e.journal import events, wait_event
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server

TEXT = b"Subject: relayed\r\n\r\nBuy.\r\n"
STRANGER = b"MAIL FROM:<spammer@evil.test>"
#: MAIL, RCPT.
ATTEMPTS: tuple[tuple[bytes, bytes], ...] = (
    (STRANGER, b"RCPT TO:<victim@other.test>"),
    # Who it claims to be does not matter.
    (b"MAIL FROM:<>", b"RCPT TO:<victim@other.test>"),
    (b"MAIL FROM:<anna@example.org>", b"RCPT TO:<victim@other.test>"),
    (b"MAIL FROM:<anna@example.org> AUTH=anna@example.org", b"RCPT TO:<victim@other.test>"),
    (b"MAIL FROM:<postmaster@mx.example.org>", b"RCPT TO:<victim@other.test>"),
    (b"MAIL FROM:<spammer@[127.0.0.1]>", b"RCPT TO:<victim@other.test>"),
    (b"MAIL FROM:<spammer@localhost>", b"RCPT TO:<victim@other.test>"),
    (b"MAIL FROM:<victim@other.test>", b"RCPT TO:<victim@other.test>"),
    (b"MAIL FROM:<@mx.example.org:anna@example.org>", b"RCPT TO:<victim@other.test>"),
    # Source routes (RFC 5321, appendix C): only the last address counts.
    (STRANGER, b"RCPT TO:<@mx.example.org:victim@other.test>"),
    (STRANGER, b"RCPT TO:<@example.org:victim@other.test>"),
    (STRANGER, b"RCPT TO:<@example.org,@mx.example.org:victim@other.test>"),
    (STRANGER, b"RCPT TO:<@[127.0.0.1]:victim@other.test>"),
    (STRANGER, b"RCPT TO:<@example.org:@other.test:anna@example.org>"),
    (STRANGER, b"RCPT TO:<@example.org:victim%other.test@example.org>"),
    (STRANGER, b"RCPT TO:<@other.test:victim@other.test,anna@example.org>"),
    # The percent hack, also of our own names.
    (STRANGER, b"RCPT TO:<victim%other.test@example.org>"),
    (STRANGER, b"RCPT TO:<victim%other.test@mx.example.org>"),
    (STRANGER, b"RCPT TO:<victim%other.test@[127.0.0.1]>"),
    (STRANGER, b"RCPT TO:<victim%other.test%example.org@example.org>"),
    (STRANGER, b"RCPT TO:<victim%other.test>"),
    (STRANGER, b"RCPT TO:<%other.test@example.org>"),
    (STRANGER, b"RCPT TO:<victim%25other.test@example.org>"),
    # Bang paths (UUCP), alone and with others.
    (STRANGER, b"RCPT TO:<other.test!victim>"),
    (STRANGER, b"RCPT TO:<other.test!victim@example.org>"),
    (STRANGER, b"RCPT TO:<mx.example.org!other.test!victim>"),
    (STRANGER, b"RCPT TO:<example.org!other.test!victim@mx.example.org>"),
    (STRANGER, b"RCPT TO:<other.test!victim%other.test@example.org>"),
    (STRANGER, b"RCPT TO:<uucp!other.test!victim@[127.0.0.1]>"),
    # An @ within the local part, quoted and not, and more than one.
    (STRANGER, b'RCPT TO:<"victim@other.test"@example.org>'),
    (STRANGER, b'RCPT TO:<"victim@other.test">'),
    (STRANGER, b'RCPT TO:<"victim@other.test"@mx.example.org>'),
    (STRANGER, b'RCPT TO:<"victim%other.test"@example.org>'),
    (STRANGER, b'RCPT TO:<"other.test!victim"@example.org>'),
    (STRANGER, b'RCPT TO:<"@other.test:victim"@example.org>'),
    (STRANGER, b'RCPT TO:<"<victim@other.test>"@example.org>'),
    (STRANGER, b'RCPT TO:<"anna@example.org"@other.test>'),
    (STRANGER, b"RCPT TO:<victim@other.test@example.org>"),
    (STRANGER, b"RCPT TO:<anna@example.org@other.test>"),
    (STRANGER, b"RCPT TO:<victim\\@other.test@example.org>"),
    (STRANGER, b"RCPT TO:<victim@other.test> <anna@example.org>"),
    (STRANGER, b"RCPT TO:<victim@other.test,anna@example.org>"),
    (STRANGER, b"RCPT TO:<anna@example.org>,<victim@other.test>"),
    # Names that are nearly ours.
    (STRANGER, b"RCPT TO:<victim@other.test.>"),
    (STRANGER, b"RCPT TO:<victim@OTHER.TEST>"),
    (STRANGER, b"RCPT TO:<victim@example.org.other.test>"),
    (STRANGER, b"RCPT TO:<victim@notexample.org>"),
    (STRANGER, b"RCPT TO:<victim@sub.example.org>"),
    (STRANGER, b"RCPT TO:<victim@other.test#example.org>"),
    (STRANGER, b"RCPT TO:<victim@other.test/example.org>"),
    (STRANGER, b"RCPT TO:<victim@other.test\0@example.org>"),
    (STRANGER, b"RCPT TO:<victim@other.test\0.example.org>"),
    (STRANGER, b"RCPT TO:<victim@other.test%00@example.org>"),
    (STRANGER, b"RCPT TO:<victim@other.test%00.example.org>"),
    (STRANGER, b"RCPT TO:<victim@other.test\t@example.org>"),
    (STRANGER, b"RCPT TO:<victim@other.test (@example.org)>"),
    (STRANGER, b"RCPT TO:<victim@ex\xc3\xa4mple.org>"),
    (STRANGER, "RCPT TO:<victim@other。test>".encode()),
    (STRANGER, "RCPT TO:<victim＠other.test@example.org>".encode()),
    # Address literals, plain, of IPv6, and in odd notations.
    (STRANGER, b"RCPT TO:<victim@[192.0.2.1]>"),
    (STRANGER, b"RCPT TO:<victim@[IPv6:2001:db8::1]>"),
    (STRANGER, b"RCPT TO:<victim@[ipv6:::ffff:192.0.2.1]>"),
    (STRANGER, b"RCPT TO:<victim@[2001:db8::1]>"),
    (STRANGER, b"RCPT TO:<victim@192.0.2.1>"),
    (STRANGER, b"RCPT TO:<victim@[3221225985]>"),
    (STRANGER, b"RCPT TO:<victim@[other.test]>"),
    # None at all.
    (STRANGER, b"RCPT TO:<victim@>"),
    (STRANGER, b"RCPT TO:<@other.test>"),
    (STRANGER, b"RCPT TO:<>"),
    (STRANGER, b"RCPT TO:<victim>"),
    (STRANGER, b"RCPT TO:victim@other.test"),
    (STRANGER, b"RCPT TO: victim@other.test"),
    (STRANGER, b"RCPT TO:<victim@other.test"),
    # Parameters that ask for more than a recipient.
    (STRANGER, b"RCPT TO:<victim@other.test> ORCPT=rfc822;anna@example.org"),
    (STRANGER, b"RCPT TO:<victim@other.test> NOTIFY=SUCCESS"),
    (STRANGER, b"RCPT TO:<anna@example.org> TO=<victim@other.test>"),
    (b"MAIL FROM:<spammer@evil.test> XFORWARD=127.0.0.1", b"RCPT TO:<victim@other.test>"),
)


class OpenRelayScenario(Scenario):
    def setUp(self) -> None:
        super().setUp()
        self.remote: Remote = self.part(Remote())
        self.server: Server = self.part(
            Server(
                self.place / "server",
                relay={"smarthost": f"127.0.0.1:{self.remote.port}"},
                # What a misreading of the domain would be taken by.
                domains={"example.org": {}, "all.test": {"catch_all": "anna@example.org"}},
                limits={"connections_per_client": 1000},
            )
        ).start()

    def attempt(self, mail: bytes, rcpt: bytes, port: str = "mx") -> bytes:
        """The first refusal of a session that goes all the way."""
        with Speaker(self.server.ports[port]) as speaker:
            try:
                for command in (mail, rcpt, b"DATA"):
                    [reply] = speaker.say(command)
                    if not reply.startswith((b"2", b"354")):
                        return reply
                speaker.socket.sendall(TEXT + b".\r\n")
                return speaker.reply()
            except ConnectionError:
                return b"closed"

    def test_strangers(self) -> None:
        """None of them gets anything through, and each is refused for a reason that the journal tells."""
        self.assertGreaterEqual(len(ATTEMPTS), 40)
        for number, (mail, rcpt) in enumerate(ATTEMPTS):
            reply = self.attempt(mail, rcpt)
            self.assertRegex(reply, rb"\A5\d\d ", (mail, rcpt))
            known = wait_for(
                lambda number=number: (found := events(self.server, "rejected"))[number:] and found,
                f"not in the journal: {rcpt!r}",
            )
            self.assertEqual(number + 1, len(known), rcpt)
            event = known[-1]
            self.assertTrue(event.rule and event.reply and event.client and event.session, rcpt)
            self.assertEqual(str(event.code).encode(), reply[:3])
        self.nothing_left()

    def test_other_doors(self) -> None:
        """Submission wants a password; and neither HELO nor a failed AUTH makes anybody ours."""
        for rcpt in (b"RCPT TO:<victim@other.test>", b"RCPT TO:<anna@example.org>"):
            self.assertEqual(b"530", self.attempt(STRANGER, rcpt, "submission")[:3])
        with Speaker(self.server.ports["mx"]) as speaker:
            for hello in (
                b"EHLO mx.example.org",
                b"EHLO localhost",
                b"EHLO [127.0.0.1]",
                b"HELO example.org",
            ):
                replies = speaker.say(hello, STRANGER, b"RCPT TO:<victim@other.test>", b"RSET")
                self.assertEqual([b"250", b"250", b"550", b"250"], [reply[:3] for reply in replies])
            wrong = base64.b64encode(b"\0anna@example.org\0anna-secret")
            self.assertEqual(b"5", speaker.say(b"AUTH PLAIN " + wrong)[0][:1])
            replies = speaker.say(STRANGER, b"RCPT TO:<victim@other.test>")
            self.assertEqual([b"250", b"550"], [reply[:3] for reply in replies])
        wait_event(self.server, "rejected", lambda one: one.helo == "example.org", "HELO")
        self.nothing_left()

    def test_of_two_recipients_ours_alone(self) -> None:
        """One that is ours carries no other with it."""
        with Speaker(self.server.ports["mx"]) as speaker:
            replies = speaker.say(
                STRANGER, b"RCPT TO:<anna@example.org>", b"RCPT TO:<victim@other.test>", b"DATA"
            )
            self.assertEqual([b"250", b"250", b"550", b"354"], [reply[:3] for reply in replies])
            content = b"To: victim@other.test\r\nBcc: victim@other.test\r\nResent-To: victim@other.test\r\n"
            speaker.socket.sendall(content + TEXT + b".\r\n")
            self.assertEqual(b"250", speaker.reply()[:3])
        self.server.wait_mail("anna@example.org")
        self.nothing_left()

    def test_stays_here(self) -> None:
        """What is taken of such addresses is for our own people: a source route is dropped, and the
        local part of a catch-all leads nowhere else."""
        ours = (
            b"RCPT TO:<@other.test:anna@example.org>",
            b"RCPT TO:<@other.test,@evil.test:anna@EXAMPLE.org>",
            b"RCPT TO:<victim%other.test@all.test>",
            b"RCPT TO:<other.test!victim@all.test>",
            b'RCPT TO:<"victim@other.test"@all.test>',
            b'RCPT TO:<"@other.test:victim"@all.test>',
        )
        for rcpt in ours:
            self.assertEqual(b"250", self.attempt(STRANGER, rcpt)[:3], rcpt)
        self.server.wait_mail("anna@example.org", len(ours))
        self.nothing_left()

    def nothing_left(self) -> None:
        """Nobody asked the smarthost for anything; and it is one that would have taken it."""
        self.assertEqual((0, []), (self.remote.connections, self.remote.mails))
        with Speaker(str(self.server.state / "run" / "submit.sock")) as speaker:
            self.assertEqual(b"250", speaker.send("anna@example.org", ["victim@other.test"], TEXT)[:3])
        [mail] = self.remote.wait(1)
        self.assertIn("anna@example.org", mail.sender)
