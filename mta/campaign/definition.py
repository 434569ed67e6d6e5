"""What a campaign is: for whom, from whom, with which content, and when; a value that is kept as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mta.campaign.pace import Pace
from mta.campaign.schedule import earliest

#: Variants of one campaign: more than these no audience tells apart.
MOST_VARIANTS = 8
#: Contacts in a throttle's unit of time.
UNITS: Mapping[str, float] = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
#: What is done with the rest where a test shows no clear winner.
OTHERWISE = ("wait", "split", "first")
#: What a test goes by.
METRICS = ("opened", "clicked")


@dataclass(frozen=True, slots=True)
class Variant:
    """One content.

    :ivar weight: of how many it is for, beside those of the others.
    :ivar template: its name; or ``subject``, ``text`` and ``html``.
    :ivar sender: address and name in place of those of the campaign; empty: those.
    :ivar data: for the template, over those of the campaign.
    """

    name: str
    weight: float = 1.0
    template: str = ""
    version: int = 0
    subject: str = ""
    text: str = ""
    html: str = ""
    sender: tuple[str, str] = ("", "")
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """For whom it is: who is on one of the lists or in one of the segments, and in none of the others."""

    lists: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    except_lists: tuple[str, ...] = ()
    except_segments: tuple[str, ...] = ()

    def condition(self) -> dict[str, Any]:
        """As a condition of a segment."""
        wanted = [*map(_on, self.lists), *({"segment": name} for name in self.segments)]
        unwanted = [*map(_on, self.except_lists), *({"segment": name} for name in self.except_segments)]
        parts: list[dict[str, Any]] = [{"any": wanted}]
        if unwanted:
            parts.append({"not": {"any": unwanted}})
        return {"all": parts}

    def still(self) -> dict[str, Any] | None:
        """What must hold still when a message is sent; ``None``: nothing.

        Of lists: who has left them gets nothing.  What a segment says of behaviour is not asked again: the
        campaign itself would change it.
        """
        parts: list[dict[str, Any]] = []
        if self.lists and not self.segments:
            parts.append({"any": list(map(_on, self.lists))})
        if self.except_lists:
            parts.append({"not": {"any": list(map(_on, self.except_lists))}})
        return {"all": parts} if parts else None

    @property
    def list(self) -> str:
        """The list that recipients leave when they unsubscribe; ``""``: all the tenant's mail."""
        return self.lists[0] if len(self.lists) == 1 and not self.segments else ""


@dataclass(frozen=True, slots=True)
class Test:
    """Variants are tried with some, and the rest gets the best.

    :ivar share: of all, 0 to 1.
    :ivar wait: seconds after the last of them, before it is looked at.
    :ivar metric: by what: ``opened`` or ``clicked``.
    :ivar confidence: how sure it must be.
    :ivar least: who must have had each variant.
    :ivar otherwise: what is done where it is not: ``wait`` for a person, ``split`` as the test was, ``first``
        variant.
    """

    share: float = 0.2
    wait: float = 14400.0
    metric: str = "clicked"
    confidence: float = 0.95
    least: int = 100
    otherwise: str = "wait"


@dataclass(frozen=True, slots=True)
class Bound:
    """How many may do what nobody wants them to.

    :ivar share: of those whom a message was tried with, 0 to 1; above it, it is too much.
    :ivar least: fewer than these prove nothing.
    """

    share: float
    least: int


@dataclass(frozen=True, slots=True)
class Guard:
    """When a campaign pauses by itself; without a bound that is not looked at.

    :ivar bounced: of those whose message was delivered or came back.  Providers begin to doubt a sender from
        about 5 % on.
    :ivar complained: of those who got it.  Above 0.3 % large providers refuse what a sender sends.
    :ivar hold: whether what is in the queue is held, too.
    """

    bounced: Bound | None = Bound(0.05, 20)
    complained: Bound | None = Bound(0.003, 5)
    hold: bool = True

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Guard:
        """From JSON, as ``dataclasses.asdict`` has made it."""
        bounds = {name: value.get(name) for name in ("bounced", "complained")}
        return cls(
            **{name: Bound(**one) if one else None for name, one in bounds.items()},
            hold=value.get("hold", True),
        )


@dataclass(frozen=True, slots=True)
class Definition:
    """See the module.

    :ivar unsubscribe: the list that is left with one click; ``""``: all mail; ``None``: as the target says.
    :ivar send_at: when it begins, in seconds since 1970; 0: when it is started.
    :ivar local: the same hour for everybody, as ``2026-12-01T09:00``; ``""``: it is not by time zones.
    :ivar zone: of those whose time zone is not known.
    :ivar clicks: and ``opens``: whether they are counted; ``None``: as the tenant has it.
    :ivar test: ``None``: every variant goes to its share, and nothing is chosen.
    :ivar guard: ``None``: it never pauses by itself.
    """

    target: Target
    sender: tuple[str, str]
    variants: tuple[Variant, ...]
    title: str = ""
    reply_to: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    unsubscribe: str | None = None
    clicks: bool | None = None
    opens: bool | None = None
    strict: bool = True
    send_at: float = 0.0
    local: str = ""
    zone: str = ""
    throttle: int = 0
    unit: str = "hour"
    spread: float = 0.0
    test: Test | None = None
    guard: Guard | None = Guard()

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Definition:
        """From JSON, as ``dataclasses.asdict`` has made it."""
        facts = dict(value)
        facts["target"] = Target(**{name: tuple(some) for name, some in facts["target"].items()})
        facts["sender"] = tuple(facts["sender"])
        facts["variants"] = tuple(
            Variant(**{**one, "sender": tuple(one.get("sender") or ("", ""))}) for one in facts["variants"]
        )
        facts["reply_to"] = tuple(tuple(one) for one in facts.get("reply_to", ()))
        facts["tags"] = tuple(facts.get("tags", ()))
        if facts.get("test") is not None:
            facts["test"] = Test(**facts["test"])
        if facts.get("guard") is not None:
            facts["guard"] = Guard.of(facts["guard"])
        return cls(**facts)

    @property
    def pace(self) -> Pace:
        """How fast it goes."""
        return Pace(self.throttle, UNITS[self.unit], self.spread)

    @property
    def begins(self) -> float:
        """When it begins by itself, once it is scheduled; 0: it does not."""
        return earliest(datetime.fromisoformat(self.local)) if self.local else self.send_at

    @property
    def leaves(self) -> str:
        """The list that is left with one click."""
        return self.target.list if self.unsubscribe is None else self.unsubscribe

    @property
    def weights(self) -> Sequence[float]:
        """Of the variants."""
        return [one.weight for one in self.variants]


def _on(name: str) -> dict[str, Any]:
    return {"list": name, "state": "subscribed"}
