"""One site's line of jobs, its pace, and whether it is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.logger import Logger

from mta.model.automation import Automation
from mta.model.bounce import Classification
from mta.model.egress import Source
from mta.model.limits import Limits, Rate
from mta.model.outcome import Delivered, Outcome, Postponed, RemoteReply
from mta.queue.budget import Budget
from mta.queue.lanes import Lanes
from mta.queue.meter import Rates
from mta.queue.pace import BEGINNING, Pace
from mta.queue.window import Job, Window

#: Seconds within which a fast destination empties its line.
PATIENCE = 10.0
#: Deliveries over which their pace is a mean, beside that of the last few: those that end in one turn of the
#: reactor come in a burst behind a pause, which must not make a fast destination look slow.
_MANY = 50
#: From how many on there is such a mean: a whole round of those with which a destination begins.
_ROUND = BEGINNING
#: Seconds by which a message is put off because of its destination's pace, at the most.
HORIZON = 1800.0
#: Failures to connect after which a destination is taken to be down.
FAILURES = 3
#: Replies after which a site that takes nothing from here is left alone.
OBJECTIONS = 3
#: Seconds for which nothing is tried then, at the most; it begins with the first retry delay.
LONGEST_PAUSE = 900.0

#: No connection, and no answer of the DNS: these are not about one message.
_UNREACHABLE = frozenset({"4.4.1", "4.4.3"})


def is_unreachable(outcomes: Sequence[Outcome]) -> bool:
    """Whether the attempt did not come as far as to talk about the message."""
    for outcome in outcomes:
        if not isinstance(outcome, Postponed):
            return False
        reply = outcome.reply
        # A host that greets with a refusal has not heard of any message yet.
        if reply.command != "connect" if reply.host else reply.enhanced not in _UNREACHABLE:
            return False
    return bool(outcomes)


class Destination:
    """One site of one transport: a next hop, or all that lead to the same hosts.

    :ivar queue: jobs that wait.
    :ivar running: deliveries under way.
    :ivar limit: how many there may be just now.
    :ivar hosts: names of the hosts behind it; none until somebody has found out.
    :ivar site: the same in words.
    :ivar source: what leaves from; ``None``: from wherever the transport's settings say.
    :ivar budget: what a source that warms up may send; ``None`` for any other.
    :ivar automation: the rule that a reply has triggered; ``None`` if none holds.
    :ivar automated_until: until when it holds, in seconds since 1970.
    :ivar base: the site as it is for what has no source; ``None`` if it is that itself.
    :ivar known_until: when that is to be asked again, in seconds since 1970.
    :ivar is_resolved: whether it is known which site it is; until then nothing begins.
    :ivar alarm: a timer that makes it ready again; ``None`` if it waits for none.
    :ivar rates: that all of its deliveries count for.
    :ivar gates: finds the rates that a job shares with those at other sites; ``None``: none does.
    :ivar ready: whether it stands in the ring of those that could start one.
    :ivar resume: until when nothing is tried, in seconds since 1970; 0 if it is not down.
    :ivar reply: what the last failure to connect said.
    :ivar advice: what a reply last told of all mail to it; ``None`` if none did.
    :ivar advised_until: until when it asks for a rest, in seconds since 1970.
    :param transport: provides ``ITransport``; ``None`` if the name is not configured.
    :param source: where it leaves from.
    """

    __slots__ = (
        "_before",
        "_connections",
        "_count",
        "_failures",
        "_full",
        "_horizon",
        "_interval",
        "_objections",
        "_pace",
        "_pause",
        "_progress",
        "_rates",
        "_since",
        "_slow",
        "advice",
        "advised_until",
        "alarm",
        "automated_until",
        "automation",
        "base",
        "budget",
        "gates",
        "hosts",
        "is_resolved",
        "known_until",
        "limit",
        "name",
        "next_hop",
        "queue",
        "rates",
        "ready",
        "reply",
        "resume",
        "running",
        "site",
        "source",
        "transport",
    )

    log = Logger()

    def __init__(self, name: str, next_hop: str, transport: Any, source: Source | None = None) -> None:
        self.name = name
        self.next_hop = next_hop
        self.queue = Lanes()
        self.running = 0
        self.ready = False
        self.resume = 0.0
        self.reply: RemoteReply | None = None
        self.advice: Classification | None = None
        self.advised_until = 0.0
        self._objections = 0
        self.site = ""
        self.source = source
        self.base: Destination | None = None
        self.budget: Budget | None = None
        self.automation: Automation | None = None
        self.automated_until = 0.0
        self._slow = Rates()
        self.hosts: Sequence[str] = ()
        self._connections = 0
        self._rates: tuple[tuple[Rate, ...], tuple[Rate, ...]] = ((), ())
        self.known_until = 0.0
        self.is_resolved = True
        self.alarm: Any = None
        self.rates = Rates()
        self.gates: Callable[[Job], Sequence[Rates]] | None = None
        self._pace = Pace(1)
        self._failures = 0
        self._pause = 0.0
        self._horizon = 0.0
        self._interval = -1.0
        self._progress = 0.0
        # Deliveries that have ended while others waited, since when, and since when the last of them.
        self._count, self._before, self._since = 0, 0.0, 0.0
        self.limit = 0
        self.adopt(transport)
        self._pace = Pace(self._full)
        self._set_limit()

    def adopt(self, transport: Any) -> None:
        """Use this transport from now on."""
        self.transport = transport
        self._full = 1
        if transport is not None:
            try:
                self._full = max(1, transport.concurrency(self.next_hop))
            except Exception:
                self.log.failure(
                    "The transport {transport} does not say its concurrency", transport=self.name
                )
        if self._connections:
            self._full = min(self._full, self._connections)
        self._pace.bound(self._full)
        self._set_limit()

    def resolve(self, hosts: Sequence[str]) -> None:
        """It is known now which site this is.

        :param hosts: its hosts, in order; none if the next hop is a site by itself.
        """
        self.hosts = hosts
        self.site = ", ".join(hosts)
        self.is_resolved = True
        self._set_limit()

    def shape(self, limits: Limits) -> None:
        """Set what it is given at the most; a domain that joins a site can only lower its connections."""
        connections = limits.connections
        if connections and (not self._connections or connections < self._connections):
            self._connections = connections
            self._full = min(self._full, connections)
            self._pace.bound(self._full)
            self._set_limit()
        rates = limits.messages, limits.recipients
        if rates != self._rates:
            self._rates = rates
            self.rates = Rates(*rates)

    def unshape(self) -> None:
        """Forget the connections of a configuration that was; :meth:`shape` follows."""
        self._connections = 0
        self.adopt(self.transport)

    def await_site(self) -> None:
        """Begin nothing until :meth:`resolve`."""
        self.is_resolved = False
        self._set_limit()

    def _set_limit(self) -> None:
        slow = self.automation.connections if self.automation is not None else 0
        if not self.is_resolved:
            self.limit = 0
        elif self.is_down:
            self.limit = 1
        else:
            self.limit = min(self._pace.limit, slow) if slow else self._pace.limit

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self.queue and not self.running

    # --- what rules make of it -----------------------------------------------

    def rest_for(self, rule: Automation, until: float, reply: RemoteReply) -> None:
        """Nothing goes until then; afterwards it begins with one again."""
        self.automation, self.automated_until = rule, until
        self.advised_until = self.resume = max(until, self.resume)
        self.reply = reply
        self._pace.restart()
        self._set_limit()

    def slow_down(self, rule: Automation, until: float, reply: RemoteReply) -> None:
        """No more than this goes until :meth:`speed_up`."""
        # The same rule again is no other rate, and forgets nothing of what went.
        if self.automation is not rule:
            self._slow = Rates(rule.messages)
        self.automation, self.automated_until = rule, until
        self.reply = reply
        self._set_limit()

    def speed_up(self) -> None:
        """The time of a rule is over."""
        self.automation = None
        self._slow = Rates()
        self._set_limit()

    def is_of_interest(self, now: float) -> bool:
        """Whether an operator would want to see it."""
        rests = self.resume or self.advised_until > now or self.automation is not None
        return bool(not self.is_idle or rests or self.spent_until(now))

    def spent_until(self, now: float) -> float | None:
        """Until when its source sends no more, because it warms up; ``None`` if it may send."""
        budget = self.budget
        return budget.until(now) if budget is not None and budget.is_spent(now) else None

    def status(self, now: float) -> dict[str, Any]:
        """For an operator, JSON values."""
        return {
            "transport": self.name,
            "next_hop": self.next_hop,
            "site": self.site,
            "source": self.source.name if self.source is not None else "",
            "waiting": len(self.queue),
            "in_flight": self.running,
            "in_flight_limit": self.limit,
            "rests_until": self.resume or None,
            "spent_until": self.spent_until(now),
            "advice": None
            if self.advice is None
            else {"class": self.advice.name, "action": self.advice.action, "until": self.advised_until},
            "automation": None
            if self.automation is None
            else {
                "rule": self.automation.name,
                "action": self.automation.effect,
                "until": self.automated_until,
            },
            "last_trouble": "" if self.reply is None else str(self.reply),
        }

    # --- the line ------------------------------------------------------------

    def put(self, job: Job) -> None:
        """Let a job wait."""
        self.queue.put(job)

    def take(self) -> Job:
        """The job whose turn it is."""
        return self.queue.take()

    # --- its rates -----------------------------------------------------------

    @property
    def is_metered(self) -> bool:
        """Whether a rate is set."""
        return self.gates is not None or bool(self.rates) or bool(self._slow) or self.budget is not None

    def wait(self, now: float) -> float:
        """Seconds until a job may begin, as far as rates go; 0 if one may now, and has the turn."""
        if self.budget is not None and (unknown := self.budget.wait(now)):
            return unknown
        if self.gates is None and not self.rates.recipients:
            return max(self.rates.wait(now, 0), self._slow.wait(now, 0))
        return self.queue.choose(lambda job: self.wait_of(job, now))

    def wait_of(self, job: Job, now: float) -> float:
        """The same for one job."""
        return max(rates.wait(now, len(job.addressees)) for rates in self._of(job))

    def passed(self, now: float, job: Job) -> None:
        """A job begins, and counts."""
        for rates in self._of(job):
            rates.passed(now, len(job.addressees))

    def _of(self, job: Job) -> Sequence[Rates]:
        own = self.rates, self._slow
        return own if self.gates is None else (*own, *self.gates(job))

    # --- its pace ------------------------------------------------------------

    def began(self, now: float) -> None:
        """A delivery has begun."""
        if not self.running:
            self._progress = self._before = now
            self._count = 0
        self.running += 1

    def ended(self, now: float) -> None:
        """A delivery has ended, however."""
        together = self.running
        self.running -= 1
        if self.queue:
            sample = now - self._progress
            known = self._interval
            # The first has taken as long as those that go beside it, so that these follow at once.
            self._interval = sample / max(1, together) if known < 0.0 else known + (sample - known) * 0.1
            self._count += 1
            if self._count >= 2 * _MANY:
                self._count, self._before, self._since = _MANY, self._since, now
            elif self._count == _MANY:
                self._since = now
        else:
            if self._interval < 0.0:
                self._interval = (now - self._progress) / self._full
            self._count, self._before = 0, now
        self._progress = now

    def is_fast(self, now: float) -> bool:
        """Whether what waits is gone within ``PATIENCE``, as far as can be known."""
        if self.running and now - self._progress > PATIENCE:
            return False
        return 0.0 <= self._pace_at(now) * len(self.queue) <= PATIENCE

    def _pace_at(self, now: float) -> float:
        """Seconds from one delivery's end to the next one's; below 0 if nothing is known of them."""
        if self._count >= _ROUND:
            return min(self._interval, (now - self._before) / self._count)
        return self._interval

    def has_share(self, window: Window, octets: int, now: float) -> bool:
        """Whether one more job may come into the window."""
        queue = self.queue
        if not queue or self.is_fast(now):
            return True
        if self._interval >= 0.0 and len(queue) >= self.limit:
            # Known to be slow: what follows on its connections is enough.
            return False
        return len(queue) < window.free_messages and queue.octets + octets <= window.free_octets

    def slot(self, now: float, random: Callable[[], float]) -> float:
        """When a message that finds no room may have its turn."""
        step = max(self._pace_at(now), 0.01)
        if self.running:
            step = max(step, (now - self._progress) / self._full)
        # Of whose pace nothing is known yet, it will be known soon.
        known = self._interval >= 0.0 or (self.running and now - self._progress > 1.0)
        # Twice as fast as it is: some may be put off once more, but it never waits for them.
        first = min(PATIENCE, step * len(self.queue)) / 2 if known else 1.0
        self._horizon = max(self._horizon, now + first) + step / 2
        if self._horizon > now + HORIZON:
            self._horizon = now + HORIZON
            return now + HORIZON * (0.5 + 0.5 * random())
        return self._horizon

    # --- whether it is there -------------------------------------------------

    @property
    def is_suspect(self) -> bool:
        """Whether the last attempt did not reach it."""
        return self._failures > 0

    @property
    def is_down(self) -> bool:
        """Whether several attempts, one after the other, did not reach it."""
        return self._failures >= FAILURES

    def reached(self, by_hand: bool = False) -> None:
        """It is there, or an operator wants to know whether it is.

        :param by_hand: an operator, who ends the rest that a rule gave it as well.
        """
        self._failures = 0
        self._pause = 0.0
        rule = self.automation
        if by_hand:
            self.speed_up()
        if rule is not None and rule.effect == "suspend" and not by_hand:
            self.resume = self.advised_until = self.automated_until
        else:
            self.resume = self.advised_until = 0.0
        self._set_limit()

    def missed(self, now: float, reply: RemoteReply, first: float) -> None:
        """It could not be reached.

        :param reply: how so.
        :param first: seconds of the first pause.
        """
        self._failures += 1
        self.reply = reply
        if self._failures >= FAILURES and now >= self.resume:
            self._pause = min(self._pause * 2.0 or first, LONGEST_PAUSE)
            self.resume = now + self._pause
            self._set_limit()

    def heard(
        self,
        outcomes: Sequence[Outcome],
        said: Sequence[tuple[RemoteReply, Classification]],
        now: float,
    ) -> RemoteReply | None:
        """What it said to a delivery, which is not counted as running any more.

        What was taken lets more go at once.  A reply that holds for whatever goes from here to
        this site (``Classification.is_site_wide``), and is to ``slow`` or to ``suspend``, lets less
        go at once.  A ``suspend`` is followed when it was heard ``OBJECTIONS`` times and nothing was
        taken in between, because one message may earn what a site says of all: then nothing is
        tried until ``advised_until``, and what comes is put off till then.

        :param said: each reply of another host that did not take something, and what it means.
        :return: the reply after which a rest begins; ``None`` if none does.
        """
        advice = [(reply, verdict) for reply, verdict in said if verdict.is_site_wide]
        asked = [verdict for _, verdict in advice if verdict.suspend or verdict.action == "slow"]
        if advice:
            self.advice = advice[-1][1]
        if asked:
            self._pace.objected(self.running)
        elif any(isinstance(outcome, Delivered) for outcome in outcomes):
            self._objections = 0
            self._pace.succeeded()
        else:
            return None
        rests = None
        for reply, verdict in advice:
            if verdict.suspend and self._rest(verdict.suspend, reply, now):
                rests = reply
        self._set_limit()
        return rests

    def _rest(self, seconds: float, reply: RemoteReply, now: float) -> bool:
        """A reply asks for a rest; answers whether one begins."""
        self._objections += 1
        until = now + seconds
        if self._objections < OBJECTIONS or until <= self.resume:
            return False
        begins = self.advised_until <= now
        self.advised_until = self.resume = until
        self.reply = reply
        # It begins with one again.
        self._pace.restart()
        return begins
