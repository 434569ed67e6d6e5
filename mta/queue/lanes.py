"""Who is next at a site: by priority, and among equals by turns between senders; pure.

Flows (campaigns, tenants, accounts, or senders' domains) take turns, and within a flow the
next hops do; jobs of one flow to one next hop stand in a lane, the oldest first.  So a
campaign of a million leaves everybody else's message no more than one turn behind.

Of three classes, high is served four times as often as normal, and normal four times
as often as low, as long as each has something: nobody starves, whatever the others send.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mta.model.message import Message

if TYPE_CHECKING:
    from mta.queue.window import Job

#: Turns of each class: high, normal, low.
WEIGHTS = (16, 4, 1)


def class_of(message: Message) -> int:
    """0 for high priority, 1 for normal, 2 for low (the sign of RFC 6710's ``MT-PRIORITY``)."""
    priority = message.attributes.get("priority", 0) if message.attributes else 0
    return 1 if not priority else 0 if priority > 0 else 2


def flow_of(message: Message) -> str:
    """Whose message it is, as far as taking turns goes."""
    attributes = message.attributes
    if attributes:
        tenant, campaign = attributes.get("tenant", ""), attributes.get("campaign", "")
        if tenant or campaign:
            return f"{tenant}\n{campaign}"
    account = message.client.account
    return account or message.envelope.reverse_path.rpartition("@")[2]


class _Flow:
    """What one sender has waiting.

    :ivar lanes: by next hop, in the order of their turns.
    :ivar count: jobs in all of them.
    """

    __slots__ = ("count", "lanes")

    def __init__(self) -> None:
        self.lanes: dict[str, deque[Job]] = {}
        self.count = 0


class Lanes:
    """The jobs that wait at one site.

    :ivar octets: memory of what waits.
    """

    __slots__ = ("_chosen", "_classes", "_count", "_credit", "_next", "octets")

    def __init__(self) -> None:
        # By class: flows in the order of their turns.
        self._classes: tuple[dict[str, _Flow], ...] = ({}, {}, {})
        self._credit = [0, 0, 0]
        self._count = 0
        # The class whose turn it is, once that was asked; -1: not yet.
        self._next = -1
        # And the flow and next hop of that class, where they are not the first.
        self._chosen: tuple[str, str] | None = None
        self.octets = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Job]:
        for flows in self._classes:
            for flow in flows.values():
                for lane in flow.lanes.values():
                    yield from lane

    def put(self, job: Job) -> None:
        """Let a job wait."""
        message = job.entry.message
        flows, name, hop = self._classes[class_of(message)], flow_of(message), job.addressees[0].next_hop
        flow = flows.get(name)
        if flow is None:
            flow = flows[name] = _Flow()
        lane = flow.lanes.get(hop)
        if lane is None:
            lane = flow.lanes[hop] = deque()
        lane.append(job)
        flow.count += 1
        self._count += 1
        self.octets += job.octets

    def choose(self, wait: Callable[[Job], float]) -> float:
        """Give the turn to the first that need not wait for a rate, passing over those that must.

        :param wait: seconds for which a job must wait.
        :return: 0, or seconds until the first of them may.
        """
        shortest = float("inf")
        first = self._turn()
        for number in (first, *(other for other in range(len(WEIGHTS)) if other != first)):
            for name, flow in self._classes[number].items():
                for hop, lane in flow.lanes.items():
                    seconds = wait(lane[0])
                    if seconds <= 0.0:
                        self._next, self._chosen = number, (name, hop)
                        return 0.0
                    shortest = min(shortest, seconds)
        return shortest

    def take(self) -> Job:
        """The job whose turn it is.

        :raise IndexError: if none waits.
        """
        flows = self._classes[self._turn()]
        name, hop = self._place(flows)
        self._next, self._chosen = -1, None
        flow = flows.pop(name)
        lane = flow.lanes.pop(hop)
        job = lane.popleft()
        # Both to the end of their lines.
        if lane:
            flow.lanes[hop] = lane
        flow.count -= 1
        if flow.count:
            flows[name] = flow
        self._gone(job)
        return job

    def drop_last(self) -> Job:
        """Take out the youngest job of the longest flow of the lowest class.

        :raise IndexError: if none waits.
        """
        job = self.last
        self.withdraw(job)
        return job

    @property
    def last(self) -> Job:
        """What :meth:`drop_last` would take.

        :raise IndexError: if none waits.
        """
        for flows in reversed(self._classes):
            if flows:
                longest = max(flows.values(), key=lambda flow: flow.count)
                return max(longest.lanes.values(), key=len)[-1]
        raise IndexError("nothing waits")

    def gives_way(self, message: Message) -> bool:
        """Whether a sender has so much less waiting than another that he should have a place."""
        flow = self._classes[class_of(message)].get(flow_of(message))
        own = flow.count if flow is not None else 0
        return any(flow.count > own + 1 for flows in self._classes for flow in flows.values())

    def withdraw(self, job: Job) -> bool:
        """Take a job out; ``False`` if it does not wait here."""
        message = job.entry.message
        flows, name, hop = self._classes[class_of(message)], flow_of(message), job.addressees[0].next_hop
        flow = flows.get(name)
        lane = flow.lanes.get(hop) if flow is not None else None
        if flow is None or lane is None:
            return False
        if lane[-1] is job:  # As a rule: nobody has to look through the whole lane.
            lane.pop()
        elif job in lane:
            lane.remove(job)
        else:
            return False
        if not lane:
            del flow.lanes[hop]
        flow.count -= 1
        if not flow.count:
            del flows[name]
        self._gone(job)
        return True

    def _gone(self, job: Job) -> None:
        self._count -= 1
        self.octets -= job.octets

    def _turn(self) -> int:
        """Which class is next: smooth weighted turns among those that have something."""
        if self._next < 0 or not self._classes[self._next]:
            self._next, self._chosen = self._class(), None
        return self._next

    def _place(self, flows: dict[str, _Flow]) -> tuple[str, str]:
        """The flow and next hop in a class whose turn it is."""
        if self._chosen is not None:
            name, hop = self._chosen
            if name in flows and hop in flows[name].lanes:
                return name, hop
        name = next(iter(flows))
        return name, next(iter(flows[name].lanes))

    def _class(self) -> int:
        filled = [number for number, flows in enumerate(self._classes) if flows]
        if len(filled) == 1:
            return filled[0]
        if not filled:
            raise IndexError("nothing waits")
        credit = self._credit
        for number in filled:
            credit[number] += WEIGHTS[number]
        chosen = max(filled, key=lambda number: credit[number])
        credit[chosen] -= sum(WEIGHTS[number] for number in filled)
        return chosen
