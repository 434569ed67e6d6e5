"""Many addressees put off and called back, in a real database."""

from __future__ import annotations

from typing import Any

from mta.model.message import Message
from mta.model.rest import Rest
from mta.queue.chores import PAGE, SPREAD
from tests.queue.spooling import NOW, SpoolCase, message

WORDS = "451 4.4.1 Not tried: refused"
SICK, WELL = ("relay", "sick.test"), ("relay", "well.test")


class ChoreTests(SpoolCase):
    """Put off on some ways, and called back."""

    async def put(self, spool: Any, way: tuple[str, str], count: int = 1, due: float = NOW) -> Message:
        """Keep a message with so many addressees, all going this way."""
        one = message(spool.new_id(), *(f"u{number}@{way[1]}" for number in range(count)), due=due)
        for addressee in one.addressees:
            addressee.transport, addressee.next_hop = way
        await spool.admit(one, ())
        return one

    def dues(self, way: tuple[str, str]) -> list[float]:
        """When those of a way are due."""
        return [
            due
            for (due,) in self.rows(
                f"SELECT due FROM addressees WHERE transport = '{way[0]}' AND next_hop = '{way[1]}'"
                " ORDER BY due, message, number"
            )
        ]

    async def test_only_those_that_rest(self) -> None:
        """Those due before the rest is over, of its ways, in their order, told why; no attempt."""
        spool = await self.open()
        first, second = await self.put(spool, SICK, due=NOW - 5), await self.put(spool, SICK)
        probe, later = await self.put(spool, SICK, due=NOW + 61), await self.put(spool, SICK, due=NOW + 999)
        await self.put(spool, WELL)
        await self.put(spool, ("lmtp", "sick.test"))
        rests = {SICK: Rest(NOW + 60, NOW + 120, WORDS)}
        self.assertEqual(2, await spool.put_off(rests, NOW, 0.0))
        claimed = await spool.claim(NOW + 60, 10, 10**6, set())
        self.assertEqual(
            ["relay well.test", "lmtp sick.test"],
            [f"{one.addressees[0].transport} {one.addressees[0].next_hop}" for one in claimed],
        )
        found = await spool.claim(NOW + 1000, 10, 10**6, {one.id for one in claimed})
        self.assertEqual([probe.id, first.id, second.id, later.id], [one.id for one in found])
        self.assertEqual(
            [("", 0), (WORDS, 0), (WORDS, 0), ("", 0)],
            [(one.addressees[0].last_reply, one.addressees[0].attempts) for one in found],
        )
        for one in found[1:3]:
            self.assertTrue(NOW + 120 < one.addressees[0].due < NOW + 120 + SPREAD)

    async def test_never_beyond_its_time(self) -> None:
        """It comes when its sender is to be told, and when it expires."""
        spool = await self.open()
        await self.put(spool, SICK)
        rests = {SICK: Rest(NOW + 1e6, NOW + 1e6, WORDS)}
        await spool.put_off(rests, NOW, 3600.0)
        self.assertEqual([NOW + 3600], self.dues(SICK))
        await spool.put_off(rests, NOW + 3600, 3600.0)
        self.assertEqual([NOW + 86400], self.dues(SICK))

    async def test_more_than_a_page(self) -> None:
        """Nobody is passed over, nobody changed twice, and held ones stay."""
        spool = await self.open()
        count = PAGE + 500
        await self.put(spool, SICK, count)
        await self.put(spool, WELL, count)
        held = message(spool.new_id(), due=NOW, state="held")
        held.addressees[0].transport, held.addressees[0].next_hop = SICK
        await spool.admit(held, ())
        rests = {SICK: Rest(NOW + 60, NOW + 120, WORDS)}
        self.assertEqual(count, await spool.put_off(rests, NOW, 0.0))
        self.assertEqual(0, await spool.put_off(rests, NOW, 0.0))
        self.assertEqual([NOW] * count, self.dues(WELL))
        self.assertEqual(count, await spool.call_back(rests, NOW + 70, 0.01))
        dues = self.dues(SICK)
        self.assertEqual(NOW, dues[0])
        self.assertEqual(NOW + 70, dues[1])
        self.assertAlmostEqual(NOW + 70 + 0.01 * (count - 1), dues[-1], 3)

    async def test_found_by_their_reply(self) -> None:
        """A process that has begun anew finds who was put off, by what they were told."""
        spool = await self.open()
        await self.put(spool, SICK)
        await self.put(spool, WELL)
        await spool.put_off({SICK: Rest(NOW + 60, NOW + 120, "100% of _it_ waits")}, NOW, 0.0)
        [(way, words, last)] = await spool.waiting_with("100% of")
        self.assertEqual((SICK, "100% of _it_ waits", max(self.dues(SICK))), (way, words, last))
        self.assertEqual([], await spool.waiting_with("100_ of"))

    async def test_called_back_are_only_those(self) -> None:
        """Whoever waits for another reason, goes on waiting."""
        spool = await self.open()
        await self.put(spool, SICK)
        await self.put(spool, SICK, due=NOW + 130)
        rests = {SICK: Rest(NOW + 60, NOW + 120, WORDS)}
        await spool.put_off(rests, NOW, 0.0)
        self.assertEqual(0, await spool.call_back({SICK: Rest(NOW, NOW + 120, "others")}, NOW, 1.0))
        self.assertEqual(1, await spool.call_back(rests, NOW + 10, 1.0))
        self.assertEqual([NOW + 10, NOW + 130], self.dues(SICK))
