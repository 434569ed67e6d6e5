"""Clients that come back are told only what has changed (RFC 7162)."""

from __future__ import annotations

import re

from tests.imap.sessions import Client, ImapCase
from tests.imap.test_selected import untagged


class ResyncTests(ImapCase):
    """See the module."""

    def setUp(self) -> None:
        super().setUp()
        for number in range(1, 7):
            self.maildir.put(b"100%d.a" % number)

    def numbers(self, lines: list[bytes]) -> tuple[int, int]:
        """UIDVALIDITY and HIGHESTMODSEQ of SELECT."""
        text = b"\n".join(lines)
        validity = re.search(rb"UIDVALIDITY (\d+)", text)
        modseq = re.search(rb"HIGHESTMODSEQ (\d+)", text)
        assert validity is not None and modseq is not None
        return int(validity[1]), int(modseq[1])

    def resyncing(self) -> Client:
        client = self.logged_in()
        self.assertEqual(b"* ENABLED QRESYNC", client.do(b"ENABLE QRESYNC")[0])
        return client

    def test_back_again(self) -> None:
        client = self.resyncing()
        validity, modseq = self.numbers(client.do(b"SELECT INBOX"))
        client.do(b"STORE 2,3,5 +FLAGS (\\Deleted)")
        answer = client.do(b"EXPUNGE")
        self.assertEqual(b"* VANISHED 2:3,5", untagged(answer)[0])
        self.assertRegex(answer[-1], rb"a OK \[HIGHESTMODSEQ \d+\]")
        client.do(b"UID STORE 6 +FLAGS.SILENT (\\Seen)")
        back = self.resyncing()
        answer = untagged(back.do(b"SELECT INBOX (QRESYNC (%d %d 1:4,6))" % (validity, modseq)))
        self.assertEqual(b"* VANISHED (EARLIER) 2:3", answer[2])
        self.assertRegex(answer[3], rb"\* 3 FETCH \(UID 6 FLAGS \(\\Seen\) MODSEQ \(\d+\)\)")
        self.assertEqual(4, len(answer))
        other = untagged(back.do(b"SELECT INBOX (QRESYNC (%d %d))" % (validity + 1, modseq)))
        self.assertEqual(2, len(other), "it is told nothing about other messages")

    def test_too_long_ago(self) -> None:
        """Then all UIDs that are not there are told: none that is."""
        client = self.resyncing()
        validity, modseq = self.numbers(client.do(b"SELECT INBOX"))
        client.do(b"STORE 1,2,6 +FLAGS (\\Deleted)")
        client.do(b"EXPUNGE")
        account = client.protocol.inside
        account._file.index.connection.execute("UPDATE folders SET forgotten = modseq")  # type: ignore[union-attr]
        answer = untagged(client.do(b"SELECT INBOX (QRESYNC (%d %d))" % (validity, modseq)))
        self.assertEqual(b"* VANISHED (EARLIER) 1:2,6", answer[2])
        answer = untagged(client.do(b"SELECT INBOX (QRESYNC (%d %d 2:4,9))" % (validity, modseq)))
        self.assertEqual(b"* VANISHED (EARLIER) 2", answer[2])

    def test_not_enabled(self) -> None:
        self.assertIn(b"a BAD", self.logged_in().do(b"SELECT INBOX (QRESYNC (1 1))")[-1])

    def test_unchanged_since(self) -> None:
        """What has changed meanwhile is left alone, and named (3.1.3)."""
        client, other = self.selected(), self.selected()
        _, modseq = self.numbers(client.do(b"SELECT INBOX (CONDSTORE)"))
        other.do(b"STORE 2 +FLAGS (\\Seen)")
        answer = client.do(b"STORE 1:3 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\\Deleted)" % modseq)
        self.assertTrue(answer[-1].startswith(b"a OK [MODIFIED 2]"), answer)
        told = [re.sub(rb"MODSEQ \(\d+\)", b"M", line) for line in untagged(answer)]
        self.assertEqual(
            [b"* 1 FETCH (UID 1 M)", b"* 3 FETCH (UID 3 M)", b"* 2 FETCH (UID 2 FLAGS (\\Seen) M)"], told
        )
