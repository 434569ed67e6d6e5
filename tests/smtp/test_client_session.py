"""What our client says, and what it makes of the answers."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.model.message import FileContent
from mta.model.outcome import Delivered, Failed, Outcome, Postponed, RemoteReply
from mta.smtp.client_auth import Credentials, KeyWanted, ScramSha256, salted_password
from mta.smtp.client_event import Derive, Ended, Examine, Over, Ready, SessionEvent, StartTls, Stream, Trouble
from mta.smtp.client_session import ClientSession
from mta.smtp.client_stuffing import DotStuffer, examine
from mta.smtp.client_transaction import Transaction
from tests.smtp.client_script import MAIL, OFFER, TRACE, ScriptedServer, transaction

CHUNKS = (*OFFER, "CHUNKING")


class Conversation:
    """A session and a scripted server, put together in memory.

    :ivar writes: what the client sent, one item for each write.
    """

    def __init__(
        self, server: ScriptedServer, *transactions: Transaction, piece: int = 0, **session: Any
    ) -> None:
        self.server = server
        self.session = ClientSession(helo="me.test", host="far.test [192.0.2.1]:25", **session)
        self.waiting = list(transactions)
        self.piece = piece
        self.writes: list[bytes] = []
        self.ended: list[Transaction] = []
        self.over: Over | None = None
        self.ready = False
        self.verified = (True, "")
        self.password = "secret"

    def run(self) -> Conversation:
        answer = self.server.greet()
        while not self.over:
            size = self.piece or max(1, len(answer))
            for start in range(0, len(answer), size):
                self.act(self.session.receive(answer[start : start + size]))
            if self.over or (self.server.closed and not answer):
                break
            answer = b"" if self.server.closed else self.flow()
            if not answer and not self.server.closed:
                if self.session.free and not self.waiting and self.session.idle:
                    return self
                raise AssertionError(f"both sides wait: {self.server.commands}")
        if not self.over:
            self.act(self.session.lost())
        return self

    def flow(self) -> bytes:
        while self.session.free and self.waiting:
            self.act(self.session.begin(self.waiting.pop(0)))
        out = b"".join(self.session.take())
        if out:
            self.writes.append(out)
        return self.server.receive(out)

    def act(self, events: list[SessionEvent]) -> None:
        for event in events:
            if isinstance(event, Ended):
                self.ended.append(event.transaction)
            elif isinstance(event, Over):
                self.over = event
            elif isinstance(event, Ready):
                self.ready = True
            elif self.session.over:
                continue
            elif isinstance(event, StartTls):
                self.server.tls = True
                self.act(self.session.tls_established("TLSv1.3 X, words", *self.verified))
            elif isinstance(event, Derive):
                self.act(self.session.derived(salted_password(self.password, event.salt, event.iterations)))
            elif isinstance(event, Examine):
                event.transaction.examined(*examine(event.transaction.message.content))
                self.act(self.session.examined(event.transaction))
            elif isinstance(event, Stream):
                message = event.transaction.message
                stuffer = DotStuffer()
                blocks = [message.trace, *message.content.blocks()]
                if event.stuff:
                    blocks = [*map(stuffer.stuff, blocks), stuffer.end()]
                self.session._out.extend(blocks)
                self.act(self.session.streamed(event.transaction))

    @property
    def outcomes(self) -> list[Outcome | None]:
        return self.ended[0].outcomes

    @property
    def trouble(self) -> Trouble:
        assert self.over is not None and self.over.trouble is not None
        return self.over.trouble


def words(outcome: Outcome | None) -> tuple[str, int, str]:
    assert outcome is not None
    return type(outcome).__name__, outcome.reply.code, outcome.reply.command


class MessageTests(SynchronousTestCase):
    """One message over a session that is ready."""

    def test_data(self) -> None:
        """The envelope is one write, the content another, dots doubled."""
        talk = Conversation(ScriptedServer(), transaction()).run()
        self.assertEqual(
            [
                b"EHLO me.test\r\n",
                b"MAIL FROM:<a@b.test> SIZE=%d\r\nRCPT TO:<u@far.test>\r\nDATA\r\n" % len(TRACE + MAIL),
                TRACE + MAIL.replace(b"\r\n.", b"\r\n..") + b".\r\n",
            ],
            talk.writes,
        )
        self.assertEqual([(["<u@far.test>"], TRACE + MAIL)], talk.server.messages)
        reply = RemoteReply(250, "2.0.0", "taken", "far.test [192.0.2.1]:25", "end of data", "")
        self.assertEqual([Delivered(reply)], talk.outcomes)

    def test_chunks(self) -> None:
        """With CHUNKING everything is one write."""
        talk = Conversation(ScriptedServer(CHUNKS), transaction("a@far.test", "b@far.test")).run()
        self.assertEqual(2, len(talk.writes))
        self.assertEqual([(["<a@far.test>", "<b@far.test>"], TRACE + MAIL)], talk.server.messages)
        self.assertEqual(2, len([o for o in talk.outcomes if isinstance(o, Delivered)]))

    def test_no_pipelining(self) -> None:
        """Without PIPELINING each command waits for the reply to the one before."""
        talk = Conversation(ScriptedServer(("SIZE",)), transaction("a@far.test", "b@far.test")).run()
        self.assertEqual(6, len(talk.writes))
        self.assertEqual([(["<a@far.test>", "<b@far.test>"], TRACE + MAIL)], talk.server.messages)

    def test_no_pipelining_chunks(self) -> None:
        talk = Conversation(ScriptedServer(("CHUNKING",)), transaction()).run()
        self.assertEqual([(["<u@far.test>"], TRACE + MAIL)], talk.server.messages)
        self.assertEqual(["Delivered"], [type(o).__name__ for o in talk.outcomes])

    def test_pieces(self) -> None:
        """It does not matter how the replies are chunked."""
        for offer in (OFFER, CHUNKS, ()):
            for piece in (1, 2, 3, 7, 50):
                talk = Conversation(ScriptedServer(offer), transaction(), transaction(), piece=piece).run()
                self.assertEqual(2, len(talk.server.messages), (offer, piece))
                self.assertEqual(["Delivered"] * 2, [type(t.outcomes[0]).__name__ for t in talk.ended])

    def test_across_messages(self) -> None:
        """The next envelope goes in the write that ends the message before (RFC 2920, 3.1)."""
        talk = Conversation(ScriptedServer(), transaction(), transaction("v@far.test"), transaction()).run()
        self.assertEqual(3, len(talk.server.messages))
        self.assertTrue(talk.writes[2].startswith(TRACE))
        self.assertIn(b"\r\n.\r\nMAIL FROM:<a@b.test> SIZE=", talk.writes[2])
        self.assertEqual(5, len(talk.writes))

    def test_mixed(self) -> None:
        """Each recipient has the outcome of its own reply."""
        answers: dict[str, str | list[str]] = {
            "RCPT <b@far.test>": "450 4.2.1 later",
            "RCPT <c@far.test>": "550-5.1.1 nobody\r\n550 5.1.1 here",
        }
        for offer in (OFFER, CHUNKS, ("SIZE",)):
            talk = Conversation(
                ScriptedServer(offer, answers), transaction("a@far.test", "b@far.test", "c@far.test")
            ).run()
            self.assertEqual(
                [
                    ("Delivered", 250, "end of data"),
                    ("Postponed", 450, "RCPT TO"),
                    ("Failed", 550, "RCPT TO"),
                ],
                [words(o) for o in talk.outcomes],
            )
            failed = talk.outcomes[2]
            assert failed is not None
            self.assertEqual(("5.1.1", "nobody here"), (failed.reply.enhanced, failed.reply.text))
            self.assertEqual([(["<a@far.test>"], TRACE + MAIL)], talk.server.messages)

    def test_too_many(self) -> None:
        """552 behind an accepted recipient means too many (RFC 5321, 4.5.3.1.10), unless it says more."""
        for answer, expected in (
            ("552 too many", Postponed),
            ("552 5.5.3 x", Postponed),
            ("552 5.2.2 x", Failed),
        ):
            server = ScriptedServer(answers={"RCPT <b@far.test>": answer})
            talk = Conversation(server, transaction("a@far.test", "b@far.test")).run()
            self.assertIsInstance(talk.outcomes[1], expected)
            self.assertIsInstance(talk.outcomes[0], Delivered)
        talk = Conversation(ScriptedServer(answers={"RCPT": "552 full"}), transaction()).run()
        self.assertIsInstance(talk.outcomes[0], Failed)

    def test_refused_then_next(self) -> None:
        """Whatever was refused, the next message goes through on the same connection."""
        table: list[tuple[dict[str, str | list[str]], tuple[str, int, str]]] = [
            ({"MAIL": ["550 5.7.1 no"]}, ("Failed", 550, "MAIL FROM")),
            ({"MAIL": ["451 later"]}, ("Postponed", 451, "MAIL FROM")),
            ({"RCPT": ["550 5.1.1 no"]}, ("Failed", 550, "RCPT TO")),
            ({"RCPT": ["450 4.2.0 grey"]}, ("Postponed", 450, "RCPT TO")),
            # RFC 2920, 3.1: everybody refused, and yet 354.
            ({"RCPT": ["550 no"], "DATA": ["354 well"]}, ("Failed", 550, "RCPT TO")),
            ({"END": ["554 5.6.0 spam"]}, ("Failed", 554, "end of data")),
            ({"END": ["452 4.3.1 full"]}, ("Postponed", 452, "end of data")),
            ({"DATA": ["451 4.3.0 no"]}, ("Postponed", 451, "DATA")),
            ({"DATA": ["554 5.3.0 no"]}, ("Failed", 554, "DATA")),
        ]
        for offer in (OFFER, CHUNKS, ()):
            for answers, expected in table:
                if offer is CHUNKS and "DATA" in answers:
                    continue
                copied = {k: list(v) if isinstance(v, list) else v for k, v in answers.items()}
                server = ScriptedServer(offer, copied)
                talk = Conversation(server, transaction(), transaction("next@far.test")).run()
                context = f"{offer} {answers} {server.commands}"
                self.assertEqual(expected, words(talk.outcomes[0]), context)
                self.assertEqual("Delivered", type(talk.ended[1].outcomes[0]).__name__, context)
                self.assertEqual([(["<next@far.test>"], TRACE + MAIL)], server.messages, context)
                self.assertIsNone(talk.over, context)

    def test_closed_at(self) -> None:
        """Closing before the final reply postpones whoever is open."""
        for offer in (OFFER, CHUNKS, ("SIZE",)):
            for verb, command in (
                ("MAIL", "MAIL FROM"),
                ("RCPT", "RCPT TO"),
                ("DATA", "DATA"),
                ("END", "end of data"),
            ):
                if offer is CHUNKS and verb == "DATA":
                    continue
                talk = Conversation(
                    ScriptedServer(offer, close_at=verb), transaction("a@far.test", "b@far.test")
                )
                talk.run()
                self.assertEqual(
                    [("Postponed", 451, command)] * 2, [words(o) for o in talk.outcomes], (offer, verb)
                )
                outcome = talk.outcomes[0]
                assert outcome is not None
                self.assertEqual(("4.4.2", ""), (outcome.reply.enhanced, outcome.reply.host))
                self.assertEqual("lost", talk.trouble.kind)
                self.assertEqual(verb == "MAIL", not talk.ended[0].touched)

    def test_closed_keeps_what_is_known(self) -> None:
        """A recipient refused before the connection broke stays refused."""
        server = ScriptedServer(answers={"RCPT <b@far.test>": "550 5.1.1 no"}, close_at="END")
        talk = Conversation(server, transaction("a@far.test", "b@far.test")).run()
        self.assertEqual(["Postponed", "Failed"], [type(o).__name__ for o in talk.outcomes])

    def test_421(self) -> None:
        """421 anywhere ends the conversation and postpones."""
        for verb in ("MAIL", "RCPT", "DATA", "END"):
            talk = Conversation(ScriptedServer(answers={verb: "421 4.3.2 going down"}), transaction()).run()
            self.assertEqual(("Postponed", 421), words(talk.outcomes[0])[:2], verb)
            self.assertEqual("reply", talk.trouble.kind)
        talk = Conversation(ScriptedServer()).run()
        self.assertTrue(talk.session.free)
        talk.act(talk.session.receive(b"421 4.4.2 idle for too long\r\n"))
        self.assertFalse(talk.session.free)
        self.assertEqual(421, talk.trouble.reply.code)

    def test_malformed(self) -> None:
        """Whatever is no SMTP is a protocol error, and postpones."""
        for answer in (
            "HTTP/1.1 400 Bad Request",
            "250",
            "199 what",
            "999 x",
            "2500 ok",
            "250 ok\rbad",
            "354 go on",
        ):
            talk = Conversation(ScriptedServer(answers={"MAIL": answer}), transaction())
            if answer == "250":
                self.assertIsInstance(talk.run().outcomes[0], Delivered)
                continue
            talk.run()
            self.assertEqual(("Postponed", 451, "MAIL FROM"), words(talk.outcomes[0]), answer)
            self.assertEqual("protocol", talk.trouble.kind)

    def test_garbage_behind_the_last_reply(self) -> None:
        """What was said before the garbage counts."""
        talk = Conversation(
            ScriptedServer(answers={"END": "250 2.0.0 taken\r\nrubbish"}), transaction()
        ).run()
        self.assertEqual("Delivered", type(talk.outcomes[0]).__name__)
        self.assertEqual("protocol", talk.trouble.kind)

    def test_endless(self) -> None:
        """Nobody fills our memory with one reply."""
        for answer in (
            "250-" + "x" * 100_000,
            "\r\n".join(["250-x"] * 1000),
            "\r\n".join(["250-" + "x" * 3000] * 20),
        ):
            talk = Conversation(ScriptedServer(answers={"MAIL": answer}), transaction()).run()
            self.assertEqual(("Postponed", 451, "MAIL FROM"), words(talk.outcomes[0]))
            self.assertIn("octets", talk.trouble.reply.text)

    def test_long_text(self) -> None:
        """Text is bounded and has no control characters."""
        text = "\r\n".join([f"550-5.1.1 {'y' * 200}\x1b[31m"] * 20) + "\r\n550 5.1.1 end"
        talk = Conversation(ScriptedServer(answers={"RCPT": text}), transaction()).run()
        outcome = talk.outcomes[0]
        assert outcome is not None
        self.assertEqual(1000, len(outcome.reply.text))
        self.assertTrue(outcome.reply.text.isprintable())

    def test_early_refusal(self) -> None:
        """A refusal in the midst of a file decides, and the connection ends."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "content"
            path.write_bytes(MAIL)
            talk = Conversation(ScriptedServer(), transaction(content=FileContent(path, len(MAIL))))
            talk.act(talk.session.receive(b"220 x\r\n"))
            talk.session.receive(b"250-x\r\n250-8BITMIME\r\n250 PIPELINING\r\n")
            talk.session.begin(talk.waiting.pop())
            events = talk.session.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
            self.assertEqual([Stream], [type(event) for event in events])
            talk.act(talk.session.receive(b"552 5.3.4 too much\r\n"))
        self.assertEqual(("Failed", 552, "end of data"), words(talk.outcomes[0]))
        self.assertIsNotNone(talk.over)

    def test_file(self) -> None:
        """A file is streamed, by DATA or in one chunk, only once somebody is accepted."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "content"
            path.write_bytes(MAIL)
            for offer in (OFFER, CHUNKS, ()):
                for refused in (False, True):
                    answers: dict[str, str | list[str]] = {"RCPT": ["550 no"]} if refused else {}
                    talk = Conversation(
                        ScriptedServer(offer, answers),
                        transaction(content=FileContent(path, len(MAIL))),
                        transaction("next@far.test"),
                    ).run()
                    self.assertEqual("Failed" if refused else "Delivered", type(talk.outcomes[0]).__name__)
                    self.assertEqual(2 - refused, len(talk.server.messages))
                    self.assertEqual(TRACE + MAIL, talk.server.messages[0][1])
                    if refused and offer is CHUNKS:
                        self.assertEqual(1, sum(line.startswith("BDAT") for line in talk.server.commands))


class DemandTests(SynchronousTestCase):
    """What a message demands of the server, and how it is told."""

    def sent(self, offer: tuple[str, ...], message: Transaction) -> Conversation:
        return Conversation(ScriptedServer(offer), message).run()

    def test_size(self) -> None:
        talk = self.sent(("SIZE 20",), transaction())
        self.assertEqual(("Failed", 552, "MAIL FROM"), words(talk.outcomes[0]))
        self.assertEqual(["EHLO me.test"], talk.server.commands)
        for limit in ("SIZE", "SIZE 0", "SIZE 100000", "SIZE x"):
            self.assertIsInstance(self.sent((limit,), transaction()).outcomes[0], Delivered)

    def test_eight_bit(self) -> None:
        """8-bit content goes only where it is taken, declared."""
        mail = "Subject: x\r\n\r\nGrüße\r\n".encode()
        talk = self.sent(OFFER, transaction(content=mail))
        self.assertIn("BODY=8BITMIME", talk.server.commands[1])
        talk = self.sent(("PIPELINING",), transaction(content=mail))
        self.assertEqual(("Failed", 554, "MAIL FROM"), words(talk.outcomes[0]))
        # Declared, but not so: it can go anywhere.
        talk = self.sent(("PIPELINING",), transaction(body="8BITMIME"))
        self.assertIsInstance(talk.outcomes[0], Delivered)

    def test_eight_bit_file(self) -> None:
        """A file is read before it is said that a server cannot take it."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "content"
            for mail, expected in ((MAIL, Delivered), ("\r\n\r\nGrüße\r\n".encode(), Failed)):
                path.write_bytes(mail)
                talk = self.sent((), transaction(content=FileContent(path, len(mail)), body="8BITMIME"))
                self.assertIsInstance(talk.outcomes[0], expected)

    def test_binary(self) -> None:
        mail = b"Subject: x\r\n\r\n\0\n.\r\n.\r\nend"
        talk = self.sent((*CHUNKS, "BINARYMIME"), transaction(content=mail, body="BINARYMIME"))
        self.assertEqual(TRACE + mail, talk.server.messages[0][1])
        self.assertIn("BODY=BINARYMIME", talk.server.commands[1])
        for offer in (CHUNKS, (*OFFER, "BINARYMIME"), OFFER):
            talk = self.sent(offer, transaction(content=mail, body="BINARYMIME"))
            self.assertEqual(("Failed", 554, "MAIL FROM"), words(talk.outcomes[0]))

    def test_utf8(self) -> None:
        offer = (*OFFER, "SMTPUTF8")
        talk = self.sent(offer, transaction("ü@far.test"))
        self.assertIn(" SMTPUTF8", talk.server.commands[1])
        self.assertIn("<ü@far.test>", talk.server.commands[2])
        self.assertNotIn("SMTPUTF8", self.sent(offer, transaction()).server.commands[1])
        self.assertIn("SMTPUTF8", self.sent(offer, transaction(smtputf8=True)).server.commands[1])

    def test_utf8_not_offered(self) -> None:
        """Only those recipients fail that need it."""
        talk = self.sent(OFFER, transaction("ü@far.test", "b@far.test"))
        self.assertEqual(["Failed", "Delivered"], [type(o).__name__ for o in talk.outcomes])
        self.assertEqual(550, words(talk.outcomes[0])[1])
        talk = self.sent(OFFER, transaction(sender="ü@b.test"))
        self.assertEqual(("Failed", 550, "MAIL FROM"), words(talk.outcomes[0]))
        header = "Subject: ü\r\n\r\nx\r\n".encode()
        talk = self.sent(OFFER, transaction(content=header, smtputf8=True))
        self.assertEqual(
            "remote-no-smtputf8", "remote-no-smtputf8" if words(talk.outcomes[0])[1] == 550 else ""
        )
        body = "Subject: u\r\n\r\nü\r\n".encode()
        self.assertIsInstance(
            self.sent(OFFER, transaction(content=body, smtputf8=True)).outcomes[0], Delivered
        )

    def test_dsn(self) -> None:
        """What the sender asked for goes on where it is understood."""
        message = transaction(ret="HDRS", envid="id+1 x")
        message.addressees[0].notify = frozenset({"SUCCESS", "DELAY"})
        message.addressees[0].orcpt = "rfc822;a+b@c.test"
        talk = self.sent((*OFFER, "DSN"), message)
        self.assertTrue(talk.server.commands[1].endswith(" RET=HDRS ENVID=id+2B1+20x"))
        self.assertEqual(
            "RCPT TO:<u@far.test> NOTIFY=DELAY,SUCCESS ORCPT=rfc822;a+2Bb@c.test", talk.server.commands[2]
        )
        self.assertTrue(isinstance(talk.outcomes[0], Delivered) and talk.outcomes[0].dsn)
        message.reset()
        talk = self.sent(OFFER, message)
        self.assertEqual("RCPT TO:<u@far.test>", talk.server.commands[2])
        self.assertTrue(isinstance(talk.outcomes[0], Delivered) and not talk.outcomes[0].dsn)

    def test_priority(self) -> None:
        """It goes on where it is understood."""
        message = transaction()
        for priority, offer, expected in (
            (-3, ["MT-PRIORITY"], " MT-PRIORITY=-3"),
            (-3, [], ""),
            (0, ["MT-PRIORITY"], " MT-PRIORITY=0"),
        ):
            message.reset()
            message.message.attributes = {"priority": priority} if priority else {}
            talk = self.sent((*OFFER, *offer), message)
            command = talk.server.commands[1]
            self.assertTrue(command.endswith(expected), command)
            self.assertEqual(bool(expected), "MT-PRIORITY" in command)

    def test_dsn_utf8(self) -> None:
        message = transaction()
        message.addressees[0].orcpt = "utf-8;ü=x@c.test"
        talk = self.sent((*OFFER, "DSN"), message)
        self.assertIn(r"ORCPT=utf-8;\x{FC}\x{3D}x@c.test", talk.server.commands[2])

    def test_line_break_in_address(self) -> None:
        """An address never becomes a command of its own."""
        talk = self.sent(OFFER, transaction("a@far.test>\r\nRSET\r\nRCPT TO:<b@far.test", "c@far.test"))
        self.assertEqual(["Failed", "Delivered"], [type(o).__name__ for o in talk.outcomes])
        self.assertNotIn("RSET", talk.server.commands)
        talk = self.sent(OFFER, transaction(sender="a@b.test>\r\nRSET"))
        self.assertEqual(["EHLO me.test"], talk.server.commands)


class OpeningTests(SynchronousTestCase):
    """Greeting, hello, TLS, AUTH."""

    def open(self, server: ScriptedServer, **options: Any) -> Conversation:
        return Conversation(server, **options).run()

    def test_turned_away(self) -> None:
        for verb in ("GREETING", "EHLO", "HELO"):
            for code in (421, 450, 554):
                answers: dict[str, str | list[str]] = {verb: f"{code} go away"}
                if verb == "HELO":
                    answers["EHLO"] = "502 what"
                talk = self.open(ScriptedServer(answers=answers))
                if verb == "EHLO" and code == 554:
                    self.assertTrue(talk.ready)
                    self.assertEqual(["EHLO me.test", "HELO me.test"], talk.server.commands)
                    continue
                self.assertFalse(talk.ready)
                self.assertEqual(("reply", code), (talk.trouble.kind, talk.trouble.reply.code))
                self.assertEqual("connect" if verb == "GREETING" else verb, talk.trouble.reply.command)
                self.assertEqual("far.test [192.0.2.1]:25", talk.trouble.reply.host)

    def test_closed(self) -> None:
        for verb in ("GREETING", "EHLO", "STARTTLS"):
            talk = self.open(ScriptedServer(("STARTTLS",), close_at=verb))
            self.assertEqual("lost", talk.trouble.kind)
            self.assertEqual("4.4.2", talk.trouble.reply.enhanced)

    def test_multiline_greeting(self) -> None:
        talk = self.open(
            ScriptedServer(answers={"GREETING": "220-far.test\r\n220-we\r\n220 listen"}), piece=1
        )
        self.assertTrue(talk.ready)

    def test_starttls(self) -> None:
        """After TLS what was offered before is forgotten."""
        for policy in ("opportunistic", "require", "verify"):
            talk = self.open(ScriptedServer(("STARTTLS", "SIZE 5")), tls=policy)
            self.assertEqual(["EHLO me.test", "STARTTLS", "EHLO me.test"], talk.server.commands)
            self.assertTrue(talk.ready)
            self.assertEqual("TLSv1.3 X, words", talk.session.tls)

    def test_never(self) -> None:
        self.assertEqual(
            ["EHLO me.test"], self.open(ScriptedServer(("STARTTLS",)), tls="never").server.commands
        )

    def test_not_offered(self) -> None:
        self.assertTrue(self.open(ScriptedServer()).ready)
        for policy in ("require", "verify"):
            talk = self.open(ScriptedServer(), tls=policy)
            self.assertEqual(("tls", 454), (talk.trouble.kind, talk.trouble.reply.code))

    def test_starttls_refused(self) -> None:
        answers: dict[str, str | list[str]] = {"STARTTLS": "454 4.7.0 no"}
        # That TLS was offered and then refused is not kept quiet.
        session = self.open(ScriptedServer(("STARTTLS",), answers)).session
        self.assertEqual((True, "clear text: STARTTLS was answered 454 no"), (session.ready, session.tls))
        self.assertEqual("tls", self.open(ScriptedServer(("STARTTLS",), answers), tls="require").trouble.kind)

    def test_not_verified(self) -> None:
        for policy in ("opportunistic", "require", "verify"):
            talk = Conversation(ScriptedServer(("STARTTLS",)), tls=policy)
            talk.verified = (False, "self-signed certificate")
            talk.run()
            self.assertEqual(policy != "verify", talk.ready)
            if policy == "verify":
                self.assertIn("self-signed certificate", talk.trouble.reply.text)

    def test_injected_behind_starttls(self) -> None:
        """Clear text behind the answer to STARTTLS is not taken as said within TLS."""
        for behind in ("250 ok", "25"):
            talk = Conversation(ScriptedServer(("STARTTLS",)))
            talk.session.receive(b"220 x\r\n")
            talk.session.receive(b"250-x\r\n250 STARTTLS\r\n")
            events = talk.session.receive(b"220 go\r\n" + behind.encode() + b"\r\n"[: len(behind) - 2])
            self.assertIn(Over, [type(event) for event in events])
            self.assertFalse(talk.session.ready)

    def test_handshake_lost(self) -> None:
        talk = Conversation(ScriptedServer(("STARTTLS",)))
        talk.session.receive(b"220 x\r\n")
        talk.session.receive(b"250-x\r\n250 STARTTLS\r\n")
        talk.session.receive(b"220 go\r\n")
        talk.act(talk.session.lost("no shared cipher"))
        self.assertEqual("handshake", talk.trouble.kind)
        self.assertIn("no shared cipher", talk.trouble.reply.text)

    def test_timeout(self) -> None:
        talk = Conversation(ScriptedServer())
        talk.act(talk.session.timed_out())
        self.assertEqual(("lost", "connect"), (talk.trouble.kind, talk.trouble.reply.command))


class ScramServer(ScriptedServer):
    """A server with SCRAM-SHA-256 in the way that RFC 4954 and RFC 5802 say."""

    proof = b""
    iterations = 4096
    lie = False

    def _command(self, line: str) -> bytes:
        import hashlib
        import hmac

        if line.startswith("AUTH SCRAM-SHA-256 "):
            self.commands.append("AUTH SCRAM-SHA-256")
            self.first = base64.b64decode(line.split()[2])[3:]
            nonce = self.first.partition(b"r=")[2]
            self.second = b"r=" + nonce + b"xyz,s=c2FsdA==,i=%d" % self.iterations
            return b"334 " + base64.b64encode(self.second) + b"\r\n"
        last = self.commands[-1] if self.commands else ""
        if last == "AUTH SCRAM-SHA-256":
            self.commands.append("proof")
            final, _, proof = base64.b64decode(line).partition(b",p=")
            message = b",".join((self.first, self.second, final))
            salted = hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", self.iterations)
            client_key = hmac.digest(salted, b"Client Key", "sha256")
            signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
            if bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True)) != client_key:
                return b"535 5.7.8 no\r\n"
            server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
            if self.lie:
                server = b"x" * 32
            return b"334 " + base64.b64encode(b"v=" + base64.b64encode(server)) + b"\r\n"
        if last == "proof":
            self.commands.append("done")
            return b"235 2.7.0 welcome\r\n"
        return super()._command(line)


class AlwaysMore(ScriptedServer):
    """Says 334 to whatever is not SMTP."""

    def _command(self, line: str) -> bytes:
        if line[:4] in ("EHLO", "STAR", "QUIT"):
            return super()._command(line)
        self.commands.append(line)
        return b"334 \r\n"


class AuthTests(SynchronousTestCase):
    """Logging in to a smarthost."""

    credentials = Credentials("ann", "secret")

    def log_in(self, server: ScriptedServer, verified: bool = True, **options: Any) -> Conversation:
        talk = Conversation(server, credentials=self.credentials, **options)
        talk.verified = (verified, "" if verified else "self-signed")
        return talk.run()

    def test_plain(self) -> None:
        server = ScriptedServer(("STARTTLS", "AUTH PLAIN LOGIN"), {"AUTH": "235 2.7.0 ok"})
        talk = self.log_in(server)
        self.assertTrue(talk.ready)
        self.assertEqual("AUTH PLAIN " + base64.b64encode(b"\0ann\0secret").decode(), server.commands[-1])

    def test_login(self) -> None:
        server = ScriptedServer(
            ("STARTTLS", "AUTH=LOGIN"),
            {"AUTH": "334 VXNlcm5hbWU6", "YW5U": "", "YW5UBG==": "", "c2VjcmV0": ""},
        )
        server.answers["YW5U".upper()] = "334 UGFzc3dvcmQ6"
        server.answers["C2VJCMV0"] = "235 ok"
        server.answers["YW5U"] = "334 UGFzc3dvcmQ6"
        talk = self.log_in(server)
        self.assertTrue(talk.ready, server.commands)
        self.assertEqual(["AUTH LOGIN", "YW5u", "c2VjcmV0"], server.commands[-3:])

    def test_scram(self) -> None:
        """Without TLS too; and the server must know the password."""
        server = ScramServer(("AUTH SCRAM-SHA-256 PLAIN",))
        talk = self.log_in(server)
        self.assertTrue(talk.ready, server.commands)
        liar = ScramServer(("AUTH SCRAM-SHA-256 PLAIN",))
        liar.lie = True
        talk = self.log_in(liar)
        self.assertEqual("auth", talk.trouble.kind)
        self.assertIn("does not know our password", talk.trouble.reply.text)

    def test_scram_example(self) -> None:
        """The example of RFC 7677, 3."""
        exchange = ScramSha256(Credentials("user", "pencil"), "rOprNGfwEbeRWgbNEkqO")
        self.assertEqual(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", exchange.initial)
        nonce = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        wanted = exchange.respond(b"r=" + nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
        assert isinstance(wanted, KeyWanted)
        proof = exchange.key(salted_password("pencil", wanted.salt, wanted.iterations))
        expected = b"c=biws,r=" + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        self.assertEqual(expected, proof)
        self.assertEqual(b"", exchange.respond(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))
        self.assertTrue(exchange.proven)

    def test_scram_iterations(self) -> None:
        """A server can make us neither compute for ever nor give the password away."""
        for iterations in (1, 100, 2_000_000):
            server = ScramServer(("AUTH SCRAM-SHA-256",))
            server.iterations = iterations
            self.assertEqual("auth", self.log_in(server).trouble.kind)

    def test_scram_wrong_password(self) -> None:
        server = ScramServer(("AUTH SCRAM-SHA-256",))
        talk = Conversation(server, credentials=self.credentials)
        talk.password = "wrong"
        talk.run()
        self.assertEqual(("auth", 454), (talk.trouble.kind, talk.trouble.reply.code))

    def test_no_proof(self) -> None:
        """235 before SCRAM's proof is not believed."""
        server = ScriptedServer(("AUTH SCRAM-SHA-256",), {"AUTH": "235 welcome"})
        self.assertEqual("auth", self.log_in(server).trouble.kind)

    def test_plaintext_needs_tls(self) -> None:
        """The password goes to nobody in clear text, nor to whoever has any certificate at all."""
        server = ScriptedServer(("AUTH PLAIN LOGIN",))
        talk = self.log_in(server)
        self.assertEqual("auth", talk.trouble.kind)
        self.assertEqual(["EHLO me.test"], server.commands)
        server = ScriptedServer(("STARTTLS", "AUTH PLAIN LOGIN"))
        self.assertEqual("auth", self.log_in(server, verified=False).trouble.kind)
        self.assertEqual("EHLO me.test", server.commands[-1])
        server = ScriptedServer(("STARTTLS", "AUTH PLAIN"), {"AUTH": "235 ok"})
        self.assertTrue(self.log_in(server, verified=False, tls="require").ready)

    def test_refused(self) -> None:
        """Wrong credentials never bounce anything, and are never shown."""
        for code in (535, 454):
            server = ScriptedServer(("STARTTLS", "AUTH PLAIN"), {"AUTH": f"{code} 5.7.8 no"})
            trouble = self.log_in(server).trouble
            self.assertEqual(("auth", 454), (trouble.kind, trouble.reply.code))
            self.assertNotIn("secret", repr(trouble))
        self.assertNotIn("secret", repr(self.credentials))

    def test_endless_challenges(self) -> None:
        """A server that always asks for more gets no more."""
        for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256"):
            server = AlwaysMore(("STARTTLS", f"AUTH {mechanism}"))
            self.assertEqual("auth", self.log_in(server).trouble.kind)
            self.assertLess(len(server.commands), 8)

    def test_no_mechanism(self) -> None:
        self.assertEqual("auth", self.log_in(ScriptedServer(("STARTTLS", "AUTH GSSAPI"))).trouble.kind)

    def test_bad_challenge(self) -> None:
        server = ScriptedServer(("STARTTLS", "AUTH LOGIN"), {"AUTH": "334 ???"})
        self.assertEqual("auth", self.log_in(server).trouble.kind)


class LmtpTests(SynchronousTestCase):
    """RFC 2033."""

    def send(self, server: ScriptedServer, *messages: Transaction) -> Conversation:
        server.lmtp = True
        return Conversation(server, *messages, lmtp=True).run()

    def test_each(self) -> None:
        """A reply for each accepted recipient, in order."""
        answers: dict[str, str | list[str]] = {
            "RCPT <b@far.test>": "550 5.1.1 no",
            "END": ["250 2.0.0 a", "452 4.2.2 full", "250 2.0.0 next"],
        }
        for offer in (OFFER, CHUNKS, ()):
            copied = {k: list(v) if isinstance(v, list) else v for k, v in answers.items()}
            server = ScriptedServer(offer, copied)
            talk = self.send(server, transaction("a@far.test", "b@far.test", "c@far.test"), transaction())
            self.assertEqual("LHLO me.test", server.commands[0])
            self.assertEqual(
                [("Delivered", 250), ("Failed", 550), ("Postponed", 452)],
                [words(o)[:2] for o in talk.outcomes],
            )
            self.assertEqual("next", talk.ended[1].outcomes[0].reply.text)  # type: ignore[union-attr]

    def test_none_accepted(self) -> None:
        for answers in ({"RCPT": ["550 no"]}, {"MAIL": ["451 later"]}):
            talk = self.send(ScriptedServer(answers=dict(answers)), transaction(), transaction("b@far.test"))
            self.assertEqual("Delivered", type(talk.ended[1].outcomes[0]).__name__)

    def test_none_accepted_but_354(self) -> None:
        """How many replies would follow nobody knows: the connection ends."""
        server = ScriptedServer(answers={"RCPT": "550 no", "DATA": "354 well"})
        talk = self.send(server, transaction())
        self.assertEqual(("Failed", 550, "RCPT TO"), words(talk.outcomes[0]))
        self.assertEqual("protocol", talk.trouble.kind)

    def test_closed_between(self) -> None:
        """Those answered have their outcome, the others are postponed."""
        server = ScriptedServer(answers={"END": ["250 2.0.0 a", ""]})
        server.lmtp = True
        talk = Conversation(server, transaction("a@far.test", "b@far.test"), lmtp=True)
        with self.assertRaises(AssertionError):
            talk.run()
        talk.act(talk.session.lost())
        self.assertEqual(["Delivered", "Postponed"], [type(o).__name__ for o in talk.outcomes])

    def test_binary(self) -> None:
        server = ScriptedServer((*CHUNKS, "BINARYMIME"))
        talk = self.send(server, transaction("a@far.test", "b@far.test", body="BINARYMIME"))
        self.assertEqual(["Delivered"] * 2, [type(o).__name__ for o in talk.outcomes])

    def test_no_helo(self) -> None:
        talk = self.send(ScriptedServer(answers={"LHLO": "500 what"}))
        self.assertEqual(("reply", "LHLO"), (talk.trouble.kind, talk.trouble.reply.command))


class StuffingTests(SynchronousTestCase):
    """Dots, whatever the blocks."""

    def test_blocks(self) -> None:
        mail = b".first\r\n..\r\n.\r\nx.y\r\n\r\n.z\r\n."
        expected = b"..first\r\n...\r\n..\r\nx.y\r\n\r\n..z\r\n..\r\n.\r\n"
        for size in range(1, len(mail) + 1):
            stuffer = DotStuffer()
            pieces = [mail[start : start + size] for start in range(0, len(mail), size)]
            self.assertEqual(expected, b"".join(map(stuffer.stuff, pieces)) + stuffer.end(), size)

    def test_end(self) -> None:
        for mail, end in (
            (b"", b".\r\n"),
            (b"x\r\n", b".\r\n"),
            (b"x", b"\r\n.\r\n"),
            (b"x\r", b"\r\n.\r\n"),
            (b"x\n", b"\r\n.\r\n"),
        ):
            for size in (1, 5):
                stuffer = DotStuffer()
                for start in range(0, len(mail), size):
                    stuffer.stuff(mail[start : start + size])
                self.assertEqual(end, stuffer.end(), (mail, size))

    def test_examine(self) -> None:
        class Blocks:
            size = 0

            def __init__(self, *blocks: bytes) -> None:
                self._blocks = blocks

            def read(self) -> bytes:
                return b"".join(self._blocks)

            def blocks(self) -> Any:
                return iter(self._blocks)

        self.assertEqual((False, False), examine(Blocks(b"a: b\r\n", b"\r\n", b"x")))
        self.assertEqual((True, False), examine(Blocks(b"a: b\r\n\r", b"\nx", b"\xff")))
        self.assertEqual((True, True), examine(Blocks(b"a: b\r\n", b"c: \xff\r\n\r\n")))
        self.assertEqual((True, False), examine(Blocks(b"\r\n\xff")))
