"""One rule: counts, compares, and knows whether it is raised; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mta.analytics.judging import Finding, Wanted, shown
from mta.config.settings import Alert
from mta.journal.text import event_line
from mta.journal.words import duration, size
from mta.model.event import Event

Action = Literal["raised", "reminded", "recovered"]
#: Parts that the time of a rule is counted in.
_SLOTS = 60
#: Clients that are told apart.
_CLIENTS = 1000


class Window:
    """Counts what happened within so many seconds, in bounded memory."""

    def __init__(self, within: float) -> None:
        self._width = within / _SLOTS
        self._slots: dict[int, int] = {}

    def add(self, at: float, count: int = 1) -> None:
        """Something has happened."""
        slot = int(at / self._width)
        self._slots[slot] = self._slots.get(slot, 0) + count
        if len(self._slots) > 2 * _SLOTS:
            self._forget(max(self._slots))

    def count(self, now: float) -> int:
        """How often."""
        self._forget(int(now / self._width))
        return sum(self._slots.values())

    def _forget(self, slot: int) -> None:
        self._slots = {number: count for number, count in self._slots.items() if number > slot - _SLOTS}


@dataclass(frozen=True, slots=True)
class Change:
    """What is new about a rule.

    :ivar tell: whether somebody is to be told, who was not told a short time ago.
    """

    action: Action
    tell: bool


class Standing:
    """Whether a rule is raised, and when somebody was told.

    :param repeat: seconds between two messages of the same.
    """

    def __init__(self, repeat: float) -> None:
        self._repeat = repeat
        self.since = 0.0
        self.told = 0.0
        #: Whether whoever was told last was told that it is raised.
        self.owed = False

    @property
    def is_raised(self) -> bool:
        """Whether it is."""
        return self.since > 0

    def judge(self, over: bool, now: float) -> Change | None:
        """What is new, now that the value is over its threshold, or is not."""
        if over and not self.is_raised:
            self.since = now
            return Change("raised", self._may_tell(now))
        if over and self._may_tell(now):
            return Change("reminded", True)
        if not over and self.is_raised:
            self.since = 0.0
            # Whoever heard of the trouble hears of its end, however soon.
            tell, self.owed = self.owed, False
            return Change("recovered", tell)
        return None

    def _may_tell(self, now: float) -> bool:
        if self.told and now < self.told + self._repeat:
            return False
        self.told, self.owed = now, True
        return True

    def replay(self, action: str, at: float, told: bool) -> None:
        """Take up where an earlier process has left off: one of its events."""
        if action in ("raised", "reminded"):
            self.since = self.since or at
            if told:
                self.told, self.owed = at, True
        elif action == "recovered":
            self.since, self.owed = 0.0, False


class Rule:
    """See the module.

    :param settings: of the rule.
    """

    def __init__(self, settings: Alert) -> None:
        self.settings = settings
        self.standing = Standing(settings.repeat)
        self.value = 0.0
        self._window = Window(settings.within)
        self._clients: Counter[str] = Counter()
        self._last = ""
        #: Of a rule about numbers: what was found last.
        self.finding: Finding | None = None

    # --- what happens ----------------------------------------------------------

    def saw(self, event: Event) -> bool:
        """Count it, if it is meant; whether it is."""
        settings = self.settings
        if event.kind != settings.event or not self._fits(event):
            return False
        self._window.add(event.at)
        client = getattr(event, "client", "") or getattr(event, "account", "")
        if client and (client in self._clients or len(self._clients) < _CLIENTS):
            self._clients[client] += 1
        self._last = event_line(event)[:500]
        return True

    def _fits(self, event: Event) -> bool:
        wanted = self.settings.rule
        if getattr(event, "temporary", False) and getattr(event, "name", "") != "auth-throttled":
            # Nobody could say whether the password was right: that is our trouble, not an attack.
            return False
        return not wanted or wanted in (
            getattr(event, "rule", ""),
            getattr(event, "name", ""),
            getattr(event, "what", ""),
            getattr(event, "action", ""),
        )

    def judge(
        self, now: float, facts: dict[str, float], findings: Mapping[str, Finding] | None = None
    ) -> Change | None:
        """What is new.

        :param facts: the values of the server, by the name of what a rule is about; those that
            nobody knows are left out.
        :param findings: by the names of rules about numbers: what these are.
        """
        settings, subject = self.settings, self.settings.subject
        if subject == "event":
            self.value = self._window.count(now)
            over = self.value >= settings.count
            if not self.value:
                self._clients.clear()
        elif subject == "statistic":
            finding = (findings or {}).get(settings.name)
            if finding is None:
                return None
            over = finding.over or (self.standing.is_raised and not finding.calm)
            if finding.over or not over:
                self.value, self.finding = finding.value, finding
        elif subject not in facts:
            return None
        else:
            self.value = facts[subject]
            over = self._is_over(facts)
        return self.standing.judge(over, now)

    def _is_over(self, facts: dict[str, float]) -> bool:
        settings = self.settings
        match settings.subject:
            case "certificate":
                return self.value <= settings.certificate
            case "disk" if settings.disk < 0:
                return self.value < facts.get("disk_size", 0.0) * -settings.disk / 100
            case "disk":
                return self.value < settings.disk
            case "queue_age":
                return self.value >= settings.queue_age
            case _:
                return self.value >= settings.queue_size

    # --- words -----------------------------------------------------------------

    @property
    def threshold(self) -> str:
        """What raises it, in words."""
        settings = self.settings
        match settings.subject:
            case "event":
                what = settings.event + (f" ({settings.rule})" if settings.rule else "")
                return f"{settings.count} of {what} within {duration(settings.within)}"
            case "certificate":
                return f"the certificate expires in {duration(settings.certificate)} or less"
            case "disk":
                room = f"{-settings.disk} %" if settings.disk < 0 else size(settings.disk)
                return f"less than {room} of the disk is free"
            case "queue_age":
                return f"a message has waited for {duration(settings.queue_age)}"
            case "statistic":
                return _bounds(settings)
            case _:
                return f"{settings.queue_size} messages wait"

    @property
    def found(self) -> str:
        """The value, in words."""
        match self.settings.subject:
            case "event":
                times = "once" if self.value == 1 else f"{self.value:.0f} times"
                return f"{times} within {duration(self.settings.within)}"
            case "certificate":
                return f"it expires in {duration(self.value)}" if self.value > 0 else "it has expired"
            case "disk":
                return f"{size(self.value)} are free"
            case "queue_age":
                return f"the oldest has waited for {duration(self.value)}"
            case "statistic":
                return self.finding.words if self.finding else "nothing was found yet"
            case _:
                return f"{self.value:.0f} messages wait"

    @property
    def evidence(self) -> dict[str, Any]:
        """What a person would look at next."""
        facts: dict[str, Any] = {}
        if self._clients and self.settings.subject == "event":
            facts["most"] = [f"{name} ({count})" for name, count in self._clients.most_common(5)]
        if self._last and self.settings.subject == "event":
            facts["last"] = self._last
        if self.finding is not None:
            facts.update(self.finding.evidence)
            if self.finding.cause:
                facts["cause"] = self.finding.cause
        return facts

    def take_over(self, other: Rule) -> None:
        """Go on where a rule of the same name has been, after a reload."""
        if self.settings == other.settings:
            self._window, self._clients, self._last = other._window, other._clients, other._last
        if self.settings.statistic == other.settings.statistic:
            self.finding, self.value = other.finding, other.value
        self.standing.since, self.standing.told = other.standing.since, other.standing.told
        self.standing.owed = other.standing.owed


def wanted(settings: Alert) -> Wanted:
    """What a rule about numbers looks at."""
    return Wanted(
        settings.statistic,
        settings.above,
        settings.below,
        settings.change,
        settings.by,
        settings.value,
        None if settings.tenant == "*" else settings.tenant,
        settings.minimum,
        settings.within,
    )


def _bounds(settings: Alert) -> str:
    where = f" of {settings.by} {settings.value or 'each'}" if settings.by else ""
    bounds = [
        f"{word} {shown(settings.statistic, bound)}"
        for word, bound in (("above", settings.above), ("below", settings.below))
        if bound is not None
    ]
    if settings.change:
        bounds.append(f"{settings.change:g} times what is usual at this time")
    return f"{settings.statistic}{where} within {duration(settings.within)}: {', or '.join(bounds)}"
