"""Shows live what the server does: flow, queue by destination, the slowest sites, the newest failures.

Of all workers together.  Without a terminal, or with --once, it prints one picture as text; --json prints
the figures of each look, one in a line.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from mta.cli.context import CommandError, Context
from mta.cli.top_screen import View, lines, screen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta top``."""
    parser.add_argument(
        "--every", type=float, default=2.0, metavar="SECONDS", help="between two looks (2; at least 0.5)"
    )
    parser.add_argument("--once", action="store_true", help="print one picture, and end")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="end after N looks")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Show it until somebody has seen enough."""
    from mta.cli.top_figures import Watcher

    if not 0.5 <= arguments.every <= 3600 or arguments.count < 0:
        raise CommandError("--every: from 0.5 to 3600 seconds; --count: not below 0", os.EX_USAGE)
    watcher = Watcher(context, time.time)
    view = View(every=arguments.every)
    terminal = context.out.stream.isatty() and sys.stdin.isatty()
    try:
        if terminal and not arguments.once and not context.out.as_json:
            _live(watcher, view, arguments.count)
        else:
            count = arguments.count or (0 if context.out.as_json and not arguments.once else 1)
            _printed(watcher, view, count, context, time.sleep)
    except KeyboardInterrupt:
        pass
    return os.EX_OK


def _printed(watcher: Any, view: View, count: int, context: Context, sleep: Callable[[float], None]) -> None:
    """Pictures as text; flow needs two looks."""
    looks = 0
    if not context.out.as_json:
        watcher.look()
        sleep(min(view.every, 1.0))
    while True:
        figures = watcher.look()
        looks += 1
        if context.out.as_json:
            context.out.json_line(asdict(figures))
        else:
            context.out.line("\n".join(lines(figures, view)))
            context.out.stream.flush()
        if count and looks >= count:
            return
        sleep(view.every)


def _live(watcher: Any, view: View, count: int) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    figures = watcher.look()
    looks, due = 1, time.monotonic() + min(view.every, 1.0)
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(screen(figures, view, console.height), refresh=True)
            key = pressed(max(0.0, due - time.monotonic()))
            if key and not view.press(key):
                return
            if time.monotonic() >= due:
                if not view.paused:
                    figures = watcher.look()
                    looks += 1
                    if count and looks > count:
                        return
                due = time.monotonic() + view.every


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Gives what waits for a key for so long, and puts the terminal back as it was."""
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed(seconds: float) -> str:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        # An end of the input is as good as a wish to end.
        return (os.read(descriptor, 1).decode("latin-1") or "q") if ready else ""

    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
