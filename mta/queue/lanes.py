"""Who is next at a site: by priority, and among equals by turns between senders; pure.

Jobs of one *flow* (a campaign, a tenant, an account, or a sender's domain) to one
next hop stand in one lane, the oldest first.  Lanes of the same class take turns, so
a campaign of a million leaves everybody else's message no more than one turn behind.

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


class Lanes:
    """The jobs that wait at one site.

    :ivar octets: memory of what waits.
    """

    __slots__ = ("_classes", "_count", "_credit", "_lane", "_next", "octets")

    def __init__(self) -> None:
        # By class: lanes in the order of their turns; the key is (flow, next hop).
        self._classes: tuple[dict[tuple[str, str], deque[Job]], ...] = ({}, {}, {})
        self._credit = [0, 0, 0]
        self._count = 0
        # The class whose turn it is, once that was asked; -1: not yet.
        self._next = -1
        # And the lane of that class, where it is not the first.
        self._lane: tuple[str, str] | None = None
        self.octets = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Job]:
        for lanes in self._classes:
            for lane in lanes.values():
                yield from lane

    def put(self, job: Job) -> None:
        """Let a job wait."""
        message = job.entry.message
        lanes = self._classes[class_of(message)]
        key = flow_of(message), job.addressees[0].next_hop
        lane = lanes.get(key)
        if lane is None:
            lanes[key] = lane = deque()
        lane.append(job)
        self._count += 1
        self.octets += job.octets

    def peek(self) -> Job:
        """The job whose turn it is; it stays.

        :raise IndexError: if none waits.
        """
        lanes = self._classes[self._turn()]
        return lanes[self._key(lanes)][0]

    def choose(self, wait: Callable[[Job], float]) -> float:
        """Give the turn to the first that need not wait for a rate, passing over those that must.

        :param wait: seconds for which a job must wait.
        :return: 0, or seconds until the first of them may.
        """
        shortest = float("inf")
        first = self._turn()
        for number in (first, *(other for other in range(len(WEIGHTS)) if other != first)):
            for key, lane in self._classes[number].items():
                seconds = wait(lane[0])
                if seconds <= 0.0:
                    self._next, self._lane = number, key
                    return 0.0
                shortest = min(shortest, seconds)
        return shortest

    def take(self) -> Job:
        """The job whose turn it is.

        :raise IndexError: if none waits.
        """
        lanes = self._classes[self._turn()]
        key = self._key(lanes)
        self._next, self._lane = -1, None
        lane = lanes.pop(key)
        job = lane.popleft()
        if lane:
            lanes[key] = lane  # To the end of the line.
        self._gone(job)
        return job

    def drop_last(self) -> Job:
        """Take out the youngest job of the longest lane of the lowest class.

        :raise IndexError: if none waits.
        """
        job, key, lanes = self._last()
        lane = lanes[key]
        lane.pop()
        if not lane:
            del lanes[key]
        self._gone(job)
        return job

    @property
    def last(self) -> Job:
        """What :meth:`drop_last` would take."""
        return self._last()[0]

    def has_lane(self, message: Message, next_hop: str) -> bool:
        """Whether something of the same flow waits for the same next hop."""
        return (flow_of(message), next_hop) in self._classes[class_of(message)]

    @property
    def is_crowded(self) -> bool:
        """Whether a lane has more than one, so that its youngest may make way for another flow."""
        return any(len(lane) > 1 for lanes in self._classes for lane in lanes.values())

    def withdraw(self, job: Job) -> bool:
        """Take a job out; ``False`` if it does not wait here."""
        message = job.entry.message
        lanes = self._classes[class_of(message)]
        key = flow_of(message), job.addressees[0].next_hop
        lane = lanes.get(key)
        if lane is None or job not in lane:
            return False
        lane.remove(job)
        if not lane:
            del lanes[key]
        self._gone(job)
        return True

    def _gone(self, job: Job) -> None:
        self._count -= 1
        self.octets -= job.octets

    def _last(self) -> tuple[Job, tuple[str, str], dict[tuple[str, str], deque[Job]]]:
        for lanes in reversed(self._classes):
            if lanes:
                key = max(lanes, key=lambda key: len(lanes[key]))
                return lanes[key][-1], key, lanes
        raise IndexError("nothing waits")

    def _turn(self) -> int:
        """Which class is next: smooth weighted turns among those that have something."""
        if self._next < 0 or not self._classes[self._next]:
            self._next, self._lane = self._class(), None
        return self._next

    def _key(self, lanes: dict[tuple[str, str], deque[Job]]) -> tuple[str, str]:
        lane = self._lane
        return lane if lane is not None and lane in lanes else next(iter(lanes))

    def _class(self) -> int:
        filled = [number for number, lanes in enumerate(self._classes) if lanes]
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
