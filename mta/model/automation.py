"""What a remote's replies make a site do for a while: rest, or take less; pure.

The table of replies (:mod:`mta.model.bounce`) says what a reply means; these rules say what
follows, for how long, and after how many such replies.  The first rule that fits decides; a rule
that does ``nothing`` keeps those behind it from doing something.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from mta.model.bounce import Classification, Matcher, Rule
from mta.model.limits import Rate
from mta.model.outcome import RemoteReply

#: What follows: nothing goes; less goes; nothing follows.
Effect = Literal["suspend", "slow", "nothing"]
#: Counts of replies remembered.
_REMEMBERED = 10000


@dataclass(frozen=True, slots=True)
class Automation:
    """One rule.

    :ivar name: for events.
    :ivar effect: what follows.
    :ivar seconds: for how long.
    :ivar means: names of classes, one of which the reply is of; empty: any.
    :ivar pattern: which replies; its class does not matter.
    :ivar trigger: so many such replies in so many seconds.
    :ivar whole_site: whether it concerns all that goes to the site, and not only what leaves from the
        source that heard it.
    :ivar connections: of ``slow``: deliveries at once; 0: as many as before.
    :ivar messages: of ``slow``: rates of messages.
    """

    name: str
    effect: Effect
    seconds: float = 0.0
    means: Sequence[str] = ()
    pattern: Rule = field(default_factory=lambda: Rule("other"))
    trigger: Rate = (1, 1.0)
    whole_site: bool = False
    connections: int = 0
    messages: tuple[Rate, ...] = ()

    @property
    def words(self) -> str:
        """What follows, for a person."""
        if self.effect == "suspend":
            return "nothing goes there"
        rates = [f"{count} messages in {seconds:g} s" for count, seconds in self.messages]
        limits = [f"{self.connections} at once"] if self.connections else []
        return f"no more than {', '.join([*limits, *rates])} go there"


class Automations:
    """Finds what follows from a reply, and counts.

    :param rules: the first that fits decides.
    """

    def __init__(self, rules: Sequence[Automation] = ()) -> None:
        self._rules = [(rule, frozenset(rule.means), Matcher(rule.pattern)) for rule in rules]
        self._heard: dict[tuple[str, str], deque[float]] = {}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def heard(
        self, reply: RemoteReply, verdict: Classification, next_hop: str, site: str, now: float
    ) -> Automation | None:
        """What follows from a reply; ``None`` for nothing.

        :param verdict: what it means.
        :param site: for whom such replies are counted.
        """
        for rule, means, matcher in self._rules:
            if means and verdict.name not in means:
                continue
            if matcher.fits(reply, next_hop, verdict.provider) is None:
                continue
            if rule.effect == "nothing" or not self._is_triggered(rule, site, now):
                return None
            return rule
        return None

    def _is_triggered(self, rule: Automation, site: str, now: float) -> bool:
        count, seconds = rule.trigger
        if count <= 1:
            return True
        key = rule.name, site
        times = self._heard.pop(key, None) or deque(maxlen=count)
        times.append(now)
        if len(times) == count and times[0] > now - seconds:
            return True
        while len(self._heard) >= _REMEMBERED:
            del self._heard[next(iter(self._heard))]
        self._heard[key] = times
        return False
