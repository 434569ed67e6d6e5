"""What strangers write, without a browser: on the terminal, in the log, spreadsheets, mail, and metrics."""

from __future__ import annotations

import csv
import email
import email.policy
import io
import json

from twisted.trial.unittest import SynchronousTestCase

import mta.service  # noqa: F401  (all kinds of events)
from mta.alert.letter import body, subject, text
from mta.alert.rule import Rule
from mta.analytics import table
from mta.cli.output import Output
from mta.compose.fields import Mailbox, address_field, text_field
from mta.config.settings import Alert
from mta.dashboard import guard
from mta.dashboard.application import _attachment
from mta.journal.text import event_json, event_line
from mta.metrics.counts import Counter
from mta.metrics.exposition import exposition
from mta.model.event import event_kinds
from mta.registry import suppression_file
from mta.registry.suppressions import Suppression
from tests import hostile

NOW = 1_800_000_000.0


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


class TerminalTests(SynchronousTestCase):
    def test_lines(self) -> None:
        """Nothing that is printed moves the cursor, hides text, or turns it around."""
        for stream in (Screen(), io.StringIO()):
            errors = io.StringIO()
            out = Output(stream, errors)
            for payload in hostile.ALL:
                out.line(f"it said {payload}")
                out.warn(payload)
                out.error(payload)
                out.json({"said": payload, payload: 1})
                out.json_line({"said": payload})
                out.table(("what", "said"), [("x", payload)])
            # What we draw ourselves on a terminal is plain.
            self.assertEqual(
                [], hostile.printed(stream.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", ""))
            )
            self.assertEqual([], hostile.printed(errors.getvalue()))
            self.assertNotIn("X-Canary: 1\r", stream.getvalue())

    def test_content(self) -> None:
        """What somebody wants to have goes into a file as it is, and to a terminal without what it obeys."""
        screen, file = Screen(), io.StringIO()
        payload = hostile.TERMINAL[0] + "\n\tx\n"
        Output(screen, screen).content(payload)
        Output(file, file).content(payload)
        self.assertEqual([], hostile.printed(screen.getvalue()))
        self.assertTrue(screen.getvalue().endswith("\n\tx\n"))
        self.assertEqual(payload, file.getvalue())


class LogTests(SynchronousTestCase):
    def test_every_kind(self) -> None:
        """An event of each kind is one line, whoever wrote its texts."""
        for kind in sorted(event_kinds()):
            for payload in hostile.ALL:
                line = event_line(hostile.event(kind, payload, NOW))
                self.assertTrue(line.isprintable(), (kind, line))
                self.assertEqual(
                    1, len(json.dumps(event_json(hostile.event(kind, payload, NOW))).splitlines())
                )


class SpreadsheetTests(SynchronousTestCase):
    def assertHarmless(self, written: str) -> None:
        """No cell is computed."""
        for row in csv.reader(io.StringIO(written, newline="")):
            for cell in row:
                self.assertFalse(cell[:1] in ("=", "+", "@", "\t", "\r"), cell)
                self.assertFalse(cell[:1] == "-" and not cell[1:2].isdigit(), cell)

    def test_statistics(self) -> None:
        for payload in hostile.ALL:
            row = {"value": payload, "other": False, "counts": {}, "rates": {}, "delay": {}}
            self.assertHarmless(table.written([row], "csv", ("value", "other")))

    def test_suppressions(self) -> None:
        """An address may begin like a formula; what is written is read again as it was."""
        entries = [
            Suppression(f"{begin}cmd|x@example.net", "manual", f"{begin}news", NOW, {"note": "="})
            for begin in "=+-'"
        ]
        written = suppression_file.heading("csv") + suppression_file.written(entries, "csv")
        self.assertHarmless(written)
        again, problems, _ = suppression_file.read(written, NOW)
        self.assertEqual([], problems)
        self.assertEqual(
            [(one.address, one.list) for one in entries], [(one.address, one.list) for one in again]
        )


class MailTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """A name or a text stays within its field."""
        for payload in hostile.ALL:
            for written in (
                text_field("Subject", payload),
                address_field("From", [Mailbox("a@b.example", payload)]),
            ):
                found = email.message_from_string(f"{written}\r\n\r\n", policy=email.policy.SMTP)
                self.assertEqual(1, len(found.keys()), (payload, written))

    def test_alert(self) -> None:
        """What an alert quotes cannot pass for something that it says."""
        for payload in hostile.ALL:
            rule = Rule(Alert(name="x", to="postmaster", event="rejected", count=1, within="1m"))
            rule.saw(hostile.event("rejected", payload, NOW))
            rule.judge(NOW, {})
            self.assertEqual(1, len(subject(rule, "raised", "mx.example.org").splitlines()))
            said = text(rule, "raised", "mx.example.org", NOW)
            self.assertEqual([], hostile.printed(said))
            self.assertFalse([line for line in said.splitlines() if line.startswith("X-Canary")], said)
            json.loads(body(rule, "raised", "mx.example.org", NOW))


class MetricsTests(SynchronousTestCase):
    def test_labels(self) -> None:
        """A label is one; a line of numbers cannot be slipped in."""
        for payload in hostile.ALL:
            counter = Counter("mta_x", "x", ("site",))
            counter.add(payload)
            for worker in ("0", payload):
                written = exposition({worker: [counter.sample()]}).decode()
                lines = [one for one in written.split("\n") if one and not one.startswith("#")]
                self.assertEqual(1, len(lines), written)


class EdgeTests(SynchronousTestCase):
    def test_names_of_files(self) -> None:
        for payload in hostile.ALL:
            self.assertRegex(_attachment(payload), r'\Aattachment; filename="[A-Za-z0-9_.-]*"\Z')

    def test_where_to(self) -> None:
        """After signing in one is where one was, on this server."""
        for payload in (
            *hostile.ALL,
            "/dashboard/\t//x",
            "/dashboard/;@x",
            "/Dashboard/",
            "/dashboard/%0d%0aX: 1",
        ):
            for path in (payload, f"/dashboard/{payload}", f"/dashboard/?{payload}"):
                found = guard.own_path(path)
                self.assertTrue(found.startswith("/dashboard/") and "//" not in found.partition("?")[0], path)
                self.assertTrue(found.isascii() and found.isprintable() and "\\" not in found, path)
