"""Each site within its limits, and the sick ones no trouble for the healthy ones.

``MTA_SIM`` is for how many recipients; ``make sim`` makes it a million.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Egress
from mta.config.shaping_settings import WarmUp
from tests.sim.sites import NOW, Simulation

RECIPIENTS = int(os.environ.get("MTA_SIM", "4000"))


class SitesSimulation(SynchronousTestCase):
    def simulate(
        self,
        seed: int,
        recipients: int = RECIPIENTS,
        sick: bool = True,
        sources: Sequence[Egress] = (),
    ) -> Simulation:
        simulation = Simulation(seed, recipients, sick, sources)
        simulation.run()
        self.assertEqual({}, simulation.spool.messages, f"seed {seed}: somebody waits for ever")
        self.assertEqual(simulation.expected, sum(simulation.ended.values()), f"seed {seed}")
        self.assertEqual([], [site.number for site in simulation.sites if site.excess], f"seed {seed}")
        return simulation

    def test_the_sick_delay_nobody(self) -> None:
        """Every recipient ends, no site is given too much, and the healthy ones are as fast as alone."""
        together, alone = self.simulate(1), self.simulate(1, sick=False)
        print(
            f"\n{RECIPIENTS} recipients, healthy sites: {together.healthy():.1f} s with sick ones, "
            f"{alone.healthy():.1f} s without"
        )
        self.assertLess(together.healthy(), alone.healthy() * 1.05 + 1.0)

    def test_same_seed_same_trace(self) -> None:
        first = self.simulate(3, 1000).trace()
        self.assertEqual(first, self.simulate(3, 1000).trace())
        self.assertNotEqual(first, self.simulate(4, 1000).trace())

    def test_a_campaign_delays_nobody(self) -> None:
        """Whoever writes to a provider while a mass mailing is under way to it waits for a turn or two."""
        simulation = Simulation(5, 0)
        site = next(site for site in simulation.sites if not site.sick and site.rate == (20, 1.0))
        for number in range(5000):
            simulation.send(f"u{number}@{site.domains[number % len(site.domains)]}", "mass")
        for second in range(60):
            simulation.clock.callLater(1.0 + second, simulation.send, f"person{second}@{site.domains[0]}", "")
        simulation.run()
        self.assertEqual({}, simulation.spool.messages)
        delays = sorted(simulation.delays.values())
        took = simulation.ends[site.number] - NOW
        print(f"\nbeside a campaign of {took:.0f} s: median {delays[30]:.2f} s, at most {delays[-1]:.2f} s")
        self.assertLess(delays[-1], 3.0)

    def test_sources(self) -> None:
        """No source above what a site allows each, and no new one above its plan of the day."""
        today = datetime.fromtimestamp(NOW, UTC).date()
        plan = WarmUp(start=today, total=[150, 400, 800], factor=2.0)
        sources = [Egress(name=name, ipv4=f"192.0.2.{number}") for number, name in enumerate("abc", 1)]
        sources.append(Egress(name="new", ipv4="192.0.2.4", warm_up=plan))
        simulation = self.simulate(6, sources=sources)
        days = simulation.providers.days
        first = int(NOW // 86400)
        sent = Counter[str]()
        for (_, name), count in days.items():
            sent[name] += count
        self.assertEqual({"a", "b", "c", "new"}, set(sent))
        for day, most in ((first, 150), (first + 1, 400)):
            self.assertLessEqual(days[day, "new"], most)
        self.assertGreater(days[first, "new"], 100)
        self.assertLess(max(sent[name] for name in "abc"), 1.3 * min(sent[name] for name in "abc"))
        self.assertEqual(simulation.trace(), self.simulate(6, sources=sources).trace())
