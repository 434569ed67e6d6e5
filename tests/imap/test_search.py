"""SEARCH and SORT."""

from __future__ import annotations

import os
from email.message import EmailMessage

from mta.imap import search
from mta.mailbox.full_text import index, texts
from tests.imap.sessions import ImapCase
from tests.imap.test_selected import untagged


def message(subject: str, sender: str, body: str, date: str = "", **fields: str) -> bytes:
    """A message of somebody."""
    made = EmailMessage()
    made["From"] = sender
    made["To"] = "anna@example.org"
    made["Subject"] = subject
    if date:
        made["Date"] = date
    for name, value in fields.items():
        made[name.replace("_", "-")] = value
    made.set_content(body)
    return bytes(made)


MESSAGES = (
    message("Hello", "Zoe <bob@example.org>", "the first text", "Thu, 05 Mar 2020 23:00:00 -0800", X_A="one"),
    message("Re: Grüße", "Anton <carl@x.org>", "Straße ☃", "Wed, 04 Mar 2020 10:00:00 +0000", Cc="d@x.org"),
    message("grüße", "alice@example.org", "a longer text of\nseveral lines", X_A="two", X_B="one"),
    message("[list] HELLO (fwd)", "bob@example.net", "ab", "Fri, 06 Mar 2020 10:00:00 +0000"),
)


class SearchTests(ImapCase):
    """Of what is indexed by the way."""

    def setUp(self) -> None:
        super().setUp()
        self.prepare()
        for number, octets in enumerate(MESSAGES):
            flags = (b"S", b"FS", b"", b"T")[number]
            path = self.maildir.put(b"100%d.a:2,%s" % (number, flags), octets, "cur")
            # 13 to 16 September 2020, by UTC.
            os.utime(path, (1_600_000_000 + 86_400 * number,) * 2)
        self.client = self.selected()

    def prepare(self) -> None:
        """What is otherwise in another class."""

    def numbers(self, keys: str, command: str = "SEARCH") -> list[int]:
        """What is found."""
        octets = keys.encode()
        *lines, last = self.client.do(b"%s %s" % (command.encode(), octets))
        self.assertTrue(last.startswith(b"a OK"), last)
        (line,) = [one for one in lines if one.startswith(b"* S")]
        return [int(word) for word in line.split()[2:]]

    def test_table(self) -> None:
        for keys, wanted in (
            ("ALL", [1, 2, 3, 4]),
            ("SEEN", [1, 2]),
            ("UNSEEN UNDELETED", [3]),
            ("OR FLAGGED DELETED", [2, 4]),
            ("NOT (SEEN NOT FLAGGED)", [2, 3, 4]),
            ("KEYWORD nothing", []),
            ("UNKEYWORD nothing 2:3", [2, 3]),
            ("4,1", [1, 4]),
            ("99", []),
            ("UID 2:*", [2, 3, 4]),
            ("TEXT hello", [1, 4]),
            ("TEXT HELL", [1, 4]),
            ("BODY hello", []),
            ("TEXT e", [1, 2, 3, 4]),
            ("BODY st", [1, 2]),
            ("SAVEDATESUPPORTED", [1, 2, 3, 4]),
            ("SAVEDBEFORE 13-Sep-2020", []),
            ("SAVEDSINCE 13-Sep-2020", [1, 2, 3, 4]),
            ("SAVEDON 13-Sep-2020", []),
            ("BODY text", [1, 3]),
            ("BODY STRASSE", [2]),
            ("TEXT grüße", [2, 3]),
            ("TEXT ☃", [2]),
            ("BODY ab", [4]),
            ('BODY "of several"', [3]),
            ('TEXT "no such thing"', []),
            ('TEXT ""', [1, 2, 3, 4]),
            ('TEXT "subject: re:"', [2]),
            ("FROM bob", [1, 4]),
            ("FROM example.net", [4]),
            ("NOT FROM bob TEXT longer", [3]),
            ("SUBJECT gr", [2, 3]),
            ("TO anna CC d@x", [2]),
            ("BCC x", []),
            ("HEADER X-A one", [1]),
            ('HEADER x-a ""', [1, 3]),
            ('HEADER Cc ""', [2]),
            ("HEADER X-A two", [3]),
            ("HEADER X-B two", []),
            ("LARGER 1", [1, 2, 3, 4]),
            ("SMALLER 10", []),
            ("SENTON 5-Mar-2020", [1]),
            ("SENTBEFORE 5-Mar-2020", [2]),
            ("SENTSINCE 5-Mar-2020", [1, 3, 4]),
            ("SENTON 15-Sep-2020", [3]),
            ("ON 14-Sep-2020", [2]),
            ("SINCE 14-Sep-2020 BEFORE 16-Sep-2020", [2, 3]),
            ("OLDER 10", [1, 2, 3, 4]),
            ("YOUNGER 10", []),
            ("CHARSET UTF-8 SUBJECT grüße", [2, 3]),
        ):
            self.assertEqual(wanted, self.numbers(keys), keys)
            if wanted and "UID" not in keys:
                self.assertEqual(wanted, self.numbers(keys, "UID SEARCH"), keys)

    def test_charset(self) -> None:
        octets = b"SUBJECT" + b" {2+}\r\nr\xfc"
        self.assertIn(b"* SEARCH 2 3", self.client.do(b"SEARCH CHARSET ISO-8859-1 " + octets))
        answer = self.client.do(b"SEARCH CHARSET x-nobody TEXT a")
        self.assertTrue(answer[-1].startswith(b"a NO [BADCHARSET (UTF-8"), answer)

    def test_sort(self) -> None:
        for criteria, wanted in (
            ("ARRIVAL", [1, 2, 3, 4]),
            ("REVERSE ARRIVAL", [4, 3, 2, 1]),
            ("SUBJECT", [2, 3, 1, 4]),
            ("SUBJECT REVERSE ARRIVAL", [3, 2, 4, 1]),
            ("FROM", [3, 1, 4, 2]),
            ("DISPLAYFROM", [3, 2, 4, 1]),
            ("DATE", [2, 1, 4, 3]),
            ("CC", [1, 3, 4, 2]),
            ("TO", [1, 2, 3, 4]),
            ("REVERSE TO", [1, 2, 3, 4]),
        ):
            self.assertEqual(wanted, self.numbers(f"({criteria}) UTF-8 ALL", "SORT"), criteria)
        self.assertEqual([3, 1], self.numbers("(FROM) UTF-8 BODY text", "UID SORT"))
        sizes = self.numbers("(SIZE) UTF-8 ALL", "SORT")
        self.assertEqual(sorted(sizes, key=lambda number: len(MESSAGES[number - 1])), sizes)

    def extended(self, command: bytes) -> bytes:
        return untagged(self.client.do(command))[0]

    def test_extended(self) -> None:
        for options, keys, wanted in (
            (b"", b"TEXT hello", b"ALL 1,4"),
            (b"MIN MAX COUNT", b"ALL", b"MIN 1 MAX 4 COUNT 4"),
            (b"ALL COUNT", b"BODY nobody", b"COUNT 0"),
            (b"PARTIAL 2:3", b"ALL", b"PARTIAL (2:3 2:3)"),
            (b"PARTIAL -1:-2", b"ALL", b"PARTIAL (-1:-2 3:4)"),
            (b"PARTIAL 7:9", b"ALL", b"PARTIAL (7:9 NIL)"),
        ):
            answer = self.extended(b"SEARCH RETURN (%s) %s" % (options, keys))
            self.assertEqual(b'* ESEARCH (TAG "a") ' + wanted, answer)
        self.assertEqual(
            b'* ESEARCH (TAG "a") UID ALL 3,1,4,2', self.extended(b"UID SORT RETURN () (FROM) UTF-8 ALL")
        )
        self.assertEqual(b'* ESEARCH (TAG "a")', self.extended(b"SEARCH RETURN (MIN) BODY nobody"))

    def test_changed(self) -> None:
        """MODSEQ as a key has it told in the answer (RFC 7162, 3.1.5)."""
        first = self.extended(b"SEARCH MODSEQ 1")
        self.assertRegex(first, rb"^\* SEARCH 1 2 3 4 \(MODSEQ \d+\)$")
        modseq = int(first.rpartition(b" ")[2].strip(b")"))
        self.client.do(b"STORE 2 +FLAGS.SILENT (\\Deleted)")
        self.assertRegex(self.extended(b"SEARCH MODSEQ %d" % (modseq + 1)), rb"^\* SEARCH 2 \(MODSEQ \d+\)$")
        self.assertEqual(b"* SEARCH", self.extended(b"SEARCH MODSEQ %d" % (1 << 62)))

    def test_saved_on(self) -> None:
        """Days on which messages came into the folder (RFC 8514, 4.3), whatever INTERNALDATE says."""
        path = self.maildir.put(b"1500000000.M5.far", MESSAGES[0], "cur")
        os.utime(path, (1_600_000_000,) * 2)
        self.client.do(b"NOOP")
        for keys, wanted in (
            ("SAVEDON 14-Jul-2017", [5]),
            ("SAVEDBEFORE 15-Jul-2017", [5]),
            ("SAVEDBEFORE 14-Jul-2017", []),
            ("SAVEDSINCE 15-Jul-2017 NOT SEEN", [3, 4]),
            ("OR SAVEDON 14-Jul-2017 SUBJECT list", [4, 5]),
        ):
            self.assertEqual(wanted, self.numbers(keys), keys)

    def test_long(self) -> None:
        """What is long is found by its beginning, and looked at."""
        self.maildir.put(b"2000.a", message("x", "y@example.org", "word " * 100 + "end", X_C="word " * 100))
        self.client.do(b"NOOP")
        self.assertEqual([5], self.numbers('TEXT "%s"' % ("word " * 90)))
        self.assertEqual([5], self.numbers('HEADER X-C "%s"' % ("word " * 90)))
        self.assertEqual([], self.numbers('TEXT "%s x"' % ("word " * 90)))

    def test_saved(self) -> None:
        """``$`` is what was found last (RFC 5182)."""
        self.assertEqual([b"a OK searched"], self.client.do(b"SEARCH RETURN (SAVE) TEXT hello"))
        self.assertEqual([4], self.numbers("$ FROM example.net"))
        self.assertEqual(
            [b"* 1 FETCH (UID 1)", b"* 4 FETCH (UID 4)"], untagged(self.client.do(b"FETCH $ UID"))
        )
        self.assertEqual(2, len(untagged(self.client.do(b"UID STORE $ +FLAGS (word)")[-3:])))
        self.assertEqual([1, 4], self.numbers("KEYWORD word"))
        self.client.do(b"SEARCH RETURN (SAVE MIN) ALL")
        self.assertEqual([1], self.numbers("$"))
        self.client.do(b"SEARCH RETURN (SAVE) BODY nobody")
        self.assertEqual([b"a OK fetched"], self.client.do(b"FETCH $ UID"))
        self.client.do(b"SEARCH RETURN (SAVE) DELETED")
        self.client.do(b"UID EXPUNGE $")
        self.assertEqual([], self.numbers("$"))
        self.assertEqual([1, 2, 3], self.numbers("ALL"))

    def test_expunged_meanwhile(self) -> None:
        """Numbers are those that the client knows until it is told otherwise."""
        self.numbers("TEXT hello")
        self.maildir.remove(b"1001.a:2,FS", "cur")
        self.assertEqual([1, 4], self.numbers("TEXT hello"))

    def test_arrives(self) -> None:
        """What has come since is found, once the client knows of it."""
        self.numbers("TEXT hello")
        self.maildir.put(b"2000.a", message("x", "y@example.org", "hello again"))
        self.client.do(b"NOOP")
        self.assertEqual([1, 4, 5], self.numbers("TEXT hello"))


class UnindexedTests(SearchTests):
    """The same, where the index of texts cannot be used: everything is read."""

    def prepare(self) -> None:
        def unusable(*_: object) -> None:
            raise OSError(28, "No space left on device")

        self.patch(texts, "TextIndex", unusable)


class UnwantedTests(SearchTests):
    """The same, where no index is wanted."""

    def prepare(self) -> None:
        self.room.full_text = False

    def tearDown(self) -> None:
        self.assertEqual([], list((self.place / "state").glob("*/*.text.db*")))


class UnsureTests(SearchTests):
    """The same, where the index leaves some messages open."""

    def prepare(self) -> None:
        self.patch(index, "_ONE_OF", 2)
        self.patch(index, "_FIRST_TERMS", 1)


class PartlyIndexedTests(SearchTests):
    """The same, where the index keeps the beginning of each text only."""

    def prepare(self) -> None:
        self.patch(texts.text, "KEPT", 3)
        self.patch(texts.text.read, "__defaults__", (3,))
        self.patch(search, "_AT_ONCE", 2)
