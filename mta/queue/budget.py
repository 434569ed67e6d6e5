"""What a source that warms up may still send today, to one site: as much as the tally gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from mta.model.catalogue import REPLIES
from mta.model.outcome import RemoteReply
from mta.model.warm_up import DAY, Plan
from mta.queue.tally import Tally

#: Of a day's messages, this part is taken from the tally at once.
PART = 20
#: Messages taken at once, at the most.
MOST = 200
#: Seconds after which what was taken and not needed is given back.
UNUSED = 60.0
#: Seconds after which the tally is asked again when it had none left, since others give back.
AGAIN = 300.0
#: Seconds after which it is asked again when it could not be used.
TROUBLE = 60.0
#: Seconds for which a line waits for the tally's answer before it looks again.
_SOON = 5.0


class Budget:
    """The messages of one source to one site.

    :param source: its name.
    :param site: the site's, or its provider's.
    :param plan: how many a day; may be replaced.
    :param ask: asks the tally for more, and tells :meth:`granted` or :meth:`refused`.
    :ivar left: messages that may be begun.
    :ivar day: on which.
    :ivar used: when one was last begun.
    """

    __slots__ = ("_ask", "_asked", "_refused", "_until", "day", "left", "plan", "site", "source", "used")

    def __init__(self, source: str, site: str, plan: Plan, ask: Callable[[Budget, int, int], None]) -> None:
        self.source = source
        self.site = site
        self.plan = plan
        self.left = 0
        self.day = -1
        self.used = 0.0
        self._ask = ask
        self._asked = False
        # Until when the tally has none.
        self._refused = 0.0
        # Until when nothing goes then.
        self._until = 0.0

    def is_spent(self, now: float) -> bool:
        """Whether nothing more goes, as far as is known."""
        if not self.plan.holds(now):
            return False
        if 0 in self.plan.allowed(now):
            return True
        return not self.left and self.day == int(now // DAY) and now < self._refused

    def until(self, now: float) -> float:
        """When there will be some again."""
        return self._until if now < self._refused and now < self._until else self.plan.next_day(now)

    def wait(self, now: float) -> float:
        """Seconds until more is known; 0 if one may begin, or none will."""
        if not self.plan.holds(now) or self.is_spent(now):
            return 0.0
        today = int(now // DAY)
        if self.day != today:
            self.day, self.left, self._refused = today, 0, 0.0
        if self.left:
            return 0.0
        if not self._asked:
            self._asked = True
            smallest = min(number for number in self.plan.allowed(now) if number is not None)
            self._ask(self, today, max(1, min(MOST, smallest // PART)))
        return 0.0 if self.left or self.is_spent(now) else _SOON

    def take(self, now: float) -> None:
        """One begins."""
        if self.plan.holds(now):
            self.left = max(0, self.left - 1)
            self.used = now

    def refund(self, now: float) -> None:
        """One began, and nobody there has seen it."""
        if self.plan.holds(now) and self.day == int(now // DAY):
            self.left += 1

    def granted(self, day: int, count: int, now: float) -> None:
        """The tally gave some, or has none."""
        self._asked = False
        if day != self.day:
            return
        self.left += count
        self.used = now
        if not count:
            self._refused, self._until = now + AGAIN, self.plan.next_day(now)

    def refused(self, now: float) -> None:
        """The tally cannot be used just now."""
        self._asked = False
        self._refused = self._until = now + TROUBLE

    def reply(self, now: float) -> RemoteReply:
        """What those are told that wait."""
        total, per_site = self.plan.allowed(now)
        numbers = [f"{total} in all" if total is not None else ""]
        numbers.append(f"{per_site} to {self.site}" if per_site is not None else "")
        reply = REPLIES.reply("warming-up", source=self.source, numbers=", ".join(filter(None, numbers)))
        return RemoteReply.ours(reply)


class Budgets:
    """All of them.

    :param reactor: time and timers.
    :param tally: counts, for all workers.
    :param run_in_thread: runs what blocks.
    :ivar ready: told when lines that wait may go on; to be set.
    """

    log = Logger()

    def __init__(self, reactor: Any, tally: Tally, run_in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._reactor = reactor
        self._tally = tally
        self._run = run_in_thread
        self._known: dict[tuple[str, str], Budget] = {}
        self._sweep: Any = None
        self._busy: set[Deferred[None]] = set()
        self._stopped = False
        self.ready: Callable[[], None] = lambda: None

    def get(self, source: str, site: str, plan: Plan) -> Budget:
        """The budget of a source at a site."""
        found = self._known.get((source, site))
        if found is None:
            found = self._known[source, site] = Budget(source, site, plan, self._ask)
        found.plan = plan
        return found

    async def stop(self) -> None:
        """Give everything back."""
        self._stopped = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for budget in self._known.values():
            self._give_back(budget)
        await DeferredList(list(self._busy))

    def _ask(self, budget: Budget, day: int, count: int) -> None:
        if not self._stopped:
            self._do(self._lease(budget, day, count))

    async def _lease(self, budget: Budget, day: int, count: int) -> None:
        total, per_site = budget.plan.allowed(self._reactor.seconds())
        given = (budget.source, budget.site, day)
        try:
            found = await self._run(self._tally.lease, *given, count, total, per_site)
        except Exception:
            self.log.failure("It cannot be counted what {source} sends, so it waits", source=budget.source)
            budget.refused(self._reactor.seconds())
        else:
            budget.granted(day, found, self._reactor.seconds())
            if self._sweep is None and not self._stopped:
                self._sweep = self._reactor.callLater(UNUSED, self._look)
        if self._stopped:
            self._give_back(budget)
        else:
            self.ready()

    def _look(self) -> None:
        """Give back what nobody needs."""
        self._sweep = None
        now = self._reactor.seconds()
        for key, budget in list(self._known.items()):
            if now - budget.used >= UNUSED:
                self._give_back(budget)
                if now - budget.used >= DAY:
                    del self._known[key]
        if any(budget.left for budget in self._known.values()):
            self._sweep = self._reactor.callLater(UNUSED, self._look)

    def _give_back(self, budget: Budget) -> None:
        count, budget.left = budget.left, 0
        if count:
            self._do(self._given_back(budget, budget.day, count))

    async def _given_back(self, budget: Budget, day: int, count: int) -> None:
        try:
            await self._run(self._tally.give_back, budget.source, budget.site, day, count)
        except Exception:
            self.log.failure("{count} messages of {source} count as sent", count=count, source=budget.source)

    def _do(self, work: Any) -> None:
        def trouble(failure: Failure) -> None:
            self.log.failure("A budget is not what it should be", failure)

        doing = Deferred.fromCoroutine(work).addErrback(trouble)
        if not doing.called:
            self._busy.add(doing)
            doing.addBoth(lambda _: self._busy.discard(doing))
