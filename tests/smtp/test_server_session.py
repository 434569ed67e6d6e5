"""Dialogues: what a client says, and what it hears."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from mta.model.catalogue import REPLIES
from mta.model.event import Rejected
from tests.smtp.server_fakes import Dialogue, FakeReception, codes, later, limits, refusal


class MessageTests(SynchronousTestCase):
    """A client sends mail."""

    def test_whole_dialogue(self) -> None:
        """From greeting to goodbye, one command after the other."""
        d = Dialogue()
        self.assertEqual("220 mx.local.test ESMTP\r\n", d.greeting)
        self.assertEqual(["250"], codes(d.say("EHLO client.test")))
        self.assertEqual("250 2.1.0 Sender accepted\r\n", d.say("MAIL FROM:<a@far.test>"))
        self.assertEqual("250 2.1.5 Recipient accepted\r\n", d.say("RCPT TO:<ann@local.test>"))
        self.assertEqual(["354"], codes(d.say("DATA")))
        self.assertEqual("", d.say("Subject: hi", "", "hello"))
        self.assertEqual("250 2.0.0 Queued as 1\r\n", d.say("."))
        self.assertEqual("221 2.0.0 mx.local.test closing connection\r\n", d.say("QUIT"))
        self.assertTrue(d.closed)
        self.assertEqual("s1", d.reception.messages[0].client.session)

    def test_content(self) -> None:
        """Dots are undone, the terminator is not part of it."""
        d = Dialogue().hello().begin()
        d.say("DATA")
        self.assertEqual("250 2.0.0 Queued as 1\r\n", d.say("Subject: hi", "", "..dot", ".x", "."))
        (message,) = d.reception.messages
        self.assertEqual(b"Subject: hi\r\n\r\n.dot\r\nx\r\n", message.data)
        self.assertEqual("a@far.test", message.envelope.reverse_path)
        self.assertEqual(["ann@local.test"], [r.address for r in message.envelope.recipients])
        self.assertEqual("221", d.say("QUIT")[:3])
        self.assertTrue(d.closed)

    def test_client(self) -> None:
        """What the reception learns of the client."""
        d = Dialogue().hello("[192.0.2.7]").begin()
        client = d.protocol.session.client
        self.assertEqual(
            ("192.0.2.7", 40000, "192.0.2.1", "[192.0.2.7]", "ESMTP", "mx"),
            (client.address, client.port, client.local_address, client.helo, client.protocol, client.role),
        )

    def test_capabilities(self) -> None:
        """EHLO lists what is offered, on an mx no AUTH."""
        lines = Dialogue(authenticator=object()).say("EHLO x.test").replace("250-", "").splitlines()
        self.assertEqual("mx.local.test", lines[0])
        for word in ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"):
            self.assertIn(word, lines)
        for word in ("CHUNKING", "BINARYMIME", "DSN", "LIMITS MAILMAX=10000 RCPTMAX=1000"):
            self.assertIn(word, lines)
        self.assertEqual("250 HELP", lines[-1])
        self.assertFalse([line for line in lines if line.startswith(("AUTH", "STARTTLS"))])

    def test_helo(self) -> None:
        """The old greeting works, and stands in the protocol keyword."""
        d = Dialogue()
        self.assertEqual("250 mx.local.test\r\n", d.say("HELO old.test"))
        d.begin()
        self.assertEqual(["SMTP"], d.reception.protocols)

    def test_pipelined(self) -> None:
        """A group of commands in one segment is answered in one write, in order."""
        d = Dialogue().hello()
        text = d.say("MAIL FROM:<a@far.test>", "RCPT TO:<ann@local.test>", "RCPT TO:<x@y>", "DATA")
        self.assertEqual(["250", "250", "250", "354"], codes(text))
        text = d.send(b"x\r\n.\r\nMAIL FROM:<b@far.test>\r\nRSET\r\nQUIT\r\n")
        self.assertEqual(["250", "250", "250", "221"], codes(text))

    def test_one_octet_at_a_time(self) -> None:
        """The network may cut anywhere."""
        d = Dialogue()
        text = "".join(
            d.send(bytes([octet]))
            for octet in b"EHLO x.test\r\nMAIL FROM:<>\r\nRCPT TO:<ann@local.test>\r\nDATA\r\n"
            b"a: b\r\n\r\n..x\r\n.\r\nBDAT 0 LAST\r\nNOOP\r\n"
        )
        self.assertEqual(["250", "250", "250", "354", "250", "503", "250"], codes(text))
        self.assertEqual(b"a: b\r\n\r\n.x\r\n", d.reception.messages[0].data)

    def test_two_messages(self) -> None:
        """A second transaction begins afresh, and does not touch what the first was given."""
        d = Dialogue().hello().begin("a@local.test")
        d.say("DATA")
        d.say("one", ".")
        d.say("MAIL FROM:<b@far.test> SMTPUTF8", "RCPT TO:<b@local.test>", "DATA")
        d.say("two", ".")
        first, second = d.reception.messages
        self.assertEqual("ESMTP", first.client.protocol)
        self.assertEqual("UTF8SMTP", second.client.protocol)
        self.assertEqual(["b@local.test"], [r.address for r in second.envelope.recipients])

    def test_parameters(self) -> None:
        """What MAIL and RCPT may carry arrives in the envelope."""
        d = Dialogue().hello()
        d.say("MAIL FROM:<a@far.test> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=id+2B1 AUTH=<>")
        d.say("RCPT TO:<ann@local.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Ann+2B@x.test")
        envelope = d.protocol.session.envelope
        assert envelope is not None
        self.assertEqual(
            (100, "8BITMIME", "HDRS", "id+1", "<>"),
            (envelope.size, envelope.body, envelope.ret, envelope.envid, envelope.auth),
        )
        (recipient,) = envelope.recipients
        self.assertEqual(frozenset({"SUCCESS", "DELAY"}), recipient.notify)
        self.assertEqual("rfc822;Ann+@x.test", recipient.orcpt)

    def test_utf8(self) -> None:
        """A non-ASCII address needs SMTPUTF8; with it, replies may hold it."""
        d = Dialogue().hello()
        self.assertEqual(["553"], codes(d.say("MAIL FROM:<ä@far.test>")))
        d.reception.answers["recipient"] = refusal(550, "<ö@local.test> no")
        d.say("MAIL FROM:<ä@far.test> SMTPUTF8")
        self.assertIn("<ö@local.test>", d.say("RCPT TO:<ö@local.test>"))
        d.say("RSET", "MAIL FROM:<a@far.test>")
        self.assertIn(r"<\xf6@local.test>", d.say("RCPT TO:<x@local.test>"))
        self.assertEqual(["UTF8SMTP", "ESMTP"], d.reception.protocols)


class OrderTests(SynchronousTestCase):
    """Commands out of place, and answers that come late."""

    def test_sequence(self) -> None:
        """Each command where it is not allowed: 503 with what is missing."""
        d = Dialogue()
        for line in ("MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA", "AUTH PLAIN"):
            self.assertIn("503 5.5.1 Say EHLO first", d.say(line))
        d.hello()
        self.assertIn("503 5.5.1 MAIL comes before RCPT", d.say("RCPT TO:<a@b>"))
        self.assertIn("503 5.5.1 MAIL and RCPT come first", d.say("DATA"))
        d.say("MAIL FROM:<a@b>")
        self.assertIn("503 5.5.1 RCPT comes before DATA", d.say("DATA"))
        self.assertIn("503 5.5.1 A transaction is under way", d.say("MAIL FROM:<a@b>"))

    def test_no_valid_recipients(self) -> None:
        """DATA after every recipient was refused: 554."""
        d = Dialogue().hello()
        d.reception.answers["recipient"] = refusal()
        text = d.say("MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA")
        self.assertEqual(["250", "550", "554"], codes(text))

    def test_content_without_waiting(self) -> None:
        """Content behind a DATA that is refused is never read as commands."""
        for lines in (["DATA"], ["MAIL FROM:<a@b>", "DATA"], ["MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA x"]):
            d = Dialogue().hello()
            text = d.say(*lines, "MAIL FROM:<evil@x>", ".", "QUIT")
            self.assertEqual("503 5.5.0 DATA must be the last command", text.splitlines()[-1][:39])
            self.assertTrue(d.protocol.session.closing)
            self.assertNotIn(("sender", "evil@x"), d.reception.asked)
        d = Dialogue().hello()
        text = d.say("MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA", "x: y", ".", "QUIT")
        self.assertEqual(["250", "250", "354", "250", "221"], codes(text))

    def test_reset(self) -> None:
        """RSET and EHLO end a transaction."""
        d = Dialogue().hello().begin()
        self.assertEqual("250 2.0.0 OK\r\n", d.say("RSET"))
        d.begin().hello()
        self.assertEqual(["503"], codes(d.say("DATA")))
        d.begin()

    def test_late_answers(self) -> None:
        """Replies keep the order of commands, whenever answers come."""
        sender, give_sender = later()
        recipient, give_recipient = later()
        d = Dialogue().hello()
        d.reception.answers.update({"sender": give_sender, ("recipient", "a@local.test"): give_recipient})
        self.assertEqual(
            "", d.say("MAIL FROM:<x@y>", "RCPT TO:<a@local.test>", "RCPT TO:<b@local.test>", "NOOP")
        )
        self.assertEqual(("sender", "x@y"), d.reception.asked[-1])
        sender.callback(REPLIES.reply("sender-ok"))
        self.assertEqual("250 2.1.0 Sender accepted\r\n", d.heard())
        recipient.callback(refusal())
        self.assertEqual(["550", "250", "250"], codes(d.heard()))

    def test_late_connect(self) -> None:
        """Nothing is said before it is known that the client may speak."""
        connect, give = later()
        reception = FakeReception()
        reception.answers["connect"] = give
        d = Dialogue(reception=reception)
        self.assertEqual("", d.greeting)
        connect.callback(None)
        self.assertEqual("220", d.heard()[:3])

    def test_late_commit(self) -> None:
        """The 250 comes after the commit, and so does everything behind it."""
        commit, give = later()
        d = Dialogue().hello().begin()
        d.reception.answers["finish"] = give
        d.say("DATA")
        self.assertEqual("", d.send(b"x\r\n.\r\nRSET\r\nQUIT\r\n"))
        commit.callback([REPLIES.reply("queued", id="1")])
        self.assertEqual(["250", "250", "221"], codes(d.heard()))

    def test_thousand_coroutines(self) -> None:
        """Answers that are coroutines which end at once do not nest."""

        async def yes() -> Any:
            return REPLIES.reply("recipient-ok")

        d = Dialogue().hello()
        d.reception.answers["recipient"] = yes
        d.say("MAIL FROM:<x@y>")
        text = d.say(*[f"RCPT TO:<a{n}@local.test>" for n in range(1000)], "NOOP")
        self.assertEqual(["250"] * 1001, codes(text))

    def test_answer_after_the_client_is_gone(self) -> None:
        """It changes nothing, and raises nothing."""
        recipient, give = later()
        d = Dialogue().hello()
        d.reception.answers["recipient"] = give
        d.say("MAIL FROM:<x@y>", "RCPT TO:<a@b>")
        d.protocol.connectionLost()
        recipient.callback(REPLIES.reply("recipient-ok"))
        self.assertEqual("", d.heard())
        self.assertEqual(set(), d.factory.sessions)

    def test_end_of_a_session_is_told(self) -> None:
        """Once, whoever ends it, also while a question is open."""
        for ended in (("QUIT",), ("MAIL FROM:<x@y>",), ()):
            d = Dialogue().hello()
            d.reception.answers["sender"] = later()[1]
            d.say(*ended)
            self.assertEqual([], d.reception.over)
            d.protocol.connectionLost()
            self.assertEqual([d.protocol.session.client.session], d.reception.over)

    def test_backpressure(self) -> None:
        """While a question is open, input is not read without bound."""
        recipient, give = later()
        d = Dialogue(limits=limits(commands=10000)).hello()
        d.reception.answers["sender"] = give
        d.say("MAIL FROM:<x@y>", *["NOOP"] * 2000)
        self.assertEqual("producing", d.transport.producerState)
        d.send(b"NOOP\r\n" * 2000)
        self.assertEqual("paused", d.transport.producerState)
        d.reception.answers.clear()
        recipient.callback(REPLIES.reply("sender-ok"))
        self.assertEqual("producing", d.transport.producerState)

    def test_unread_replies(self) -> None:
        """A client that does not read its replies is not read either."""
        d = Dialogue().hello()
        d.protocol._watch_replies()
        d.transport.producer.pauseProducing()
        self.assertEqual("paused", d.transport.producerState)
        d.transport.producer.resumeProducing()
        self.assertEqual("producing", d.transport.producerState)
        d.say("QUIT")
        self.assertIsNone(d.transport.producer)
        self.assertTrue(d.closed)

    def test_spool_forgets_to_resume(self) -> None:
        """Once all of it has come, the network is not paused any more."""
        d = Dialogue().hello().begin()
        d.say("DATA")
        d.reception.incoming[0].producer.pauseProducing()
        self.assertEqual(["250"], codes(d.say("x", ".")))
        self.assertEqual("producing", d.transport.producerState)

    def test_spool_pauses_the_network(self) -> None:
        """What keeps content gets a producer that it can pause."""
        d = Dialogue().hello().begin()
        d.say("DATA")
        producer = d.reception.incoming[0].producer
        producer.pauseProducing()
        self.assertEqual("paused", d.transport.producerState)
        producer.resumeProducing()
        self.assertEqual("producing", d.transport.producerState)


class RefusalTests(SynchronousTestCase):
    """What a policy refuses, and what becomes of our own trouble."""

    def test_each_stage(self) -> None:
        """The reply goes to the client, and with rule and evidence into the journal."""
        for stage, lines in (
            ("hello", ["EHLO x.test"]),
            ("sender", ["EHLO x.test", "MAIL FROM:<a@far.test>"]),
            ("recipient", ["EHLO x.test", "MAIL FROM:<a@far.test>", "RCPT TO:<b@local.test>"]),
        ):
            for code in (450, 550):
                d = Dialogue()
                d.reception.answers[stage] = refusal(code, "Not you")
                text = d.say(*lines)
                self.assertEqual(str(code), codes(text)[-1])
                (event,) = d.events
                self.assertEqual(
                    ({"sender": "mail"}.get(stage, stage), code, "rule-x", {"why": "because"}, "s1"),
                    (event.stage, event.code, event.rule, event.evidence, event.session),
                )
                self.assertIn("Not you", event.reply)
                if stage == "recipient":
                    self.assertEqual(("a@far.test", "b@local.test"), (event.sender, event.recipient))

    def test_connect(self) -> None:
        """Instead of a greeting there are 554 and 421, and then the line is closed."""
        for code, said in ((550, "554"), (450, "421")):
            reception = FakeReception()
            reception.answers["connect"] = refusal(code)
            d = Dialogue(reception=reception)
            self.assertEqual(said, d.greeting[:3])
            self.assertTrue(d.closed)
            self.assertEqual("connect", d.events[0].stage)

    def test_421_closes(self) -> None:
        """A policy may end the session at any stage by its code."""
        for question, lines in (
            ("hello", ["EHLO x.test"]),
            ("sender", ["EHLO x.test", "MAIL FROM:<a@b>"]),
            ("recipient", ["EHLO x.test", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"]),
            ("finish", ["EHLO x.test", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "x", "."]),
        ):
            d = Dialogue()
            reply = refusal(421, "Enough")
            d.reception.answers[question] = [reply] if question == "finish" else reply
            self.assertEqual("421", codes(d.say(*lines, "NOOP"))[-1])
            self.assertTrue(d.closed)
            self.assertEqual(1, len(d.events))

    def test_commit_refused(self) -> None:
        """After the content, the transaction is over either way."""
        d = Dialogue().hello().begin()
        d.reception.answers["finish"] = [refusal(554, "Spam")]
        d.say("DATA")
        self.assertEqual("554 5.7.1 Spam\r\n", d.say("x", "."))
        self.assertEqual(("data", "ann@local.test"), (d.events[0].stage, d.events[0].recipient))
        d.begin()

    def test_trouble(self) -> None:
        """An exception is 451, whether at once or later, and the session goes on."""
        for question in ("hello", "sender", "recipient"):
            for answer in (RuntimeError("at once"), lambda: Deferred.fromCoroutine(_fail())):
                d = Dialogue()
                d.reception.answers[question] = answer
                d.say("EHLO x.test")
                d.say("MAIL FROM:<a@b>")
                d.say("RCPT TO:<a@b>")
                self.assertEqual([451], [e.code for e in d.events], question)
                self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))
                self.assertFalse(d.closed)
                d.reception.answers.clear()
                d.hello().begin()

    def test_trouble_at_connect(self) -> None:
        """Nobody is sent away: the client is greeted, and put off at MAIL."""
        reception = FakeReception()
        reception.answers["connect"] = RuntimeError("x")
        d = Dialogue(reception=reception).hello()
        self.assertEqual(["451", "250"], codes(d.say("MAIL FROM:<a@b>", "NOOP")))
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))

    def test_trouble_with_content(self) -> None:
        """Nobody can take it, or keep it, or commit it: 451 in each case, in the right place."""
        d = Dialogue().hello().begin()
        d.reception.answers["data"] = RuntimeError("x")
        self.assertEqual(["451"], codes(d.say("DATA")))
        d.reception.answers.clear()
        d.begin()
        d.reception.write_error = OSError("disk")
        self.assertEqual(["354"], codes(d.say("DATA")))
        self.assertEqual(["451", "250"], codes(d.say("x", ".", "NOOP")))
        self.assertTrue(d.reception.incoming[-1].aborted)
        d.reception.write_error = None
        d.begin()
        d.reception.answers["finish"] = RuntimeError("x")
        d.say("DATA")
        self.assertEqual(["451", "250"], codes(d.say("x", ".", "NOOP")))
        self.assertEqual(3, len(self.flushLoggedErrors(RuntimeError, OSError)))

    def test_trouble_is_no_error_of_the_client(self) -> None:
        """A client is never thrown out for our trouble."""
        d = Dialogue(limits=limits(errors=2)).hello()
        d.reception.answers["sender"] = RuntimeError("x")
        self.assertEqual(["451"] * 10, codes(d.say(*["MAIL FROM:<a@b>"] * 10)))
        self.assertEqual(10, len(self.flushLoggedErrors(RuntimeError)))

    def test_journal_fails(self) -> None:
        """A journal that fails does not stop the mail."""
        d = Dialogue().hello()
        d.reception.note = lambda event: 1 / 0  # type: ignore[method-assign,assignment]
        d.reception.answers["recipient"] = refusal()
        self.assertEqual(["250", "550"], codes(d.say("MAIL FROM:<a@b>", "RCPT TO:<a@b>")))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_wild_reply(self) -> None:
        """Whatever stands in a policy's reply, it is one reply and fits the line."""
        d = Dialogue().hello()
        d.reception.answers["sender"] = refusal(550, "a\r\n250 ok\r\n" + "x" * 1000)
        text = d.say("MAIL FROM:<a@b>")
        self.assertEqual(1, text.count("\n"))
        self.assertLessEqual(len(text), 512)


async def _fail() -> None:
    await succeed(None)
    raise RuntimeError("later")


class SmallCommandTests(SynchronousTestCase):
    """The rest of the vocabulary."""

    def test_table(self) -> None:
        """Command, and the reply to it."""
        d = Dialogue(limits=limits(errors=100, unknown_commands=100)).hello()
        for line, reply in (
            ("NOOP", "250 2.0.0"),
            ("noop anything", "250 2.0.0"),
            ("NOOP ", "250"),
            ("VRFY ann", "252 2.1.5"),
            ("VRFY", "501 5.5.4"),
            ("EXPN list", "502 5.5.1"),
            ("HELP", "214 2.0.0 Commands: HELO EHLO"),
            ("ETRN x", "502 5.5.1"),
            ("BOGUS", "500 5.5.2"),
            ("", "500 5.5.2"),
            (" NOOP", "500 5.5.2"),
            ("RSET x", "501 5.5.4"),
            ("STARTTLS", "454 4.7.0"),
            ("AUTH PLAIN", "502 5.5.1"),
            ("LHLO x", "502 5.5.1"),
            ("EHLO", "501 5.5.4"),
            ("EHLO a b", "501 5.5.4"),
            ("HELO (x)", "501 5.5.4"),
            ("MAIL", "501 5.1.7"),
            ("MAIL FROM:a@b", "501 5.1.7"),
            ("MAIL FROM:<a@b> FOO=1", "555 5.5.4"),
            ("MAIL FROM:<a@b> SIZE=x", "501 5.5.4"),
            ("MAIL FROM:<a@b> SIZE=52428801", "552 5.3.4"),
            ("mail from:<a@b>", "250 2.1.0"),
            ("RCPT TO:<>", "501 5.1.3"),
            ("RCPT TO:<a@b> FOO", "555 5.5.4"),
            ("RCPT TO:<a@b\0>", "501 5.5.4"),
            ("Rcpt To:<a@b>", "250 2.1.5"),
            ("DATA x", "501 5.5.4"),
            ("QUIT x", "501 5.5.4"),
        ):
            self.assertEqual(reply, d.say(line)[: len(reply)], line)

    def test_line_endings(self) -> None:
        """A command that does not end with CR LF, or holds a CR, is refused once."""
        for data in (b"NOOP\n", b"NO\rOP\r\n", b"NOOP\r\r\n", b"MAIL FROM:<a@b>\nRCPT TO:<a@b>\r\n"):
            d = Dialogue().hello()
            self.assertEqual("500 5.5.2 A command line ends", d.send(data)[:29])
            self.assertEqual("bad-line-ending", d.events[0].name)

    def test_torn_line(self) -> None:
        """What stands behind a bare LF is no command; whoever sends one line after the other is answered."""
        d = Dialogue().hello()
        for data in (b"NOOP\nMAIL FROM:<a@b>\r\n", b"x\nRCPT TO:<ann@local.test>\nMAIL FROM:<a@b>\r\n"):
            self.assertEqual({"500"}, set(codes(d.send(data))), data)
        self.assertEqual([], [about for question, about in d.reception.asked if question == "sender"])
        self.assertEqual(["500"], codes(d.send(b"NOOP\n")))
        self.assertEqual(["500"], codes(d.send(b"MAIL FROM:<a@b>\r\n")))
        self.assertEqual(["250"], codes(d.say("MAIL FROM:<a@b>")))

    def test_nul(self) -> None:
        """It is refused, and the journal has it."""
        d = Dialogue().hello()
        d.say("MAIL FROM:<a@b>")
        self.assertIn("501 5.5.4 RCPT: a NUL octet", d.say("RCPT TO:<a\0@local.test>"))
        self.assertEqual("bad-syntax", d.events[0].name)

    def test_empty_group(self) -> None:
        """A bare QUIT before EHLO is fine."""
        d = Dialogue()
        self.assertEqual("221", d.say("QUIT")[:3])
        self.assertTrue(d.closed)
        self.assertEqual("", d.say("NOOP"))

    def test_rejected_events_are_typed(self) -> None:
        """Refusals are ``Rejected`` events with the client's names."""
        d = Dialogue().hello()
        d.say("MAIL FROM:<a@b> FOO=1")
        (event,) = d.events
        self.assertIsInstance(event, Rejected)
        self.assertEqual(("192.0.2.7", "client.test", "mx"), (event.client, event.helo, event.role))
