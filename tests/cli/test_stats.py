"""``mta stats``: tables, drawings, files, and numbers made anew."""

from __future__ import annotations

import csv
import io
import os
import time
from datetime import UTC, datetime
from typing import Any

from mta.cli.plot import bars, lines
from mta.model.event import DeferredTo, DeliveredTo, FailedTo, Received
from mta.model.ids import IdSource
from tests.cli.command import CommandCase


class StatsTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = time.time()
        for number, shard in enumerate(self.shards):
            source = IdSource(number)
            for minutes in (10, 130, 1500):
                at = self.now - minutes * 60
                message = source.next(at)
                about: dict[str, Any] = {"message": message, "at": at}
                shard.write(
                    [
                        Received(recipients=["a@x.example"], tenant="shop", campaign="spring", **about),
                        DeliveredTo(recipient="a@gmail.com", host="mx.google.com", delay=3.0, **about),
                        DeferredTo(
                            recipient="b@x.example", host="mx.x.example", bounce_class="full", **about
                        ),
                        FailedTo(recipient="c@x\x1b.example", bounce_class="bad-mailbox", **about),
                    ]
                )

    def rows(self, *arguments: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.mta("stats", *arguments, "--csv").out)))

    def test_summary(self) -> None:
        """With the time before, and what differs."""
        found = self.mta("stats").out
        words = {line.split()[0]: line.split()[1:] for line in found.splitlines()[2:] if line.strip()}
        self.assertEqual(["4", "2", "+100", "%"], words["accepted"])
        self.assertEqual(["50.00", "%", "50.00", "%", "+0", "%"], words["bounce_rate"])
        self.assertIn("delivered in, p50", found)

    def test_breakdown(self) -> None:
        """By provider; nothing moves the cursor."""
        found = self.mta("stats", "--by", "domain", "--sort", "bounced").out
        self.assertNotIn("\x1b", found)
        self.assertIn("gmail.com", found)
        rows = {row["value"]: row for row in self.rows("--by", "provider")}
        self.assertEqual(("4", "3.0"), (rows["google"]["delivered"], rows["google"]["delay_p50"]))
        self.assertEqual(
            "2", {r["value"]: r for r in self.rows("--by", "class", "--since", "1h")}["full"]["deferred"]
        )

    def test_series(self) -> None:
        """Each step, as a table, CSV or JSON."""
        self.assertIn("\nhour", "\n" + self.mta("stats", "--step", "hour").out.lstrip())
        self.assertEqual(4, sum(int(row["accepted"]) for row in self.rows("--step", "hour")))
        found = self.mta("stats", "--by", "campaign", "--value", "spring", "--json").json
        self.assertEqual(4, sum(one["counts"]["delivered"] for one in found))

    def test_tenant_and_campaign(self) -> None:
        """Of one tenant; of one campaign."""
        self.assertEqual(
            0, sum(int(row["accepted"]) for row in self.rows("--tenant", "other", "--step", "hour"))
        )
        found = self.mta("stats", "--campaign", "spring").out
        self.assertEqual(["all", "8", "100.00", "%", "4", "50.00", "%"], found.splitlines()[1].split()[:7])
        self.assertIn("--by campaign", self.mta("stats", "--campaign", "x", status=os.EX_DATAERR).err)

    def test_plot(self) -> None:
        """Drawn, without a terminal too."""
        found = self.mta("stats", "--plot").out
        self.assertIn("delivered, deferred, bounced by hour", found)
        self.assertIn("google", self.mta("stats", "--by", "provider", "--plot", "bounce_rate,delivered").out)

    def test_rebuild(self) -> None:
        """Numbers are as before; what is forgotten is told."""
        # An hour may begin meanwhile.
        begin, end = (datetime.fromtimestamp(at, UTC).isoformat() for at in (self.now - 86400, self.now))
        asked = ("stats", "--json", "--step", "hour", "--since", begin, "--until", end)
        before = self.mta(*asked).json
        found = self.mta("stats", "rebuild")
        self.assertEqual(["shard 0: 12 events", "shard 1: 12 events"], found.out.splitlines())
        self.shards[0].base.execute("DELETE FROM events WHERE id <= 2")
        found = self.mta("stats", "rebuild", "--json")
        self.assertEqual([1, 0], [one["kept_hours"] for one in found.json])
        self.assertIn("has forgotten events of 1 hours", self.mta("stats", "rebuild").out)
        self.assertEqual(before, self.mta(*asked).json)

    def test_mistakes(self) -> None:
        """What cannot be asked is told."""
        for arguments, words in (
            (["--by", "nonsense"], "there are tenant, tag"),
            (["--sort", "nonsense", "--by", "tag"], "no measure or rate"),
            (["--plot", "nonsense"], "--plot: there is no"),
            (["--step", "year"], "--step: one of"),
            (["--value", "x"], "--by"),
            (["--since", "1h", "--until", "2h"], "not before"),
            (["--limit", "0"], "at least 1"),
            (["--since", "365d", "--step", "hour"], "steps"),
        ):
            result = self.mta("stats", *arguments, status=os.EX_USAGE)
            self.assertIn(words, result.err, arguments)


class PlotTests(CommandCase):
    def test_lines(self) -> None:
        """Each line has a name and, without colours, a sign of its own; one point is enough."""
        found = lines(["a", "b", "c"], {"x": [1, 5, 2], "y": [0, 1, 0]}, "title", (60, 14), colours=False)
        self.assertNotIn("\x1b", found)
        for word in ("title", "x", "y", "*", "o", "5"):
            self.assertIn(word, found)
        self.assertIn("title", lines(["a"], {"x": [0]}, "title", (60, 14), colours=False))
        self.assertIn("\x1b", lines(["a", "b"], {"x": [1, 2]}, "title", (60, 14)))

    def test_bars(self) -> None:
        """The first is on top."""
        found = bars(["first", "second"], [3, 1], "title", (60, 10), colours=False)
        self.assertLess(found.index("first"), found.index("second"))
        rows = {
            name: max(line.count("█") for line in self.about(found, name)) for name in ("first", "second")
        }
        self.assertTrue(2.5 < rows["first"] / rows["second"] < 3.5, found)
        self.assertIn("60", bars(["only"], [60], "title", (60, 10), colours=False))
        self.assertIn("█" * 40, bars(["only"], [60], "title", (60, 10), colours=False))

    @staticmethod
    def about(text: str, name: str) -> list[str]:
        return [line for line in text.splitlines() if name in line]
