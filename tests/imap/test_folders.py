"""Folders: listed, made, renamed, removed; how full they are."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.imap.list_pattern import matches
from mta.imap.listing import Wish, listed, subscribed
from mta.journal.text import event_line
from mta.mailbox.folders import Listed
from mta.model.event_mailbox import FolderChanged
from tests.imap.sessions import ImapCase


class PatternTests(SynchronousTestCase):
    """``*`` and ``%``."""

    def test_fits(self) -> None:
        for pattern, name in (
            ("*", "a.b.c"),
            ("%", "a"),
            ("a.%", "a.b"),
            ("%.b", "a.b"),
            ("*b", "a.b"),
            ("a*c", "a.b.c"),
            ("a%%", "abc"),
            ("%*%", "a.b"),
        ):
            self.assertTrue(matches(pattern, name), (pattern, name))
        for pattern, name in (
            ("%", "a.b"),
            ("a.%", "a.b.c"),
            ("b", "a"),
            ("", "a"),
            ("a%c", "a.c"),
            ("a.*", "a"),
        ):
            self.assertFalse(matches(pattern, name), (pattern, name))

    def test_time(self) -> None:
        """It is in proportion to the lengths."""
        self.assertFalse(matches("*a" * 2000 + "b", "a" * 200))


class ListingTests(SynchronousTestCase):
    """What is told of names."""

    FOLDERS = (
        Listed("INBOX", b"", True, False, True),
        Listed("Sent", b".Sent", True, False, True, ("\\Sent",)),
        Listed("gone", b".gone", False, False, True),
        Listed("lists", b".lists", False, True, False),
        Listed("lists.a", b".lists.a", True, False, True),
        Listed("lists.b", b".lists.b", True, False, False),
    )

    def lines(self, *patterns: str, **options: bool) -> dict[str, set[str]]:
        return {
            line.name: set(line.attributes)
            for line in listed(self.FOLDERS, Wish(patterns, **options))  # type: ignore[arg-type]
        }

    def test_all(self) -> None:
        found = self.lines("*")
        self.assertEqual({"INBOX", "Sent", "lists", "lists.a", "lists.b"}, set(found))
        self.assertEqual({"\\Noselect", "\\HasChildren"}, found["lists"])
        self.assertEqual({"\\HasNoChildren", "\\Sent"}, found["Sent"])

    def test_levels(self) -> None:
        self.assertEqual({"INBOX", "Sent", "lists"}, set(self.lines("%")))
        self.assertEqual({"lists.a", "lists.b"}, set(self.lines("lists.%")))
        self.assertEqual({"INBOX"}, set(self.lines("inbox")))
        self.assertEqual({"INBOX", "Sent"}, set(self.lines("inbox", "s*", "S*")))

    def test_selected(self) -> None:
        found = self.lines("*", subscribed=True, extended=True)
        self.assertEqual({"INBOX", "Sent", "gone", "lists.a"}, set(found))
        self.assertEqual({"\\NonExistent", "\\HasNoChildren", "\\Subscribed"}, found["gone"])
        self.assertEqual({"Sent"}, set(self.lines("*", special=True, extended=True)))

    def test_recursive(self) -> None:
        """A level that is not subscribed, but something below it is."""
        wish = Wish(("%",), subscribed=True, recursive=True, extended=True)
        found = {line.name: line.below for line in listed(self.FOLDERS, wish)}
        self.assertEqual({"INBOX": False, "Sent": False, "gone": False, "lists": True}, found)

    def test_subscribed(self) -> None:
        found = {line.name: line.attributes for line in subscribed(self.FOLDERS, ("%",))}
        self.assertEqual({"INBOX": (), "Sent": (), "gone": ("\\Noselect",), "lists": ("\\Noselect",)}, found)
        self.assertEqual(
            ["INBOX", "Sent", "gone", "lists.a"], [line.name for line in subscribed(self.FOLDERS, ("*",))]
        )


class FolderCommandTests(ImapCase):
    """The commands."""

    def test_first_log_in(self) -> None:
        """Folders that programs expect are there, and subscribed."""
        client = self.logged_in()
        answer = client.do(b'LIST "" *')
        self.assertIn(b'* LIST (\\HasNoChildren \\Sent) "." Sent', answer)
        self.assertIn(b'* LIST (\\HasNoChildren) "." INBOX', answer)
        self.assertEqual(7, len(answer))
        self.assertEqual(7, len(client.do(b'LSUB "" *')))

    def test_life(self) -> None:
        client = self.logged_in()
        for command, wanted in (
            (b"CREATE a.b", b"a OK"),
            (b"CREATE a.b", b"a NO [ALREADYEXISTS]"),
            (b"SUBSCRIBE a.b", b"a OK"),
            (b"RENAME a c", b"a OK"),
            (b"SELECT a.b", b"a NO [NONEXISTENT]"),
            (b"DELETE c.b", b"a OK"),
            (b"DELETE c.b", b"a NO [NONEXISTENT]"),
            (b"DELETE INBOX", b"a NO [CANNOT]"),
            (b"CREATE old (USE (\\Trash))", b"a OK"),
            (b"UNSUBSCRIBE a.b", b"a OK"),
        ):
            self.assertTrue(client.do(command)[-1].startswith(wanted), command)

    def test_journal(self) -> None:
        """Who changed folders is told, and what was refused or was so already is not."""
        self.maildir.put(b"1.x")
        client = self.logged_in()
        client.do(b'ID ("name" "Mutt")')
        for command in (
            b"CREATE a",
            b"CREATE a",
            b"SUBSCRIBE a",
            b"SUBSCRIBE a",
            b"UNSUBSCRIBE a",
            b"UNSUBSCRIBE a",
            b"RENAME a Gr&APYA3w-e",
            b"RENAME INBOX old",
            b"DELETE old",
            b"DELETE old",
        ):
            client.do(command)
        told = [event_line(event) for event in self.events if isinstance(event, FolderChanged)]
        end = "client=10.1.2.3 program=Mutt"
        self.assertEqual(
            [
                f"anna@example.org made the folder a {end}",
                f"anna@example.org subscribed to the folder a {end}",
                f"anna@example.org is no more subscribed to the folder a {end}",
                f"anna@example.org renamed the folder a to Größe {end}",
                f"anna@example.org moved all messages of the inbox to old {end}",
                f"anna@example.org removed the folder old with 1 message {end}",
            ],
            [words[words.index("anna") :] for words in told],
        )

    def test_names(self) -> None:
        """In modified UTF-7, and in UTF-8 for those who want it."""
        client = self.logged_in()
        client.do(b'CREATE "Entw&APw-rfe A"')
        self.assertIn(b'* LIST (\\HasNoChildren) "." "Entw&APw-rfe A"', client.do(b'LIST "" E*'))
        self.assertIn(b"a NO [CANNOT]", client.do(b"CREATE a&b")[-1])
        client.do(b"ENABLE UTF8=ACCEPT")
        self.assertIn('* LIST (\\HasNoChildren) "." "Entwürfe A"'.encode(), client.do(b'LIST "" E*'))
        self.assertIn(b"a OK", client.do('SELECT "Entwürfe A"'.encode())[-1])

    def test_selected_and_removed(self) -> None:
        """Here it is selected no more; another session that has it ends."""
        self.logged_in().do(b"CREATE a")
        first, second = self.selected(b"a"), self.selected(b"a")
        answer = first.do(b"DELETE a")
        self.assertTrue(answer[0].startswith(b"* OK [CLOSED]"), answer)
        self.assertEqual([b"* BYE [UNAVAILABLE] the selected folder was removed"], second.do(b"NOOP"))

    def test_list_extended(self) -> None:
        client = self.logged_in()
        answer = client.do(b'LIST (SUBSCRIBED) "" (Sent INBOX) RETURN (CHILDREN STATUS (MESSAGES))')
        self.assertEqual(
            [
                b'* LIST (\\HasNoChildren \\Subscribed) "." INBOX',
                b"* STATUS INBOX (MESSAGES 0)",
                b'* LIST (\\HasNoChildren \\Subscribed \\Sent) "." Sent',
                b"* STATUS Sent (MESSAGES 0)",
            ],
            answer[:-1],
        )

    def test_list_options(self) -> None:
        """Options that nobody knows are mistakes; RECURSIVEMATCH wants another beside it (RFC 5258, 3.1)."""
        client = self.logged_in()
        for words in (
            b'(FOO) "" *',
            b'(RECURSIVEMATCH) "" *',
            b'(RECURSIVEMATCH REMOTE) "" *',
            b'"" * RETURN (FOO)',
            b'"" * RETURN (STATUS)',
        ):
            self.assertIn(b"a BAD", client.do(b"LIST " + words)[-1], words)
        self.assertIn(b"a OK", client.do(b'LIST (remote) "" % return (children special-use subscribed)')[-1])

    def test_list_no_name(self) -> None:
        """A pattern that no name can fit is not wrong, but nothing fits it."""
        client = self.logged_in()
        for pattern in (b"&*", b"*$&'x", b"a&b%"):
            self.assertEqual([b"a OK"], [line[:4] for line in client.do(b'LIST "" ' + pattern)], pattern)
            self.assertEqual([b"a OK"], [line[:4] for line in client.do(b'LSUB "" ' + pattern)], pattern)

    def test_list_below(self) -> None:
        """What is told itself is not told of by what is above it."""
        client = self.logged_in()
        for name in (b"a", b"a.b"):
            client.do(b"CREATE " + name)
        client.do(b"UNSUBSCRIBE a")
        client.do(b"SUBSCRIBE a.b")
        answer = client.do(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" (a a.b)')
        self.assertEqual([b'* LIST (\\HasNoChildren \\Subscribed) "." a.b'], answer[:-1])
        answer = client.do(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" a')
        self.assertEqual([b'* LIST (\\HasChildren) "." a ("CHILDINFO" ("SUBSCRIBED"))'], answer[:-1])

    def test_quota(self) -> None:
        self.quota = 10 * 1024
        self.maildir.put(b"1000.a", b"x" * 1500)
        client = self.selected()
        self.assertEqual(
            [b"* QUOTAROOT INBOX mailbox", b"* QUOTA mailbox (STORAGE 2 10)"],
            client.do(b"GETQUOTAROOT INBOX")[:-1],
        )
        self.assertIn(b"a NO [NONEXISTENT]", client.do(b"GETQUOTA x")[-1])
        self.assertIn(b"a NO [NOPERM]", client.do(b"SETQUOTA mailbox (STORAGE 9)")[-1])
