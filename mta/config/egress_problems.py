"""What is wrong with ``[[egress]]`` and its kin, as far as the tables can tell."""

from __future__ import annotations

from collections.abc import Iterator

from mta.config.loading import Loaded
from mta.config.problem import Problem, nearest


def egress_problems(loaded: Loaded) -> list[Problem]:
    """Names that are there twice, or not at all."""
    settings = loaded.settings
    return [
        *_twice(loaded, "egress", [one.name for one in settings.egress]),
        *_twice(loaded, "egress_pool", [one.name for one in settings.egress_pool]),
        *_unknown(loaded),
    ]


def _twice(loaded: Loaded, table: str, names: list[str]) -> Iterator[Problem]:
    for number, name in enumerate(names):
        if name in names[:number]:
            yield loaded.problem((table, number, "name"), f"there is another [[{table}]] {name}")


def _unknown(loaded: Loaded) -> Iterator[Problem]:
    settings = loaded.settings
    sources = {one.name for one in settings.egress}
    pools = {one.name for one in settings.egress_pool}
    for number, pool in enumerate(settings.egress_pool):
        for name in pool.sources:
            if name not in sources:
                place = ("egress_pool", number, "sources", name)
                yield loaded.problem(place, f"there is no [[egress]] {name}", _remedy(name, sources))
    for number, shape in enumerate(settings.shape):
        if shape.egress and shape.egress not in pools:
            what = f"there is no [[egress_pool]] {shape.egress}"
            yield loaded.problem(("shape", number, "egress"), what, _remedy(shape.egress, pools))
        elif shape.egress:
            covered = {
                name for one in settings.egress_pool if one.name == shape.egress for name in one.transport
            }
            for transport in shape.transport:
                if transport not in covered:
                    what = f"the pool {shape.egress} is not for the transport {transport}"
                    yield loaded.problem(("shape", number, "egress"), what, "name it in the pool's transport")


def _remedy(name: str, known: set[str]) -> str:
    guess = nearest(name, known)
    if guess:
        return f"did you mean {guess!r}?"
    return f"there are: {', '.join(sorted(known))}" if known else "add it"
