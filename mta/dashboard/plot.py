"""Plots as SVG that our own sheet colours, with the numbers in a table beside each; pure.

The drawing is stretched to the room that there is; what is written stands beside it as plain text, so that
it can be read on a phone.  ``docs/guides/dashboard.rst`` says why this is no library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup, escape

from mta.dashboard.words import count as whole
from mta.dashboard.words import short

#: The drawing's own units.
_WIDTH, _HEIGHT = 1000.0, 240.0
#: Lines across, without that of zero; labels below.
_STEPS, _LABELS = 4, 6
#: Colours that the sheet has.
COLOURS = 6


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one part of each bar.

    :ivar values: one for each label; ``None``: nobody knows.
    :ivar colour: from 1; 0: as it comes.
    """

    name: str
    values: Sequence[float | None]
    colour: int = 0


@dataclass(frozen=True, slots=True)
class Plot:
    """What the part ``plot`` of ``parts.html`` shows.

    :ivar title: what it is.
    :ivar words: what can be seen in it, for who does not see it.
    :ivar drawing: the SVG.
    :ivar heights: what stands at the left, from the top.
    :ivar labels: what stands below, one for each column; most are empty.
    :ivar legend: name and colour of each series.
    :ivar solid: whether these are bars, and no lines.
    :ivar head: of the table: what the labels are, and the series.
    :ivar rows: label and values, as text.
    """

    title: str
    words: str
    drawing: Markup
    heights: Sequence[str]
    labels: Sequence[str]
    legend: Sequence[tuple[str, int]]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    solid: bool = False


def draw(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    kind: Literal["lines", "areas", "bars"] = "lines",
    what: str = "Time",
    top: float | None = None,
    written: Callable[[float], str] | None = None,
) -> Plot:
    """A plot.

    :param labels: what each column is; in order, evenly spaced.
    :param kind: ``bars`` stand on each other.
    :param what: what the labels are.
    :param top: the largest value that there can be, such as 1.0 of a share; ``None``: as it comes.
    :param written: how values are written in the table.
    """
    write = written or (lambda value: whole(value) if value == int(value) else f"{value:.2f}")
    number = len(labels)
    coloured = [(one, one.colour or place % COLOURS + 1) for place, one in enumerate(series)]
    sums = [
        sum(one.values[column] or 0.0 for one in series) if kind == "bars" else _largest(series, column)
        for column in range(number)
    ]
    entire = all(value is None or value == int(value) for one in series for value in one.values)
    step, height = _scale(max(sums, default=0.0) if top is None else top, entire and top is None)
    parts = [_grid()]
    if kind == "bars":
        parts.append(_bars(coloured, number, height))
    else:
        parts += [
            _line(values, number, height, place, colour, kind == "areas")
            for place, (values, colour) in enumerate(coloured)
        ]
    rows = [
        [labels[column], *("–" if (value := one.values[column]) is None else write(value) for one in series)]
        for column in range(number)
    ]
    parts.append(_columns(rows, [one.name for one in series]))
    words = _words(series, labels, write)
    drawing = Markup(
        '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
        "<title>{}</title><desc>{}</desc>{}</svg>"
    ).format(int(_WIDTH), int(_HEIGHT), f"{title}. {words}", title, words, Markup("").join(parts))
    heights = [written(step * at) if written else short(step * at) for at in range(_STEPS, -1, -1)]
    return Plot(
        title,
        words,
        drawing,
        heights,
        _some(labels),
        [(one.name, colour) for one, colour in coloured],
        [what, *(one.name for one in series)],
        rows,
        kind == "bars",
    )


def _largest(series: Sequence[Series], column: int) -> float:
    return max((one.values[column] or 0.0 for one in series), default=0.0)


def _scale(largest: float, entire: bool) -> tuple[float, float]:
    """A round step between lines, and the value at the top.

    :param entire: whether there are no fractions.
    """
    if largest <= 0:
        return 1.0, float(_STEPS)
    rough = largest / _STEPS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * of for of in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if unit * of >= rough * 0.999999)
    if entire and step != int(step):
        step = math.ceil(step)
    return step, step * _STEPS


def _grid() -> Markup:
    lines = (f"M0 {_HEIGHT * at / _STEPS:.1f}H{_WIDTH:.0f}" for at in range(_STEPS + 1))
    return Markup('<path class="grid-line" d="{}"/>').format("".join(lines))


def _x(column: int, number: int) -> float:
    return _WIDTH * (column + 0.5) / number


def _line(one: Series, number: int, height: float, place: int, colour: int, filled: bool) -> Markup:
    runs: list[list[tuple[float, float]]] = [[]]
    for column in range(number):
        value = one.values[column]
        if value is None:
            # Nobody knows: the line is broken.
            if runs[-1]:
                runs.append([])
            continue
        runs[-1].append((_x(column, number), _HEIGHT * (1 - min(value / height, 1.0))))
    found = []
    for run in filter(None, runs):
        # A single value would be a line without length.
        points = run if len(run) > 1 else [(run[0][0] - 4, run[0][1]), (run[0][0] + 4, run[0][1])]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        if filled:
            closed = f"{path}L{points[-1][0]:.1f} {_HEIGHT:.0f}L{points[0][0]:.1f} {_HEIGHT:.0f}Z"
            found.append(Markup('<path class="area s{}" d="{}"/>').format(colour, closed))
        found.append(Markup('<path class="line s{} dash{}" d="{}"/>').format(colour, place + 1, path))
    return Markup("").join(found)


def _bars(coloured: Sequence[tuple[Series, int]], number: int, height: float) -> Markup:
    found = []
    wide = _WIDTH / max(1, number)
    for column in range(number):
        below = 0.0
        for one, colour in coloured:
            value = one.values[column] or 0.0
            if value <= 0:
                continue
            tall = _HEIGHT * value / height
            found.append(
                Markup('<rect class="bar s{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                    colour,
                    f"{column * wide + wide * 0.12:.1f}",
                    f"{_HEIGHT - below - tall:.1f}",
                    f"{wide * 0.76:.1f}",
                    f"{tall:.1f}",
                )
            )
            below += tall
    return Markup("").join(found)


def _columns(rows: Sequence[Sequence[str]], names: Sequence[str]) -> Markup:
    """What a pointer finds: the numbers of a column."""
    wide = _WIDTH / max(1, len(rows))
    found = []
    for column, row in enumerate(rows):
        told = "\n".join([row[0], *(f"{name}: {value}" for name, value in zip(names, row[1:], strict=True))])
        found.append(
            Markup(
                '<rect class="column" x="{}" y="0" width="{}" height="{}"><title>{}</title></rect>'
            ).format(f"{column * wide:.1f}", f"{wide:.1f}", int(_HEIGHT), told)
        )
    return Markup("").join(found)


def _words(series: Sequence[Series], labels: Sequence[str], write: Callable[[float], str]) -> str:
    said = []
    for one in series:
        known = [(value, label) for value, label in zip(one.values, labels, strict=True) if value is not None]
        if known:
            most, where = max(known, key=lambda pair: pair[0])
            said.append(f"{one.name}: at the most {write(most)} ({where}), at last {write(known[-1][0])}.")
    return " ".join(said) or "There are no numbers yet."


def _some(labels: Sequence[str]) -> list[str]:
    """As many labels as can be read, each below its column; the others are empty."""
    every = math.ceil(len(labels) / _LABELS) or 1
    return [label if place % every == every // 2 else "" for place, label in enumerate(labels)]


def bar(part: float, whole: float) -> Markup:
    """A share as a bar of one line, for a table."""
    share = 0.0 if whole <= 0 else max(0.0, min(1.0, part / whole))
    return Markup(
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="all" width="100" height="8"/><rect class="part" width="{}" height="8"/></svg>'
    ).format(escape(f"{share:.0%}"), f"{share * 100:.1f}")
