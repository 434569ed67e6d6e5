"""How ``mta top`` looks, and what keys do."""

from __future__ import annotations

import io
from typing import Any
from unittest import mock

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from mta.cli import top_figures
from mta.cli.top_figures import Figures, Watcher
from mta.cli.top_screen import View, lines, screen
from mta.model.event import FailedTo
from mta.model.ids import IdSource
from tests.cli.command import CommandCase


def site(name: str, **more: Any) -> dict[str, Any]:
    return {
        "next_hop": name,
        "site": name,
        "transport": "relay",
        "source": "",
        "waiting": 0,
        "in_flight": 0,
        "in_flight_limit": 5,
        "rests_until": None,
        "last_trouble": "",
        **more,
    }


def figures(**more: Any) -> Figures:
    worker = {
        "sessions": {"mx": 3},
        "queue": {"in_flight": 2},
        "count": {"messages": 7, "addressees": 9, "octets": 1000},
    }
    return Figures(1_780_000_000.0, workers={0: worker, 1: worker}, flow={"delivered": (12.34, 5.0)}, **more)


class ScreenTests(SynchronousTestCase):
    def shown(self, what: Figures, view: View, width: int = 100) -> str:
        console = Console(file=io.StringIO(), width=width, height=40)
        console.print(screen(what, view, 40))
        text: str = console.file.getvalue()  # type: ignore[attr-defined]
        return text

    def test_all(self) -> None:
        """All parts, as text and on a screen."""
        what = figures(
            sites=[
                site("slow.example", waiting=5, last_trouble="450 busy\x1b[2J", rests_until=1_780_000_060.0)
            ],
            slowest=[("slow.example", 10, 0.5, 90.0)],
            failures=[(1_780_000_000.0, "failed", "x: no such mailbox")],
            silent=[2],
        )
        for text in ("\n".join(lines(what, View())), self.shown(what, View(), 200)):
            for words in (
                "workers 2",
                "queue 14 messages",
                "NO ANSWER from worker 2",
                "12.3",
                "slow.example",
                "450 busy\\x1b[2J",
                "500 ms",
                "no such mailbox",
            ):
                self.assertIn(words, text)

    def test_narrow(self) -> None:
        """On a narrow screen lines are cut, not folded."""
        what = figures(failures=[(1_780_000_000.0, "failed", "long " * 100)])
        text = self.shown(what, View(), 60)
        self.assertLessEqual(max(map(len, text.splitlines())), 60)
        # What has the words gives way, not the time.
        self.assertRegex(text, r"\d\d:\d\d:\d\d\s+long long")

    def test_orders(self) -> None:
        """Sites in the order of choice."""
        what = figures(
            sites=[
                site("a.example", waiting=1, in_flight=9),
                site("b.example", waiting=5, in_flight=1),
                site("c.example", waiting=0, last_trouble="450 x"),
            ]
        )
        view = View()
        for first in ("b.example", "a.example", "c.example"):
            text = "\n".join(lines(what, view))
            self.assertLess(
                text.index(first),
                min(text.find(n) for n in ("a.example", "b.example", "c.example") if n != first),
            )
            self.assertTrue(view.press("s"))

    def test_keys(self) -> None:
        """What each does."""
        view = View()
        for key in (" ", "d", "h", "+", "x"):
            self.assertTrue(view.press(key))
        self.assertEqual((True, True, True, 4.0), (view.paused, view.quiet, view.help, view.every))
        self.assertIn("less often", self.shown(figures(), view))
        self.assertIn("PAUSED", lines(figures(), view)[0])
        hidden = figures(failures=[(1.0, "deferred", "x: later"), (1.0, "failed", "x: never")])
        self.assertIn("never", "\n".join(lines(hidden, view)))
        self.assertNotIn("later", "\n".join(lines(hidden, view)))
        for key in ("q", "\x1b", "\x03"):
            self.assertFalse(view.press(key))


class WatcherTests(CommandCase):
    """What is asked of workers and read of their journals."""

    def test_looks(self) -> None:
        """Flow of two looks, across a worker that is started again; failures since then."""
        counts = [{"received": 10, "failed": 1}, {"received": 30}, {"received": 5}]
        now = [1_780_000_000.0]

        def asked(socket: Any, path: str) -> Any:
            if path == "/v1/status":
                return {"queue": {"destinations": [site("x.example")]}, "sessions": {}, "count": {}}
            rows = [[[kind], count] for kind, count in counts[0].items()]
            return [{"name": "mta_journal_events", "rows": rows}]

        context = mock.Mock(state=self.state)
        from mta.journal.reader import JournalReader

        context.journal = lambda: JournalReader([shard.path for shard in self.shards])
        with (
            mock.patch.object(top_figures, "_asked", asked),
            mock.patch.object(top_figures, "sockets", lambda state: [(0, self.state / "control-0.sock")]),
        ):
            watcher = Watcher(context, lambda: now[0])
            self.assertEqual((0.0, 0.0), watcher.look().flow["received"])
            counts.pop(0)
            now[0] += 2
            self.assertEqual((10.0, 10.0), watcher.look().flow["received"])
            counts.pop(0)
            now[0] += 1
            event = FailedTo(at=now[0], message=IdSource(1).next(now[0]), recipient="a@x.example", reply="no")
            self.shards[1].write([event])
            found = watcher.look()
            self.assertEqual(5.0, found.flow["received"][0])
            self.assertEqual(["failed"], [kind for _, kind, _ in found.failures])
            self.assertEqual(["x.example"], [one["next_hop"] for one in found.sites])
            self.assertEqual(1, len(watcher.look().failures))
