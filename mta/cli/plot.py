"""Numbers drawn in a terminal; the library is imported when something is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Labels along the lower edge.
_TICKS = 6
#: For those who see no colours: each line has a sign of its own.
_SIGNS = "*o+x#@%=~"


def lines(
    names: Sequence[str],
    values: Mapping[str, Sequence[float]],
    title: str,
    size: tuple[int, int],
    colours: bool = True,
) -> str:
    """Lines over something.

    :param names: of the steps.
    :param values: by what they are, one for each step.
    :param size: columns and rows.
    :param colours: whether the terminal has some.
    """
    figure = _figure(title, size, colours)
    places = list(range(len(names)))
    for number, (name, numbers) in enumerate(values.items()):
        marker = None if colours else _SIGNS[number % len(_SIGNS)]
        signal = figure.signal(places, [float(one) for one in numbers], marker=marker)
        # One point alone is no line.
        if len(places) > 1:
            signal.lines()
        signal.label(name)
        figure.draw(signal)
    chosen = places[:: max(1, -(-len(places) // _TICKS))]
    figure.ruler("x").ticks(chosen, [names[one] for one in chosen])
    highest = max((one for numbers in values.values() for one in numbers), default=0.0)
    figure.ruler("y").lim(0, highest or 1)
    return _drawn(figure, colours)


def bars(
    names: Sequence[str], values: Sequence[float], title: str, size: tuple[int, int], colours: bool = True
) -> str:
    """A bar for each, the first on top."""
    figure = _figure(title, (size[0], max(size[1], 2 * len(names) + 4)), colours)
    places = list(range(len(names), 0, -1))
    figure.draw(figure.bar(places, [float(one) for one in values], orientation="h"))
    figure.ruler("y").ticks(places, list(names))
    figure.ruler("y").lim(0.5, len(names) + 0.5)
    figure.ruler("x").lim(0, max(values, default=0) or 1)
    return _drawn(figure, colours)


def _figure(title: str, size: tuple[int, int], colours: bool) -> Any:
    import plotext

    figure: Any = plotext.figure
    figure.clear()
    figure.theme("simple" if colours else "colorless")
    figure.plot_size(*size)
    figure.title(title)
    return figure


def _drawn(figure: Any, colours: bool) -> str:
    text = str(figure.build().string(colorless=not colours))
    return text if colours else "\n".join(line.rstrip() for line in text.splitlines())
