"""Whose turn it is: classes by weight, senders in turn, each one's oldest first."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.model.envelope import Client, Envelope
from mta.model.message import Addressee, InlineContent, Message
from mta.queue.lanes import Lanes, flow_of
from mta.queue.window import Entry, Job


def job(name: str, flow: str = "a", hop: str = "x.test", priority: int = 0, octets: int = 10) -> Job:
    attributes: dict[str, Any] = {"campaign": flow}
    if priority:
        attributes["priority"] = priority
    to = Addressee(0, f"u@{hop}", "", "relay", hop)
    content = InlineContent(b"")
    message = Message(name, Envelope("s@from.test"), Client("s"), b"", content, [to], 0.0, 1.0, attributes)
    nowhere: Any = None
    return Job(Entry(message, True, octets), nowhere, [to], "", octets)


def names(lanes: Lanes, count: int = 10**6) -> str:
    return "".join(lanes.take().entry.message.id for _ in range(min(count, len(lanes))))


class LanesTests(SynchronousTestCase):
    def lanes(self, *jobs: Job) -> Lanes:
        lanes = Lanes()
        for one in jobs:
            lanes.put(one)
        return lanes

    def test_one_sender(self) -> None:
        self.assertEqual("abc", names(self.lanes(job("a"), job("b"), job("c"))))

    def test_a_campaign_delays_nobody(self) -> None:
        """Whoever comes behind a thousand of another's waits for one turn."""
        lanes = self.lanes(*(job("m", "mass") for _ in range(1000)), job("p", "person"), job("q", "person"))
        self.assertEqual("mpmqmm", names(lanes, 6))

    def test_domains_of_one_site_take_turns(self) -> None:
        lanes = self.lanes(*(job("a", hop="a.test") for _ in range(9)), job("b", hop="b.test"))
        self.assertEqual("ab", names(lanes, 2))

    def test_classes(self) -> None:
        """High before normal before low by four to one, and none of them starves."""
        many = [
            job(name, priority=priority)
            for name, priority in (("h", 4), ("n", 0), ("l", -9))
            for _ in range(100)
        ]
        first = names(self.lanes(*many), 63)
        self.assertEqual([48, 12, 3], [first.count(name) for name in "hnl"])
        self.assertEqual("h", first[0])

    def test_what_is_given_back(self) -> None:
        """The youngest of the longest lane, of the lowest class that has any."""
        lanes = self.lanes(
            job("a"), job("b"), job("c", "other"), job("d", priority=-1), job("e", priority=-1)
        )
        self.assertEqual("edba", "".join(lanes.drop_last().entry.message.id for _ in range(4)))
        self.assertEqual((1, 10), (len(lanes), lanes.octets))

    def test_nothing_waits(self) -> None:
        self.assertRaises(IndexError, Lanes().take)
        self.assertRaises(IndexError, Lanes().drop_last)

    def test_flow(self) -> None:
        """Tenant and campaign, else the account, else the sender's domain."""
        message = job("a").entry.message
        message.attributes = {"tenant": "t", "campaign": "c"}
        self.assertEqual("t\nc", flow_of(message))
        message.attributes = {}
        self.assertEqual("from.test", flow_of(message))
        message.client = Client("s", account="ann")
        self.assertEqual("ann", flow_of(message))

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from((-1, 0, 1)), st.sampled_from("xyz"))))
    def test_nothing_is_lost(self, drawn: list[tuple[str, int, str]]) -> None:
        """Whatever is put and withdrawn, the rest comes out once, each lane in its order."""
        jobs = [
            job(f"{number:03}", flow, f"{hop}.test", priority)
            for number, (flow, priority, hop) in enumerate(drawn)
        ]
        lanes = self.lanes(*jobs)
        for one in jobs[::3]:
            self.assertTrue(lanes.withdraw(one))
            self.assertFalse(lanes.withdraw(one))
        left = [one for one in jobs if one not in jobs[::3]]
        self.assertEqual(len(left), len(list(lanes)))
        taken = [lanes.take() for _ in range(len(lanes))]
        self.assertCountEqual(left, taken)
        self.assertEqual((0, 0), (len(lanes), lanes.octets))
        by_lane: dict[Any, list[str]] = {}
        for one in taken:
            facts = one.entry.message
            key = (flow_of(facts), facts.attributes.get("priority"), one.addressees[0].next_hop)
            by_lane.setdefault(key, []).append(facts.id)
        self.assertTrue(all(ids == sorted(ids) for ids in by_lane.values()))
