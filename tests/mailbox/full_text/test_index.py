"""The index of what messages say."""

from __future__ import annotations

import sqlite3
from array import array
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox.full_text import index as text_index
from mta.mailbox.full_text.folding import END
from mta.mailbox.full_text.index import TextIndex
from mta.mailbox.full_text.text import Text


def one(body: str, header: str = "subject: x\n\n", **fields: str) -> Text:
    """What a message may say."""
    return Text(header=header, body=body + END, **fields)  # type: ignore[arg-type]


class TextIndexTests(SynchronousTestCase):
    """See the module."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "a.text.db"
        self.index = self.open()
        self.inbox = self.index.folder(b"", 7)

    def open(self) -> TextIndex:
        index = TextIndex(self.path)
        self.addCleanup(index.close)
        return index

    def saying(self, wanted: str, header: bool = True, body: bool = True) -> list[int]:
        found, unsure = self.index.saying(self.inbox, wanted, header, body)
        self.assertEqual(set(), unsure)
        return sorted(found)

    def test_substrings(self) -> None:
        texts = ["hello world", 'say "hello"', "shell", "he*lo AND x", "ab", "会议 今天"]
        self.index.add(self.inbox, [(10 * n, one(body)) for n, body in enumerate(texts, 1)])
        self.assertEqual([10, 20], self.saying("hello"))
        self.assertEqual([10, 20, 30], self.saying("hell"))
        self.assertEqual([10], self.saying("lo wor"))
        self.assertEqual([20], self.saying('"hello"'))
        self.assertEqual([40], self.saying("*lo AND"))
        self.assertEqual([50], self.saying("ab"))
        self.assertEqual([50], self.saying("b", header=False))
        self.assertEqual([60], self.saying("会议"))
        self.assertEqual([60], self.saying("天"), "the last character of a text")
        self.assertEqual([], self.saying("nothing of that"))
        self.assertEqual([], self.saying("\U0010ffff"))

    def test_columns(self) -> None:
        self.index.add(self.inbox, [(1, one("in the body", "x-a: the header\n\n")), (2, one("header"))])
        self.assertEqual([1, 2], self.saying("header"))
        self.assertEqual([1], self.saying("header", body=False))
        self.assertEqual([2], self.saying("header", header=False))
        self.assertEqual([1], self.saying("x-", body=False))
        self.assertEqual([], self.saying("x-", header=False))

    def test_fields(self) -> None:
        self.index.add(
            self.inbox,
            [
                (1, one("", subject="hello", sender="a <a@b.example>", to="c@d.example", base="hello")),
                (2, Text(cc="e%_", day=5, sent=9, boxes=("a", "b", "c"), names=("d", "e"))),
            ],
        )
        self.assertEqual({1}, self.index.having(self.inbox, "subject", "ell"))
        self.assertEqual({1}, self.index.having(self.inbox, "to", "@d"))
        self.assertEqual({2}, self.index.having(self.inbox, "cc", "%_"))
        self.assertEqual({1}, self.index.having(self.inbox, "sender", ""))
        self.assertEqual({2}, self.index.sent(self.inbox, 5, 5))
        self.assertEqual({1}, self.index.undated(self.inbox))
        self.assertEqual({1: "hello", 2: ""}, self.index.keys(self.inbox, "base"))
        self.assertEqual({1: None, 2: 9}, self.index.keys(self.inbox, "sent"))
        self.assertEqual({1: "", 2: "d"}, self.index.keys(self.inbox, "from_name"))

    def test_missing(self) -> None:
        self.index.add(self.inbox, [(2, one("b")), (4, Text(whole=False))])
        self.assertEqual([5, 3, 1], self.index.missing(self.inbox, array("I", [1, 2, 3, 4, 5])))
        self.assertEqual([], self.index.missing(self.inbox, array("I", [2, 4])))
        self.assertEqual({4}, self.index.partial(self.inbox))

    def test_twice(self) -> None:
        """Two workers read a message: it is there once, as it was read first."""
        other = self.open()
        self.index.add(self.inbox, [(1, one("first"))])
        self.assertEqual([1], list(other.known(self.inbox)))
        other.add(self.inbox, [(1, one("second")), (2, one("second"))])
        self.assertEqual([1, 2], list(self.index.known(self.inbox)), "what another one does is seen")
        self.assertEqual([1], self.saying("first"))
        self.assertEqual([2], self.saying("second"))

    def test_folders(self) -> None:
        other = self.index.folder(b".Sent", 7)
        self.index.add(self.inbox, [(1, one("inbox"))])
        self.index.add(other, [(1, one("sent"))])
        self.assertEqual([], self.saying("sent"))
        self.assertEqual(other, self.index.folder(b".Sent", 7))
        self.index.keep([b""])
        self.assertNotEqual(other, fresh := self.index.folder(b".Sent", 7))
        self.assertEqual([], list(self.index.known(fresh)))
        self.assertEqual([1], self.saying("inbox"))

    def test_validity(self) -> None:
        """UIDs of a folder that was made anew are others."""
        self.index.add(self.inbox, [(1, one("inbox"))])
        fresh = self.index.folder(b"", 8)
        self.assertEqual([], list(self.index.known(fresh)))
        self.index.add(self.inbox, [(2, one("for one that is gone"))])
        self.assertEqual([], list(self.index.known(self.inbox)))

    def test_gone(self) -> None:
        self.patch(text_index, "_DEAD", 3)
        self.index.add(self.inbox, [(uid, one("word")) for uid in range(1, 11)])
        self.index.forget(self.inbox, range(1, 6))
        self.assertEqual([6, 7, 8, 9, 10], list(self.index.known(self.inbox)))
        self.assertEqual(5, self.index.connection.execute("SELECT dead FROM folders").fetchone()[0])
        self.index.forget(self.inbox, [6, 7])
        self.assertEqual(
            [], list(self.index.known(self.index.folder(b"", 7))), "mostly of what is gone: made anew"
        )

    def test_damaged(self) -> None:
        self.index.close()
        self.path.write_bytes(b"no database at all" * 300)
        index = self.open()
        self.assertEqual([], list(index.known(index.folder(b"", 7))))
        self.assertTrue(Path(f"{self.path}.damaged").exists())

    def test_other_version(self) -> None:
        self.index.connection.execute("PRAGMA user_version = 99")
        self.index.close()
        index = self.open()
        self.assertEqual([], list(index.known(index.folder(b"", 7))))

    def test_private(self) -> None:
        self.assertEqual(0o600, self.path.stat().st_mode & 0o777)

    def test_nothing_half(self) -> None:
        """What cannot be put in leaves nothing behind."""
        self.assertRaises(
            sqlite3.Error,
            self.index.add,
            self.inbox,
            [(1, one("a")), (2, Text(subject=None))],  # type: ignore[arg-type]
        )
        self.assertEqual([], list(self.index.known(self.inbox)))
        self.index.add(self.inbox, [(1, one("abc"))])
        self.assertEqual([1], self.saying("abc"))

    def test_short(self) -> None:
        """One or two characters: by the frequent trigrams that begin so, then by the others."""
        self.patch(text_index, "_FIRST_TERMS", 1)
        self.patch(text_index, "_TERMS", 2)
        texts = ["at", "an", "ax~", "a", "b a\x01\x01", "aé", "b"]
        self.index.add(self.inbox, [(n, one(body, "\n\n")) for n, body in enumerate(texts, 1)])
        self.assertEqual([1, 2, 3, 4, 5, 6], self.saying("a"))
        self.assertEqual([3], self.saying("ax"))
        self.assertEqual([6], self.saying("é"))
        # When few are left, the messages are to be looked at.
        self.patch(text_index, "_ONE_OF", 2)
        found, unsure = self.index.saying(self.inbox, "a", True, True)
        self.assertLessEqual({1, 2, 3, 4, 5, 6, 7}, found | unsure)
        self.assertEqual(3, len(unsure))

    @given(
        st.lists(st.text("ab \"'*:^-é\u0301会", max_size=12), max_size=8),
        st.text("ab \"'*:^-é\u0301会", min_size=1, max_size=4),
    )
    @settings(max_examples=60, deadline=None)
    def test_as_python(self, texts: list[str], wanted: str) -> None:
        """Substrings are what Python says they are."""
        self.index.keep([])
        self.inbox = self.index.folder(b"", 7)
        self.index.add(self.inbox, [(n, one(body, "\n\n")) for n, body in enumerate(texts, 1)])
        self.assertEqual([n for n, body in enumerate(texts, 1) if wanted in body], self.saying(wanted))
