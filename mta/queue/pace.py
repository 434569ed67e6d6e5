"""How many deliveries a site is given at once: more while it takes them, fewer when it objects; pure.

It begins with a few, and goes up by one for each success until the site objects for the first
time; from then on by one for each full round.  An objection halves it, once for a round,
because what was under way at that moment meets the same objection.  What is an objection, the
table of replies says (:mod:`mta.model.bounce`).
"""

from __future__ import annotations

#: Deliveries at once to a site of which nothing is known.
BEGINNING = 10


class Pace:
    """The number for one site.

    :param ceiling: never more; at least 1.
    :ivar limit: the number now, from 1 to ``ceiling``.
    """

    __slots__ = ("_ceiling", "_exact", "_rest", "_steady", "limit")

    def __init__(self, ceiling: int) -> None:
        self._ceiling = max(1, ceiling)
        self._exact = float(min(BEGINNING, self._ceiling))
        self._steady = False
        # Outcomes to come that were under way when it was halved.
        self._rest = 0
        self.limit = int(self._exact)

    def bound(self, ceiling: int) -> None:
        """Another ceiling from now on."""
        self._ceiling = max(1, ceiling)
        self._set(self._exact if self._steady else max(self._exact, BEGINNING))

    def succeeded(self) -> None:
        """The site took a message."""
        if self._rest:
            self._rest -= 1
        if self.limit < self._ceiling:
            self._set(self._exact + (1.0 / self._exact if self._steady else 1.0))

    def restart(self) -> None:
        """Begin with one, after a rest."""
        self._steady = True
        self._rest = 0
        self._set(1.0)

    def objected(self, running: int) -> None:
        """The site asked us to slow down.

        :param running: deliveries under way besides.
        """
        if self._rest:
            self._rest -= 1
            return
        self._steady = True
        self._rest = running
        self._set(self._exact / 2.0)

    def _set(self, exact: float) -> None:
        self._exact = min(max(exact, 1.0), float(self._ceiling))
        self.limit = int(self._exact)
