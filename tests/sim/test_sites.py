"""Each site within its limits, and the sick ones no trouble for the healthy ones.

``MTA_SIM`` is for how many recipients; ``make sim`` makes it a million.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.sim.sites import NOW, Simulation

RECIPIENTS = int(os.environ.get("MTA_SIM", "4000"))


class SitesSimulation(SynchronousTestCase):
    def simulate(self, seed: int, recipients: int = RECIPIENTS, sick: bool = True) -> Simulation:
        simulation = Simulation(seed, recipients, sick)
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
