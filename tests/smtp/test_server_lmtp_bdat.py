"""LMTP, and content in chunks."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.model.catalogue import REPLIES
from mta.model.reply import Reply
from tests.smtp.server_fakes import Dialogue, codes, limits, refusal


class LmtpTests(SynchronousTestCase):
    """RFC 2033."""

    def test_hello(self) -> None:
        d = Dialogue("lmtp")
        self.assertEqual("220 mx.local.test LMTP\r\n", d.greeting)
        self.assertEqual(["502", "502"], codes(d.say("HELO x", "EHLO x")))
        d.hello().begin()
        self.assertEqual(["LMTP"], d.reception.protocols)

    def test_reply_for_each(self) -> None:
        """In order, some good, some bad."""
        d = Dialogue("lmtp").hello().begin("a@x", "b@x", "c@x")
        ok = REPLIES.reply("queued", id="1")
        d.reception.answers["finish"] = [ok, refusal(450), ok]
        d.say("DATA")
        self.assertEqual(["250", "450", "250"], codes(d.say("x", ".")))
        self.assertEqual(["b@x"], [event.recipient for event in d.events])

    def test_nobody_left(self) -> None:
        """RFC 2033, 4.2: DATA without a recipient is 503."""
        d = Dialogue("lmtp").hello()
        d.reception.answers["recipient"] = refusal()
        self.assertEqual(["250", "550", "503"], codes(d.say("MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA")))
        self.assertEqual(["503"], codes(d.say("BDAT 0 LAST")))

    def test_always_as_many(self) -> None:
        """Also for a fault of the content, trouble of ours, and a reception that miscounts."""
        for answer in ([refusal()], RuntimeError("x"), [REPLIES.reply("ok")] * 5, []):
            d = Dialogue("lmtp").hello().begin("a@x", "b@x", "c@x")
            d.reception.answers["finish"] = lambda answer=answer: _raise(answer)
            d.say("DATA")
            self.assertEqual(3 + 1, len(codes(d.say("x", ".", "NOOP"))), answer)
            self.flushLoggedErrors(RuntimeError)
        d = Dialogue("lmtp").hello().begin("a@x", "b@x", "c@x")
        d.say("DATA")
        self.assertEqual(["550", "550", "550"], codes(d.send(b"a\nb\r\n.\r\n")))
        d.begin("a@x", "b@x")
        self.assertEqual(["550", "550"], codes(d.send(b"BDAT 5 LAST\r\na\nb\r\n")))

    def test_errors_count_messages(self) -> None:
        """A message refused for many recipients is one error."""
        d = Dialogue("lmtp", limits=limits(errors=2)).hello()
        d.begin(*[f"{n}@x" for n in range(10)])
        d.reception.answers["finish"] = [refusal()] * 10
        d.say("DATA")
        self.assertEqual(["550"] * 10, codes(d.say("x", ".")))
        self.assertFalse(d.closed)

    def test_goodbye_comes_last(self) -> None:
        """A client counts replies: one too many errors is told of behind them, and so is a 421."""
        for last in ([refusal()] * 2, [refusal(), Reply(421, ("away",), "4.3.2")]):
            d = Dialogue("lmtp", limits=limits(errors=1)).hello()
            heard = []
            for answer in ([refusal()] * 2, last):
                d.begin("a@x", "b@x")
                d.reception.answers["finish"] = answer
                d.say("DATA")
                heard += codes(d.say("x", "."))
            self.assertEqual(["550"] * 3 + [str(last[1].code)], heard[:4])
            self.assertEqual(["421"] if last[1].code == 550 else [], heard[4:])
            self.assertTrue(d.protocol.session.closing)


def _raise(answer: object) -> object:
    if isinstance(answer, Exception):
        raise answer
    return answer


class BdatTests(SynchronousTestCase):
    """RFC 3030."""

    def test_chunks(self) -> None:
        """Several, pipelined, with what looks like the end of DATA in them."""
        d = Dialogue().hello()
        text = d.send(
            b"MAIL FROM:<a@b>\r\nRCPT TO:<ann@local.test>\r\nBDAT 6\r\na: b\r\n"
            b"BDAT 7\r\n\r\n.\r\n\r\nBDAT 3 LAST\r\nx\r\nNOOP\r\n"
        )
        self.assertEqual(["250"] * 6, codes(text))
        self.assertIn("250 2.0.0 7 octets received", text)
        self.assertEqual(b"a: b\r\n\r\n.\r\n\r\nx\r\n", d.reception.messages[0].data)

    def test_empty_last(self) -> None:
        d = Dialogue().hello().begin()
        d.send(b"BDAT 3\r\nx\r\n")
        self.assertEqual(["250"], codes(d.say("BDAT 0 LAST")))
        self.assertEqual(b"x\r\n", d.reception.messages[0].data)
        d.begin()
        self.assertEqual(["250"], codes(d.say("bdat 0 last")))
        self.assertEqual(b"", d.reception.messages[1].data)

    def test_failed_swallows(self) -> None:
        """Octets of a chunk are never commands, whatever the answer is."""
        d = Dialogue().hello()
        self.assertEqual(["503", "250"], codes(d.send(b"BDAT 6\r\nQUIT\r\nNOOP\r\n")))
        self.assertEqual(
            ["250", "503", "250"], codes(d.send(b"MAIL FROM:<a@b>\r\nBDAT 6\r\nQUIT\r\nNOOP\r\n"))
        )
        d.say("RSET")
        d.reception.answers["recipient"] = refusal()
        text = d.send(
            b"MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"
        )
        self.assertEqual(["250", "550", "554", "503", "250"], codes(text))
        self.assertEqual(["503"], codes(Dialogue().send(b"BDAT 0\r\n")))

    def test_fault(self) -> None:
        """A fault in a chunk is answered at its end, and ends the transaction."""
        d = Dialogue().hello().begin()
        self.assertEqual(
            ["550", "503", "250"], codes(d.send(b"BDAT 3\r\na\nbBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"))
        )
        self.assertTrue(d.reception.incoming[0].aborted)
        d.begin()

    def test_too_large(self) -> None:
        """Refused as soon as it is declared, after its octets; far too large closes."""
        d = Dialogue(limits=limits(message_size=10)).hello().begin()
        self.assertEqual(["250"], codes(d.send(b"BDAT 8\r\n123456\r\n")))
        self.assertEqual("", d.send(b"BDAT 3\r\n"))
        self.assertTrue(d.reception.incoming[0].aborted)
        self.assertEqual(["552", "250"], codes(d.send(b"7\r\nNOOP\r\n")))
        d.begin()
        self.assertEqual(["552"], codes(d.say("BDAT 99999999999999999999 LAST")))
        self.assertTrue(d.protocol.session.closing)

    def test_syntax(self) -> None:
        """Without a count nobody knows what is content: the line is closed."""
        for bad in ("BDAT", "BDAT x", "BDAT -1", "BDAT 1 FIRST", "BDAT 1LAST", "BDAT 1e3", "BDAT 1\0 LAST"):
            d = Dialogue().hello().begin()
            self.assertEqual(["501"], codes(d.say(bad, "NOOP")))
            self.assertTrue(d.protocol.session.closing)

    def test_between_chunks(self) -> None:
        """Only chunks, and what ends the transaction."""
        d = Dialogue().hello().begin()
        d.send(b"BDAT 3\r\nx\r\n")
        for line in ("RCPT TO:<a@b>", "DATA", "MAIL FROM:<a@b>"):
            self.assertEqual(["503"], codes(d.say(line)))
        self.assertEqual(["250", "503"], codes(d.say("RSET", "DATA")))
        self.assertTrue(d.reception.incoming[0].aborted)

    def test_binary(self) -> None:
        """BINARYMIME comes by BDAT only, and as it is."""
        d = Dialogue().hello()
        d.say("MAIL FROM:<a@b> BODY=BINARYMIME", "RCPT TO:<a@b>")
        self.assertEqual("503 5.5.1 BODY=BINARYMIME", d.say("DATA")[:25])
        self.assertEqual(["250"], codes(d.send(b"BDAT 6 LAST\r\n\0\n\r\r\r\n")))
        self.assertEqual(b"\0\n\r\r\r\n", d.reception.messages[0].data)

    def test_cut_anywhere(self) -> None:
        data = b"BDAT 5\r\na\r\nb\rBDAT 4 LAST\r\n\n.\r\nNOOP\r\n"
        for size in (1, 2, 3, 5, 7):
            d = Dialogue().hello().begin()
            text = "".join(d.send(data[n : n + size]) for n in range(0, len(data), size))
            self.assertEqual(["250"] * 3, codes(text))
            self.assertEqual(b"a\r\nb\r\n.\r\n", d.reception.messages[0].data)
