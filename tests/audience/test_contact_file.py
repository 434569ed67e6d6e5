"""Files of contacts, as people have them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.audience.contact import Contact
from mta.audience.contact_file import (
    FileError,
    Plan,
    Reading,
    Row,
    Utf8,
    dialect_of,
    encoding_of,
    heading,
    typed,
    written,
)


def read(text: str | bytes, skip: int = 0, **how: Any) -> list[Row]:
    octets = text if isinstance(text, bytes) else text.encode()
    return list(Reading(io.BytesIO(octets), Plan(**how), skip))


def told(rows: list[Row]) -> list[tuple[int, str]]:
    """Of each row its line, and the address or what is wrong."""
    return [(row.line, row.contact.address if row.contact else row.problem) for row in rows]


class DetectionTests(SynchronousTestCase):
    def test_encodings(self) -> None:
        """By a mark, as UTF-8, or as Windows writes it."""
        for text, encoding in (
            ("é;a@b.example", "utf-8"),
            ("é;a@b.example", "utf-8-sig"),
            ("é;a@b.example", "utf-16"),
            ("é;a@b.example", "cp1252"),
        ):
            octets = text.encode(encoding)
            utf8 = Utf8()
            for place in range(len(octets)):
                utf8.feed(octets[place : place + 1])
            self.assertEqual(encoding, encoding_of(octets, utf8.feed(b"", True)))

    def test_dialects(self) -> None:
        """What stands between cells, though it stands in them, too."""
        for head, found in (
            ("email,name\na@b.example,Ann\n", ("csv", ",")),
            ("email;name\na@b.example;Ann, B.\n", ("csv", ";")),
            ("email\tname\na@b.example\tAnn, B.\n", ("csv", "\t")),
            ("email|name\na@b.example|Ann\n", ("csv", "|")),
            ('email,name\na@b.example,"x;y;z"\n', ("csv", ",")),
            ("a@b.example\nc@b.example\n", ("csv", ",")),
            ("", ("csv", ",")),
            ('\n {"email": 1}', ("ndjson", "")),
        ):
            self.assertEqual(found, dialect_of(head), head)


class CsvTests(SynchronousTestCase):
    def test_columns(self) -> None:
        """Headings say where cells go."""
        text = "E-Mail,Full Name,Time Zone,Plan Name,attributes.age:number,vip:boolean,tags:list\r\n"
        text += "Ann@B.example,Ann,Europe/Vienna,pro,30,yes,a;b\r\n"
        (row,) = read(text)
        assert row.contact is not None, row
        self.assertEqual(
            ("ann@b.example", "Ann", "Europe/Vienna"),
            (row.contact.address, row.contact.name, row.contact.time_zone),
        )
        self.assertEqual(
            {"plan_name": "pro", "age": 30, "vip": True, "tags": ["a", "b"]}, row.contact.attributes
        )

    def test_told_columns(self) -> None:
        """What is said of columns counts before their headings."""
        columns = {"Wohin": "address", "email": "", "Alter": "attributes.age:number"}
        (row,) = read("email,Wohin,Alter\nx,a@b.example,5\n", columns=columns)
        assert row.contact is not None, row
        self.assertEqual(("a@b.example", {"age": 5}), (row.contact.address, row.contact.attributes))

    def test_wrong_headings(self) -> None:
        """A file that cannot be read at all is told at once."""
        for words, text, columns in (
            ("nothing in it", "", {}),
            ("no column is the address; there are name, plan", "name,plan\n", {}),
            ("no column 'x'", "email\n", {"x": "name"}),
            ("may go to", "email,x\n", {"x": "nowhere"}),
            ("no type 'colour'", "email,x\n", {"x": "attributes.x:colour"}),
            ("no name of an attribute", "email,x\n", {"x": "attributes.a b"}),
            ("several columns go to address", "email,mail\n", {}),
            ("may have 500", "email," + ",".join(f"a{n}" for n in range(600)) + "\n", {}),
        ):
            with self.assertRaisesRegex(FileError, words, msg=words):
                read(text, columns=columns)

    def test_broken_lines(self) -> None:
        """Each broken line is told, and the others are read."""
        lines = [
            "email,name,attributes.age:number",
            "a1@b.example,Ann,5",
            "nobody,X,1",
            "",
            "a2@b.example,Ann,old",
            'a3@b.example,"two',
            'lines",7',
            'a4@b.example,"never closed,7',
            "a5@b.example,Ann,7",
            "a6@b.example,Ann,7,more",
            'a7@b.example,"x"y,7',
            "a8@b.example",
            'a9@b.example,5" disk,7',
        ]
        found = told(read("\n".join(lines)))
        self.assertEqual([2, 3, 5, 6, 8, 9, 10, 11, 12, 13], [line for line, _ in found])
        words = dict(found)
        for line, address in ((2, "a1"), (6, "a3"), (9, "a5"), (12, "a8"), (13, "a9")):
            self.assertEqual(f"{address}@b.example", words[line])
        for line, what in (
            (3, "address:"),
            (5, "no number"),
            (8, "never closed"),
            (10, "4 cells"),
            (11, "no CSV"),
        ):
            self.assertIn(what, words[line])

    def test_without_heading(self) -> None:
        """A list of addresses is one."""
        self.assertEqual([(1, "a@b.example"), (2, "c@b.example")], told(read("a@b.example\nc@b.example\n")))

    def test_gone_on_with(self) -> None:
        """After a crash it goes on after any line, and nothing is read twice or left out."""
        text = 'email,name\na1@b.example,"x\ny"\nbad\na2@b.example,"z\na3@b.example,Q\n\na4@b.example,\n'
        whole = told(read(text))
        reading = Reading(io.BytesIO(text.encode()), Plan())
        for count in range(len(whole) + 1):
            self.assertEqual(whole[count:], told(read(text, skip=reading.line)), reading.line)
            next(reading, None)

    def test_hostile(self) -> None:
        """Nothing takes all memory, and nothing ends the import."""
        long = "email,name\n" + "x" * 200_000 + "\na@b.example,A\n"
        found = told(read(long))
        self.assertIn("more than", found[0][1])
        self.assertEqual((3, "a@b.example"), found[1])
        nul = b"email,name\na@b.example,A\x00\nc@b.example,C\n"
        self.assertEqual(["c@b.example"], [row.contact.address for row in read(nul) if row.contact])
        quotes = "email,name\n" + '"\n' * 301 + "a@b.example,A\n"
        self.assertEqual("a@b.example", told(read(quotes))[-1][1])

    def test_line_ends(self) -> None:
        """Whatever ends lines."""
        for end in ("\n", "\r\n", "\r"):
            text = end.join(["email,name", "a@b.example,A", "c@b.example,C", ""])
            self.assertEqual([(2, "a@b.example"), (3, "c@b.example")], told(read(text)), repr(end))

    def test_types(self) -> None:
        """Cells become JSON values only where that is said."""
        for text, kind, value in (
            ("007", "text", "007"),
            ("7", "number", 7),
            ("7,5", "number", 7.5),
            ("-1.5e3", "number", -1500.0),
            ("No", "boolean", False),
            ("2027-01-31", "date", "2027-01-31"),
            ("2027-01-31T08:00:00Z", "date", "2027-01-31T08:00:00Z"),
            ('{"a": 1}', "json", {"a": 1}),
        ):
            self.assertEqual(value, typed(text, kind, "x"), text)
        for text, kind in (
            ("007", "number"),
            ("1e999", "date"),
            ("perhaps", "boolean"),
            ("{", "json"),
            ("inf", "number"),
        ):
            with self.assertRaises(ValueError, msg=text):
                typed(text, kind, "x")


class NdjsonTests(SynchronousTestCase):
    def test_read(self) -> None:
        """Objects have the same names, and their values keep their types."""
        lines = [
            json.dumps({"email": "a@b.example", "name": "A", "attributes": {"n": 1}, "vip": True}),
            "[]",
            '{"email": 5}',
            json.dumps({"name": "nobody"}),
            json.dumps({"email": "c@b.example", "attributes": "x"}),
            "[" * 50_000,
            json.dumps({"address": "d@b.example", "tags": ["x"]}),
        ]
        rows = read("\n".join(lines), form="ndjson")
        good = {row.line: row.contact for row in rows if row.contact}
        self.assertEqual({1, 7}, set(good))
        self.assertEqual({"n": 1, "vip": True}, good[1].attributes)
        self.assertEqual({"tags": ["x"]}, good[7].attributes)


class WritingTests(SynchronousTestCase):
    people = (
        Contact(
            "=cmd@b.example", '=HYPERLINK("x")', {"a": [1, "=x"]}, consented=1_800_000_000.0, created=5.0
        ),
        Contact("b@b.example", "+1", {}, "Europe/Vienna", "de-AT", "webhook", "https://x.example/", "@form"),
    )

    def test_formulas(self) -> None:
        """No spreadsheet computes what a stranger has written."""
        rows = list(csv.reader(io.StringIO(heading("csv") + written(self.people, "csv"))))
        for row in rows[1:]:
            for cell in row:
                self.assertNotIn(cell[:1], ("=", "+", "-", "@", "\t", "\r"), row)

    def test_back_again(self) -> None:
        """What was written is read as it was."""
        for form in ("csv", "ndjson"):
            rows = read(heading(form) + written(self.people, form), form=form)
            self.assertEqual([""] * 2, [row.problem for row in rows], form)
            for row, one in zip(rows, self.people, strict=True):
                assert row.contact is not None
                for name in (
                    "address",
                    "name",
                    "attributes",
                    "time_zone",
                    "channel",
                    "webhook",
                    "source",
                    "consented",
                ):
                    self.assertEqual(getattr(one, name), getattr(row.contact, name), f"{form} {name}")
