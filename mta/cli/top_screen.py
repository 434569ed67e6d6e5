"""How ``mta top`` looks: from figures to lines, or to a screen; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mta.cli.top_figures import FLOW, Figures
from mta.journal.words import duration, local_time, printable, size

#: By what sites are sorted, in the order in which the key goes through them.
ORDERS = ("waiting", "in flight", "trouble")
KEYS = "q quit   space pause   s sort sites   d hide deferrals   + - slower, faster   h help"
#: Kinds that can be hidden.
_NOISE = ("deferred", "rejected")
_HELP = (
    "q        quit",
    "space    stop the picture; again: go on",
    "s        sort sites by what waits, by what is in flight, or those with trouble first",
    "d        hide deferrals and refusals among failures, or show them again",
    "+ and -  look less often, or more often",
    "h        show or hide this",
)


@dataclass(slots=True)
class View:
    """What a person has chosen."""

    every: float = 2.0
    order: str = ORDERS[0]
    paused: bool = False
    quiet: bool = False
    help: bool = False

    def press(self, key: str) -> bool:
        """A key; answers whether to go on."""
        if key in ("q", "Q", "\x03", "\x04", "\x1b"):
            return False
        if key == " ":
            self.paused = not self.paused
        elif key == "s":
            self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]
        elif key == "d":
            self.quiet = not self.quiet
        elif key == "+":
            self.every = min(60.0, self.every * 2)
        elif key == "-":
            self.every = max(0.5, self.every / 2)
        elif key in ("h", "?"):
            self.help = not self.help
        return True


@dataclass(frozen=True, slots=True)
class Table:
    """A part of the picture."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    right: frozenset[str] = frozenset()


def heading(figures: Figures, view: View) -> str:
    """One line about all."""
    counts = [one.get("count", {}) for one in figures.workers.values()]
    queue = {name: sum(one.get(name, 0) for one in counts) for name in ("messages", "addressees", "octets")}
    sessions = sum(sum(one["sessions"].values()) for one in figures.workers.values())
    in_flight = sum(one["queue"]["in_flight"] for one in figures.workers.values())
    words = [
        local_time(figures.at)[:19],
        f"workers {len(figures.workers)}",
        f"queue {queue['messages']} messages, {queue['addressees']} recipients, {size(queue['octets'])}",
        f"in flight {in_flight}",
        f"sessions {sessions}",
    ]
    if figures.silent:
        words.append(f"NO ANSWER from worker {', '.join(map(str, figures.silent))}")
    if view.paused:
        words.append("PAUSED")
    return "   ".join(words)


def tables(figures: Figures, view: View, rows: int = 8) -> list[Table]:
    """The parts.

    :param rows: of each, at the most.
    """
    return [
        _flow(figures),
        _sites(figures, view, rows),
        _slowest(figures, rows),
        _failures(figures, view, rows),
    ]


def _flow(figures: Figures) -> Table:
    rows = [
        (words, f"{figures.flow.get(kind, (0, 0))[0]:.1f}", f"{figures.flow.get(kind, (0, 0))[1]:.1f}")
        for kind, words in FLOW.items()
    ]
    return Table("flow", ("in a second", "now", "minute"), rows, frozenset({"now", "minute"}))


def _sites(figures: Figures, view: View, most: int) -> Table:
    def key(one: dict[str, Any]) -> tuple[Any, ...]:
        trouble = bool(one["last_trouble"] or one["rests_until"])
        first = {"waiting": one["waiting"], "in flight": one["in_flight"], "trouble": trouble}[view.order]
        return -first, -one["waiting"] - one["in_flight"], one["next_hop"]

    rows = []
    for one in sorted(figures.sites, key=key)[:most]:
        until = one["rests_until"] or one.get("spent_until")
        rows.append(
            (
                printable(one["next_hop"] or one["site"] or "-")
                + (f" from {printable(one['source'])}" if one.get("source") else ""),
                printable(one["transport"]),
                str(one["waiting"]),
                f"{one['in_flight']}/{one['in_flight_limit']}",
                duration(max(0.0, until - figures.at)) if until else "",
                printable(one["last_trouble"])[:200],
            )
        )
    columns = ("site", "by", "waiting", "in flight", "rests", "last trouble")
    return Table(
        f"queue by destination, sorted by {view.order}", columns, rows, frozenset({"waiting", "in flight"})
    )


def _slowest(figures: Figures, most: int) -> Table:
    rows = [
        (printable(name), str(count), _time(half), _time(longest))
        for name, count, half, longest in figures.slowest[:most]
    ]
    columns = ("domain", "delivered", "half in", "95 % in")
    return Table("slowest, last hour", columns, rows, frozenset(columns[1:]))


def _failures(figures: Figures, view: View, most: int) -> Table:
    chosen = [
        (local_time(at)[11:19], words)
        for at, kind, words in figures.failures
        if not view.quiet or kind not in _NOISE
    ]
    return Table("newest failures", ("time", "what"), chosen[:most])


def _time(seconds: float) -> str:
    return (
        f"{seconds * 1000:.0f} ms"
        if seconds < 1
        else f"{seconds:.2g} s"
        if seconds < 10
        else duration(seconds)
    )


def lines(figures: Figures, view: View) -> list[str]:
    """Without a terminal."""
    found = [heading(figures, view)]
    for part in tables(figures, view):
        found += ["", f"{part.title}:", *(_written(part) or ["  nothing"])]
    return found


def _written(part: Table) -> list[str]:
    if not part.rows:
        return []
    every: Sequence[tuple[str, ...]] = [part.columns, *part.rows]
    widths = [max(len(row[place]) for row in every) for place in range(len(part.columns))]
    found = []
    for row in every:
        cells = [
            cell.rjust(width) if name in part.right else cell.ljust(width)
            for cell, width, name in zip(row, widths, part.columns, strict=True)
        ]
        found.append(("  " + "  ".join(cells)).rstrip())
    return found


def screen(figures: Figures, view: View, height: int) -> Any:
    """What a terminal shows (``rich``)."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    if view.help:
        return Group(Text(heading(figures, view), style="bold"), Text(""), *map(Text, _HELP))
    # The heading, the keys, the flow, and four lines around each of the other parts.
    rows = max(2, (height - 2 - len(FLOW) - 4 - 12) // 3)
    shown: list[Any] = [Text(heading(figures, view), style="bold", no_wrap=True, overflow="ellipsis")]
    for part in tables(figures, view, rows):
        table = RichTable(
            box=SIMPLE_HEAD, title=part.title, title_justify="left", pad_edge=False, expand=False
        )
        for place, name in enumerate(part.columns):
            # The last one gives way: it has the words.
            longest = max((len(row[place]) for row in part.rows), default=0)
            table.add_column(
                name,
                justify="right" if name in part.right else "left",
                no_wrap=True,
                overflow="ellipsis",
                min_width=min(max(longest, len(name)), 30) if place < len(part.columns) - 1 else None,
            )
        for row in part.rows:
            table.add_row(*map(Text, row))
        if not part.rows:
            table.add_row(*(Text("-") for _ in part.columns))
        shown.append(table)
    shown.append(Text(KEYS, style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*shown)
