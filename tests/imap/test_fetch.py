"""FETCH: what is told of messages, and how."""

from __future__ import annotations

import os
import time
from datetime import datetime

from mta.imap import fetch
from tests.imap.sessions import ImapCase
from tests.imap.test_selected import untagged

TEXT = b"Subject: one\nX-A: 1\n more\nDate: x\n\nbody\nend\n"
SENT = TEXT.replace(b"\n", b"\r\n")


class FetchTests(ImapCase):
    """See the module."""

    def setUp(self) -> None:
        super().setUp()
        for number in range(1, 4):
            path = self.maildir.put(b"100%d.a" % number, TEXT, "cur")
            os.utime(path, (1_600_000_000, 1_600_000_000))

    def test_facts(self) -> None:
        client = self.selected(command=b"EXAMINE")
        answer = client.do(b"FETCH 2 (FLAGS UID INTERNALDATE RFC822.SIZE)")
        wanted = b'* 2 FETCH (FLAGS () UID 2 INTERNALDATE "13-Sep-2020 12:26:40 +0000" RFC822.SIZE %d)' % len(
            SENT
        )
        self.assertEqual([wanted, b"a OK fetched"], answer)
        self.assertEqual(3, len(untagged(client.do(b"FETCH 1:* FLAGS"))))
        self.assertEqual([b"* 3 FETCH (UID 3 FLAGS ())"], untagged(client.do(b"UID FETCH 3:99 FLAGS")))

    def octets(self, answer: bytes) -> bytes:
        """What a single literal holds."""
        start = answer.index(b"{") + 1
        end = answer.index(b"}\r\n")
        return answer[end + 3 : end + 3 + int(answer[start:end])]

    def test_content(self) -> None:
        client = self.selected()
        for item, wanted in (
            (b"BODY.PEEK[]", SENT),
            (b"RFC822.HEADER", SENT[: SENT.index(b"body")]),
            (b"BODY.PEEK[TEXT]", b"body\r\nend\r\n"),
            (b"BODY.PEEK[HEADER.FIELDS (x-a)]", b"X-A: 1\r\n more\r\n\r\n"),
            (b"BODY.PEEK[HEADER.FIELDS.NOT (X-A date)]", b"Subject: one\r\n\r\n"),
            (b"BODY.PEEK[]<5.12>", SENT[5:17]),
            (b"BODY.PEEK[TEXT]<9.100>", b"\r\n"),
        ):
            client.transport.clear()
            client.protocol.dataReceived(b"a FETCH 1 " + item + b"\r\n")
            self.assertEqual(wanted, self.octets(client.transport.value()), item)
        self.assertIn(b'BODY[]<500> ""', client.do(b"FETCH 1 BODY.PEEK[]<500.9>")[0])
        self.assertNotIn(b"Seen", client.do(b"FETCH 1 FLAGS")[0])

    def test_odd_octets(self) -> None:
        """A lone CR ends no line of a header, and a NUL, which IMAP has not, is another octet."""
        self.maildir.put(b"2000.a", b"Subject: a\rX-A: b\nX-B: c\0\n\n\0\n", "cur")
        client = self.selected()
        for item, wanted in (
            (b"BODY.PEEK[]", b"Subject: a\rX-A: b\r\nX-B: c\x80\r\n\r\n\x80\r\n"),
            (b"BODY.PEEK[HEADER.FIELDS (Subject)]", b"Subject: a\rX-A: b\r\n\r\n"),
            (b"BODY.PEEK[HEADER.FIELDS (X-A)]", b"\r\n"),
        ):
            client.transport.clear()
            client.protocol.dataReceived(b"a FETCH 4 " + item + b"\r\n")
            self.assertEqual(wanted, self.octets(client.transport.value()), item)

    def test_facts_are_kept(self) -> None:
        """Times and sizes that only the file tells are read once."""
        client = self.selected()
        first = client.do(b"FETCH 1:* (RFC822.SIZE INTERNALDATE)")
        for path in (self.maildir.path / "cur").iterdir():
            path.chmod(0o600)
            os.truncate(path, 0)
            os.utime(path, (1, 1))
        self.assertEqual(first, client.do(b"FETCH 1:* (RFC822.SIZE INTERNALDATE)"))
        self.assertIn(b'INTERNALDATE "13-Sep-2020 12:26:40 +0000"', first[0])

    def test_preview(self) -> None:
        """The first words (RFC 8970): without a mark, kept, and in UTF-8."""
        self.maildir.put(b"2000.a", "Content-Type: text/plain; charset=utf-8\n\nGrüße\n".encode(), "cur")
        self.maildir.put(b"2001.a", b"Content-Type: image/png\n\nx\n", "cur")
        client = self.selected()
        self.assertIn(b"PREVIEW", client.do(b"CAPABILITY")[0].split())
        answer = client.do(b"FETCH 1 (FLAGS PREVIEW)")
        self.assertEqual([b'* 1 FETCH (FLAGS () PREVIEW "body end")', b"a OK fetched"], answer)
        self.assertEqual(b"* 4 FETCH (PREVIEW {7}", client.do(b"FETCH 4 PREVIEW")[0])
        self.assertEqual("Grüße)".encode(), client.do(b"FETCH 4 PREVIEW")[1])
        self.assertEqual(b'* 5 FETCH (PREVIEW "")', client.do(b"FETCH 5 PREVIEW")[0])
        for path in (self.maildir.path / "cur").iterdir():
            os.truncate(path, 0)
        self.assertEqual(b'* 1 FETCH (PREVIEW "body end")', client.do(b"FETCH 1 (PREVIEW (LAZY))")[0])

    def test_preview_lazy(self) -> None:
        """Who does not want to wait is told of so many, and of those that are known."""
        self.patch(fetch, "_WITHOUT_DELAY", 1)
        client = self.selected()
        client.do(b"FETCH 3 PREVIEW")
        answer = client.do(b"FETCH 1:3 (UID PREVIEW (LAZY))")
        told = [line.partition(b"PREVIEW ")[2] for line in untagged(answer)]
        self.assertEqual([b'"body end")', b"NIL)", b'"body end")'], told)
        self.assertIn(b'PREVIEW "body end"', client.do(b"FETCH 2 (PREVIEW)")[0])
        for wrong in (b"FETCH 1 PREVIEW (EAGER)", b"FETCH 1 PREVIEW ()", b"FETCH 1 (PREVIEW LAZY)"):
            self.assertIn(b"a BAD", client.do(wrong)[-1], wrong)

    def test_save_date(self) -> None:
        """When a message came into its folder, whatever INTERNALDATE says (RFC 8514)."""
        self.maildir.put(b"1500000000.M1.far", TEXT, "cur")
        client = self.selected()
        self.assertIn(b"SAVEDATE", client.do(b"CAPABILITY")[0].split())
        begun = int(time.time())

        def told(which: bytes) -> int:
            answer = b" ".join(client.do(b"FETCH " + which + b" (INTERNALDATE SAVEDATE)"))
            text = answer.partition(b'SAVEDATE "')[2].partition(b'"')[0].decode()
            return int(datetime.strptime(text, "%d-%b-%Y %H:%M:%S %z").timestamp())

        self.assertEqual(1_500_000_000, told(b"4"))
        # Its name tells nothing.
        self.assertLessEqual(begun - 60, told(b"1"))
        answer = client.do(b"FETCH 4 (SAVEDATE ENVELOPE)")[0]
        self.assertIn(b'SAVEDATE "14-Jul-2017 02:40:00 +0000"', answer)
        client.do(b"CREATE other")
        client.do(b"COPY 4 other")
        client.do(b"MOVE 4 other")
        client.do(b'APPEND other "13-Sep-2020 12:26:40 +0000" {%d+}\r\n%s' % (len(SENT), SENT))
        client.do(b"SELECT other")
        for number in (b"1", b"2", b"3"):
            self.assertLessEqual(begun, told(number), number)
        self.assertIn(b'INTERNALDATE "13-Sep-2020', client.do(b"FETCH 3 (SAVEDATE INTERNALDATE)")[0])

    def test_parts(self) -> None:
        """Structures, and the parts that they tell of; again out of the index."""
        text = (
            b"Subject: x\nFrom: a@b.org\nContent-Type: multipart/mixed; boundary=q\n\n--q\n\none\n"
            b"--q\nContent-Type: message/rfc822\n\nSubject: inner\n\ntwo\n--q--\n"
        )
        self.maildir.put(b"2000.b", text)
        client = self.selected()
        first = client.do(b"FETCH 4 (ENVELOPE BODYSTRUCTURE)")
        self.assertEqual(first, client.do(b"FETCH 4 (ENVELOPE BODYSTRUCTURE)"))
        self.assertIn(b'* 4 FETCH (ENVELOPE (NIL "x" ((NIL NIL "a" "b.org")) ', first[0])
        self.assertIn(b' "MIXED" ("BOUNDARY" "q") NIL NIL NIL))', first[0])
        self.assertIn(b"a OK", client.do(b"FETCH 1:* FULL")[-1])
        for item, wanted in (
            (b"BODY.PEEK[1]", b"one"),
            (b"BODY.PEEK[2.HEADER]", b"Subject: inner\r\n\r\n"),
            (b"BODY.PEEK[2.1]", b"two"),
            (b"BODY.PEEK[2.TEXT]", b"two"),
            (b"BODY.PEEK[2.MIME]", b"Content-Type: message/rfc822\r\n\r\n"),
            (b"BODY.PEEK[2.HEADER.FIELDS (SUBJECT)]", b"Subject: inner\r\n\r\n"),
        ):
            client.transport.clear()
            client.protocol.dataReceived(b"a FETCH 4 " + item + b"\r\n")
            self.assertEqual(
                wanted,
                self.octets(client.transport.value()).removesuffix(
                    b"\r\n" if b"TEXT" in item or b"." not in item else b""
                ),
                item,
            )
        self.assertIn(b"BODY[3] NIL", client.do(b"FETCH 4 BODY.PEEK[3]")[0])

    def test_seen(self) -> None:
        """It is told where it is new, and marked for others."""
        client, other = self.selected(), self.selected()
        self.assertIn(b" FLAGS (\\Seen))", client.do(b"FETCH 2 BODY[TEXT]")[-2])
        self.assertNotIn(b"FLAGS", client.do(b"FETCH 2 BODY[TEXT]")[-2])
        self.assertEqual([b"* 2 FETCH (UID 2 FLAGS (\\Seen))"], untagged(other.do(b"NOOP")))
        other.do(b"EXAMINE INBOX")
        other.do(b"FETCH 1 BODY[]")
        self.assertEqual([], untagged(client.do(b"NOOP")))

    def test_large(self) -> None:
        """No more is read of a message than the client takes."""
        self.maildir.put(b"2000.b", b"a: b\n\n" + b"y" * 99 + b"\n" + (b"x" * 99 + b"\n") * 20_000)
        client = self.selected()
        client.protocol.pauseProducing()
        client.say(b"a FETCH 3:4 (UID BODY.PEEK[])\r\nb NOOP\r\n")
        self.assertLess(len(client.transport.value()), 200_000)
        for _ in range(100):
            client.protocol.resumeProducing()
        answer = client.transport.value()
        self.assertTrue(answer.endswith(b"x\r\n)\r\na OK fetched\r\nb OK done\r\n"), answer[-60:])
        self.assertEqual(8 + 101 * 20_001, len(self.octets(answer[answer.index(b"* 4 FETCH") :])))

    def test_changed_since(self) -> None:
        client, other = self.selected(), self.selected()
        modseq = client.protocol.selected.snapshot.modseq  # type: ignore[union-attr]
        other.do(b"STORE 3 +FLAGS (\\Seen)")
        answer = untagged(client.do(b"FETCH 1:3 (FLAGS) (CHANGEDSINCE %d)" % modseq))
        self.assertRegex(answer[0], rb"\* 3 FETCH \(MODSEQ \(\d+\) FLAGS \(\\Seen\)\)")
        other.do(b"ENABLE QRESYNC")
        client.do(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        client.do(b"EXPUNGE")
        other.do(b"NOOP")
        answer = untagged(other.do(b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)" % modseq))
        self.assertEqual(b"* VANISHED (EARLIER) 1", answer[0])

    def test_facts_of_many(self) -> None:
        """What the index has is told as well as what the file tells."""
        client = self.selected()
        client.do(b"STORE 1:2 FLAGS (\\Seen a b)")
        client.do(b"STORE 2 -FLAGS (a)")
        lines = untagged(client.do(b"FETCH 1:* (UID FLAGS MODSEQ RFC822.SIZE)"))
        for number, line in enumerate(lines, 1):
            (one,) = untagged(client.do(b"FETCH %d (UID FLAGS MODSEQ RFC822.SIZE INTERNALDATE)" % number))
            self.assertEqual(line[:-1], one[: one.index(b" INTERNALDATE")])
        self.assertIn(b"(\\Seen b)", lines[1])

    def test_begins_to_count(self) -> None:
        """The first command that asks for MODSEQs is told how far the folder is (RFC 7162, 3.1.2)."""
        for command in (
            b"FETCH 1 MODSEQ",
            b"FETCH 1 FLAGS (CHANGEDSINCE 1)",
            b"STORE 1 (UNCHANGEDSINCE 9) +FLAGS (x)",
            b"SEARCH MODSEQ 1",
            b"STATUS INBOX (HIGHESTMODSEQ)",
            b"ENABLE CONDSTORE",
        ):
            client = self.selected()
            self.assertRegex(b"\n".join(client.do(command)), rb"\* OK \[HIGHESTMODSEQ \d+\]", command)
            self.assertNotIn(b"[HIGHESTMODSEQ", b"\n".join(client.do(command)), command)

    def test_gone(self) -> None:
        client, other = self.selected(), self.selected()
        other.do(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        other.do(b"EXPUNGE")
        answer = client.do(b"FETCH 1:3 UID")
        self.assertEqual(2, len(untagged(answer)))
        self.assertIn(b"a NO [EXPUNGEISSUED]", answer[-1])
        self.assertIn(b"a BAD", client.do(b"FETCH 4 UID")[-1])
