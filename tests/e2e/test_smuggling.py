"""SMTP smuggling: a message that others would read as two, taken or handed on.

Inwards: whatever some server takes for the end of a message, and is not CR LF . CR LF, makes the whole
of it refused, once; and nothing of what follows is a command.  Outwards: what we send ends once, also
where a client may send bare CR and LF (BINARYMIME).
"""

from __future__ import annotations

import itertools

from tests.e2e.client import Speaker
from tests.e2e.journal import events, wait_event
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server

#: What a second message would be, had the first ended before.
SECOND = (
    b"MAIL FROM:<forged@example.org>{e}RCPT TO:<ben@example.org>{e}DATA{e}"
    b"From: forged@example.org{e}Subject: smuggled{e}{e}smuggled{e}.{e}"
)
_BREAKS = (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\0\n", b"\x0b", b"\x85", b"\xe2\x80\xa8")
#: Every pair of line ends around a dot but the right one.
ENDS = [
    before + b"." + after
    for before, after in itertools.product(_BREAKS, _BREAKS)
    if (before, after) != (b"\r\n", b"\r\n")
] + [b"\r\n.\r\0\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r.\r.\r\n", b"\n.\n.\n", b"\r\n.\r\r\n", b"\r\n. \n"]
#: Of these the octets are those of any text: they end nothing, for anybody.
HARMLESS = (b"\x0b", b"\x85", b"\xe2\x80\xa8")


class SmugglingScenario(Scenario):
    def setUp(self) -> None:
        super().setUp()
        self.remote: Remote = self.part(Remote())
        self.server: Server = self.part(
            Server(self.place / "server", relay={"smarthost": f"127.0.0.1:{self.remote.port}"})
        ).start()

    def content(self, end: bytes) -> bytes:
        breaks = b"\n" if b"\r" not in end else b"\r" if b"\n" not in end else b"\r\n"
        return b"Subject: first\r\n\r\nfirst" + end + SECOND.replace(b"{e}", breaks)

    def test_ends_inwards(self) -> None:
        """One reply for all of it, and that a refusal, where anybody might find an end in it."""
        wanted = 0
        for end in ENDS:
            content = self.content(end)
            # An end that is right for us too may be in the second one's own lines.
            content = content.replace(b"\r\n.\r\n", b"\r\n..\r\n")
            rest = content.replace(b"\r\n", b"")
            broken = b"\r" in rest or b"\n" in rest or b"\0" in rest
            with Speaker(self.server.ports["mx"]) as speaker:
                speaker.say(b"MAIL FROM:<s@evil.test>", b"RCPT TO:<anna@example.org>", b"DATA")
                speaker.socket.sendall(content + b"\r\n.\r\nNOOP\r\nQUIT\r\n")
                replies = [speaker.reply()[:1] for _ in range(3)]
                self.assertRaises(ConnectionError, speaker.reply)
            self.assertEqual([b"5" if broken else b"2", b"2", b"2"], replies, end)
            self.assertTrue(broken or any(octets in end for octets in HARMLESS), end)
            wanted += broken
        wait_for(lambda: len(events(self.server, "rejected")) >= wanted, "not all are in the journal")
        refused = events(self.server, "rejected")
        self.assertEqual({"bare-line-ending", "nul-octet"}, {event.rule for event in refused})
        self.assertEqual(wanted, len(refused))
        self.assertTrue(all(event.evidence for event in refused))
        self.server.wait_mail("anna@example.org", len(ENDS) - wanted)
        self.assertEqual([], self.server.mails("ben@example.org"))

    def test_lines_of_commands(self) -> None:
        """A bare CR or LF in a command ends nothing either."""
        for line in (
            b"NOOP\nMAIL FROM:<a@evil.test>",
            b"NOOP\rMAIL FROM:<a@evil.test>",
            b"MAIL FROM:<a@evil.test>\nRCPT TO:<ben@example.org>\nDATA",
            b"EHLO x\n.\nMAIL FROM:<a@evil.test>",
        ):
            with Speaker(self.server.ports["mx"]) as speaker:
                speaker.socket.sendall(line + b"\r\n")
                for _ in range(line.count(b"\n") + 1):
                    self.assertEqual(b"500", speaker.reply()[:3], line)
                # It is in no transaction.
                self.assertEqual(b"503", speaker.say(b"RCPT TO:<ben@example.org>")[0][:3], line)

    def test_chunks_inwards(self) -> None:
        """BDAT counts, and looks for no end; what is bare is refused there too, unless it is declared."""
        content = self.content(b"\n.\n")
        with Speaker(self.server.ports["mx"]) as speaker:
            speaker.say(b"MAIL FROM:<s@evil.test>", b"RCPT TO:<anna@example.org>")
            speaker.socket.sendall(b"BDAT %d LAST\r\n%bNOOP\r\n" % (len(content), content))
            self.assertEqual([b"550", b"250"], [speaker.reply()[:3], speaker.reply()[:3]])
            # A right end is content as well, where octets are counted.
            speaker.say(b"MAIL FROM:<s@evil.test>", b"RCPT TO:<anna@example.org>")
            content = b"Subject: first\r\n\r\nfirst\r\n.\r\n" + SECOND.replace(b"{e}", b"\r\n")
            speaker.socket.sendall(b"BDAT %d LAST\r\n%bNOOP\r\n" % (len(content), content))
            self.assertEqual([b"250", b"250"], [speaker.reply()[:3], speaker.reply()[:3]])
        [mail] = self.server.wait_mail("anna@example.org")
        self.assertIn(b"smuggled", mail)
        self.assertEqual([], self.server.mails("ben@example.org"))
        wait_event(self.server, "rejected", lambda event: event.rule == "bare-line-ending", "bare")

    def test_chunks_out_of_place(self) -> None:
        """The octets of a chunk that is refused are no commands."""
        hidden = b"MAIL FROM:<forged@example.org>\r\nRCPT TO:<ben@example.org>\r\n"
        with Speaker(self.server.ports["mx"]) as speaker:
            speaker.socket.sendall(b"BDAT %d LAST\r\n%bNOOP\r\n" % (len(hidden), hidden))
            self.assertEqual([b"503", b"250"], [speaker.reply()[:3], speaker.reply()[:3]])
            speaker.socket.sendall(b"BDAT 1x LAST\r\n" + hidden)
            self.assertEqual(b"501", speaker.reply()[:3])
            self.assertRaises(ConnectionError, speaker.reply)

    def relay(self, commands: tuple[bytes, ...], content: bytes) -> bytes:
        """Submit something for elsewhere, in one chunk; the reply."""
        speaker = Speaker(str(self.server.state / "run" / "submit.sock"))
        with speaker:
            for command in commands:
                self.assertEqual(b"250", speaker.say(command)[0][:3])
            speaker.socket.sendall(b"BDAT %d LAST\r\n%b" % (len(content), content))
            return speaker.reply()

    def test_dots_outwards(self) -> None:
        """What lies behind a right end inside a chunk is content to the next server too."""
        content = b"Subject: first\r\n\r\nfirst\r\n.\r\n" + SECOND.replace(b"{e}", b"\r\n")
        commands = (b"MAIL FROM:<anna@example.org>", b"RCPT TO:<rita@remote.test>")
        self.assertEqual(b"250", self.relay(commands, content)[:3])
        [mail] = self.remote.wait(1)
        self.assertTrue(mail.content.endswith(content), mail.content)
        self.assertEqual(1, sum(command.startswith("MAIL") for command in self.remote.commands))

    def test_binary_outwards(self) -> None:
        """What may hold bare CR and LF goes to nobody who has to look for its end."""
        for number, end in enumerate((b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n")):
            content = self.content(end)
            commands = (
                b"MAIL FROM:<anna@example.org> BODY=BINARYMIME",
                b"RCPT TO:<rita%d@remote.test>" % number,
            )
            self.assertEqual(b"250", self.relay(commands, content)[:3], end)
            wait_event(
                self.server,
                "failed",
                lambda event, number=number: event.recipient == f"rita{number}@remote.test",
                f"{end!r} did not fail",
            )
        self.assertEqual([], self.remote.mails)
        self.assertNotIn("DATA", self.remote.commands)
