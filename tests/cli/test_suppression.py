"""`mta suppression` while no server runs."""

from __future__ import annotations

import json
import os

from mta.cli import suppression
from tests.cli.test_setting_up import SettingUpCase


class SuppressionCommandTests(SettingUpCase):
    def setUp(self) -> None:
        super().setUp()
        self.init("--user", "ann")
        self.options = ("--config", str(self.file))
        (self.place / "var").mkdir(exist_ok=True)

    def test_by_hand(self) -> None:
        self.mta("suppression", "add", "Ann@b.example", "--note", "asked", *self.options)
        self.mta("suppression", "add", "bob@b.example", "--reason", "bounce", *self.options)
        listed = self.mta("suppression", "list", "--json", *self.options).json
        self.assertEqual(["ann@b.example", "bob@b.example"], [one["address"] for one in listed])
        self.assertIn("asked", self.mta("suppression", "list", "--reason", "manual", *self.options).out)
        self.mta("suppression", "remove", "ANN@b.example", *self.options)
        missing = self.mta("suppression", "remove", "ann@b.example", *self.options, status=os.EX_USAGE)
        self.assertIn("is not suppressed", missing.err)
        self.mta("suppression", "add", "cat@b.example", "--server", *self.options)
        listed = self.mta("suppression", "list", "--server", "--json", *self.options).json
        self.assertEqual(["cat@b.example"], [one["address"] for one in listed])

    def test_files(self) -> None:
        self.patch(suppression, "_AT_ONCE", 2)
        file = self.place / "list.csv"
        file.write_text("email,created\n" + "".join(f"u{n}@b.example,\n" for n in range(5)) + "nobody,\n")
        done = self.mta(
            "suppression", "import", str(file), "--reason", "bounce", *self.options, status=os.EX_DATAERR
        )
        self.assertIn("5 added, 0 were there before, 1 lines are wrong", done.out)
        self.assertIn("list.csv:7: ", done.err)
        text = self.mta("suppression", "export", "--format", "ndjson", *self.options).out
        rows = [json.loads(line) for line in text.splitlines()]
        self.assertEqual([f"u{n}@b.example" for n in range(5)], [row["address"] for row in rows])
        plain = self.place / "plain.txt"
        plain.write_text("u0@b.example\nu9@b.example\nodd\n")
        done = self.mta("suppression", "import", str(plain), *self.options, status=os.EX_DATAERR)
        self.assertIn("plain.txt:3: ", done.err)
        self.mta("suppression", "import", "nowhere.csv", *self.options, status=os.EX_NOINPUT)
