"""What sessions are told of the folder that they have selected, and when."""

from __future__ import annotations

from tests.imap.sessions import Client, ImapCase


def untagged(lines: list[bytes]) -> list[bytes]:
    """What is told, without words for people."""
    return [line for line in lines if line.startswith(b"* ") and not line.startswith((b"* OK", b"* FLAGS"))]


class SelectedTests(ImapCase):
    """See the module."""

    def setUp(self) -> None:
        super().setUp()
        for number in range(1, 5):
            self.maildir.put(b"100%d.a" % number)

    def mark(self, client: Client, numbers: bytes) -> None:
        self.assertIn(b"a OK", client.do(b"STORE " + numbers + b" +FLAGS.SILENT (\\Deleted)")[-1])

    def test_select(self) -> None:
        client = self.logged_in()
        answer = client.do(b"SELECT inbox")
        for line in (b"* 4 EXISTS", b"* 4 RECENT", b"* OK [UIDNEXT 5]", b"* OK [UNSEEN 1]"):
            self.assertTrue(any(one.startswith(line) for one in answer), answer)
        self.assertTrue(answer[-1].startswith(b"a OK [READ-WRITE]"))
        self.assertIn(b"* 0 RECENT", self.logged_in().do(b"EXAMINE INBOX"))

    def test_no_such_folder(self) -> None:
        """Then none is selected (RFC 3501, 6.3.1)."""
        client = self.selected()
        self.assertIn(b"a NO [NONEXISTENT]", client.do(b"SELECT nowhere")[-1])
        self.assertIn(b"a BAD", client.do(b"CLOSE")[0])

    def test_arrival(self) -> None:
        client = self.selected()
        self.maildir.put(b"2000.b")
        self.assertEqual([b"* 5 EXISTS", b"* 5 RECENT"], untagged(client.do(b"NOOP")))
        self.assertEqual([], untagged(client.do(b"NOOP")))

    def test_removal(self) -> None:
        first, second = self.selected(), self.selected()
        self.mark(first, b"2,4")
        self.assertEqual([b"* 4 EXPUNGE", b"* 2 EXPUNGE"], untagged(first.do(b"EXPUNGE"))[:2])
        self.assertEqual(
            [b"* 4 EXPUNGE", b"* 2 EXPUNGE", b"* 2 EXISTS", b"* 0 RECENT"], untagged(second.do(b"NOOP"))
        )
        self.assertEqual(2, len(self.maildir.names("new")) + len(self.maildir.names()))

    def test_removal_waits(self) -> None:
        """Numbers do not change while STORE is answered, but with UID STORE they may (RFC 3501, 7.4.1)."""
        first, second = self.selected(), self.selected()
        self.mark(first, b"1")
        first.do(b"EXPUNGE")
        answer = second.do(b"STORE 2 +FLAGS (\\Seen)")
        self.assertEqual([b"* 2 FETCH (UID 2 FLAGS (\\Seen))"], untagged(answer))
        answer = second.do(b"UID STORE 3 +FLAGS (\\Seen)")
        self.assertEqual(b"* 3 FETCH (UID 3 FLAGS (\\Seen))", untagged(answer)[0])
        self.assertEqual(b"* 1 EXPUNGE", untagged(answer)[1])
        self.assertEqual([], untagged(second.do(b"NOOP")))

    def test_search_beside_the_gone(self) -> None:
        """They are counted still, and are not found: the client is told to look (RFC 5530, 3)."""
        first, second = self.selected(), self.selected()
        self.mark(first, b"1")
        first.do(b"EXPUNGE")
        answer = second.do(b"SEARCH SMALLER 9999")
        self.assertEqual([b"* SEARCH 2 3 4"], untagged(answer))
        self.assertIn(b"a OK [EXPUNGEISSUED]", answer[-1])
        second.do(b"NOOP")
        self.assertEqual([b"* SEARCH 1 2 3", b"a OK searched"], second.do(b"SEARCH SMALLER 9999"))

    def test_store_of_the_gone(self) -> None:
        first, second = self.selected(), self.selected()
        self.mark(first, b"1")
        first.do(b"EXPUNGE")
        self.assertIn(b"a NO [EXPUNGEISSUED]", second.do(b"STORE 1 +FLAGS (\\Seen)")[-1])
        # Who does not want to hear of it has what was wanted (RFC 2180, 4.2.1).
        self.assertIn(b"a OK", second.do(b"STORE 1 +FLAGS.SILENT (\\Deleted)")[-1])

    def test_uid_expunge(self) -> None:
        client = self.selected()
        self.mark(client, b"1:3")
        self.assertEqual(b"* 2 EXPUNGE", untagged(client.do(b"UID EXPUNGE 2,4"))[0])
        self.assertEqual(b"* 2 EXPUNGE", untagged(client.do(b"UID EXPUNGE 3:*"))[0])

    def test_close(self) -> None:
        """It removes and tells nothing; UNSELECT removes nothing; EXAMINE changes nothing."""
        client = self.selected()
        self.mark(client, b"1")
        self.assertIn(b"a OK", client.do(b"UNSELECT")[0])
        client.do(b"EXAMINE INBOX")
        self.assertIn(b"a NO", client.do(b"STORE 2 +FLAGS (\\Deleted)")[-1])
        self.assertIn(b"a OK", client.do(b"CLOSE")[0])
        self.assertIn(b"* 4 EXISTS", client.do(b"SELECT INBOX"))
        self.assertEqual([], untagged(client.do(b"CLOSE")))
        self.assertIn(b"* 3 EXISTS", client.do(b"SELECT INBOX"))

    def test_flags_of_others(self) -> None:
        """Each change is told to the others once, and to its author as the answer."""
        first, second = self.selected(), self.selected()
        answer = untagged(first.do(b"STORE 2:3 FLAGS (\\Seen $Junk)"))
        self.assertEqual(2, len(answer), answer)
        told = second.do(b"NOOP")
        self.assertTrue(told[0].startswith(b"* FLAGS") and b"$Junk" in told[0], told)
        wanted = [b"* %d FETCH (UID %d FLAGS (\\Seen $Junk))" % (n, n) for n in (2, 3)]
        self.assertEqual(wanted, untagged(told))
        self.assertEqual([], untagged(second.do(b"NOOP")) + untagged(first.do(b"NOOP")))

    def test_keywords_of_others(self) -> None:
        """Also those that came since, and cannot be told of yet because messages are gone."""
        for number, command in enumerate((b"STORE 1 -FLAGS (\\Flagged)", b"FETCH 1 BODY[]")):
            other, client = self.selected(), self.selected()
            self.maildir.put(b"9.%d" % number)
            client.do(b"NOOP")
            other.do(b"NOOP")
            word = b"word%d" % number
            other.do(b"STORE 1 FLAGS (%s)" % word)
            other.do(b"STORE * FLAGS (\\Deleted)")
            other.do(b"EXPUNGE")
            answer = client.do(command) + client.do(b"NOOP")
            told = [line for line in answer if b" FLAGS (" in line and b"* FLAGS" not in line]
            self.assertTrue(any(word in line for line in told), answer)

    def test_silent(self) -> None:
        client = self.selected()
        self.assertEqual([], untagged(client.do(b"STORE 1 +FLAGS.SILENT (\\Seen)")))
        client.do(b"ENABLE CONDSTORE")
        (line,) = untagged(client.do(b"STORE 1 +FLAGS.SILENT (\\Flagged)"))
        self.assertRegex(line, rb"\* 1 FETCH \(UID 1 MODSEQ \(\d+\)\)")

    def test_wrong_numbers(self) -> None:
        client = self.selected()
        for command in (
            b"STORE 5 FLAGS ()",
            b"STORE 0 FLAGS ()",
            b"STORE x FLAGS ()",
            b"STORE 1 FLAGS (\\Recent)",
        ):
            self.assertIn(b"a BAD", client.do(command)[-1], command)
        self.assertIn(b"a OK", client.do(b"UID STORE 99 FLAGS ()")[-1])

    def test_folder_made_anew(self) -> None:
        """UIDs that mean other messages end the session."""
        client = self.selected()
        account = client.protocol.account
        assert account is not None

        def lose(index: object) -> None:
            account._file.index.connection.execute("UPDATE folders SET validity = validity + 1")  # type: ignore[union-attr]

        self.successResultOf(_run(account, lose))
        self.assertEqual([b"* BYE [UNAVAILABLE] the selected folder was made anew"], client.do(b"NOOP"))

    def test_idle(self) -> None:
        client = self.selected()
        self.assertEqual([b"+ idling"], client.do(b"IDLE"))
        self.maildir.put(b"2000.b")
        self.room.delivered([str(self.maildir.path).encode()])
        self.assertEqual([b"* 5 EXISTS", b"* 5 RECENT"], client.heard())
        self.clock.advance(121)
        self.assertEqual([b"* OK still here"], client.heard())
        self.clock.advance(3600)
        self.assertFalse(client.transport.disconnecting)
        self.assertEqual(b"a OK no more news", client.say(b"DONE\r\n")[-1])
        self.assertEqual([], [call for call in self.clock.getDelayedCalls() if call.func.__name__ == "poke"])

    def test_idle_ended_wrongly(self) -> None:
        client = self.selected()
        self.assertIn(b"a BAD", client.say(b"a IDLE\r\nb NOOP\r\n")[-1])

    def test_status(self) -> None:
        client = self.selected()
        self.mark(client, b"1")
        items = b"MESSAGES RECENT UIDNEXT UNSEEN DELETED SIZE"
        (line, done) = client.do(b"STATUS INBOX (" + items + b")")
        wanted = b"* STATUS INBOX (MESSAGES 4 RECENT 0 UIDNEXT 5 UNSEEN 4 DELETED 1 SIZE 68)"
        self.assertEqual((wanted, b"a OK as of now"), (line, done))


def _run(account: object, work: object) -> object:
    from twisted.internet.defer import Deferred

    return Deferred.fromCoroutine(account.run(work))  # type: ignore[attr-defined]
