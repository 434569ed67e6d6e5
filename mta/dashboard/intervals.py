"""Shares as a plot, each with what is not known of it: a line over where the true one lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mta.dashboard.plot import COLOURS, Plot

_WIDTH, _HEIGHT, _STEPS = 1000.0, 240.0, 4


@dataclass(frozen=True, slots=True)
class Interval:
    """One share, from 0 to 1, and between what the true one lies."""

    name: str
    rate: float
    low: float
    high: float


def draw_intervals(title: str, some: Sequence[Interval]) -> Plot:
    """A plot for the part ``plot`` of ``parts.html``."""
    most = max((one.high for one in some), default=0.0)
    top = next((of for of in (0.02, 0.04, 0.1, 0.2, 0.4, 0.6, 0.8) if of >= most), 1.0)
    lines = "".join(f"M0 {_HEIGHT * at / _STEPS:.1f}H{_WIDTH:.0f}" for at in range(_STEPS + 1))
    parts = [Markup('<path class="grid-line" d="{}"/>').format(lines)]
    wide = _WIDTH / max(1, len(some))
    for place, one in enumerate(some):
        x, arm = wide * (place + 0.5), min(30.0, wide * 0.2)
        low, high, rate = (_HEIGHT * (1 - value / top) for value in (one.low, one.high, one.rate))
        path = (
            f"M{x:.1f} {low:.1f}V{high:.1f}M{x - arm:.1f} {low:.1f}H{x + arm:.1f}"
            f"M{x - arm:.1f} {high:.1f}H{x + arm:.1f}"
        )
        colour = place % COLOURS + 1
        parts.append(Markup('<path class="line s{}" d="{}"/>').format(colour, path))
        mark = f"M{x - arm:.1f} {rate:.1f}H{x + arm:.1f}"
        parts.append(Markup('<path class="line mark s{}" d="{}"/>').format(colour, mark))
    words = " ".join(f"{one.name}: {one.rate:.1%}, between {one.low:.1%} and {one.high:.1%}." for one in some)
    drawing = Markup(
        '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(int(_WIDTH), int(_HEIGHT), f"{title}. {words}", Markup("").join(parts))
    return Plot(
        title,
        words,
        drawing,
        [f"{top * at / _STEPS:.1%}" for at in range(_STEPS, -1, -1)],
        [one.name for one in some],
        [],
        ["Variant", "Rate", "At the least", "At the most"],
        [[one.name, *(f"{value:.1%}" for value in (one.rate, one.low, one.high))] for one in some],
    )
