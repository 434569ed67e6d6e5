"""Each site within its limits, and the sick ones no trouble for the healthy ones.

``MTA_SIM`` is for how many recipients; ``make sim`` makes it a million.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.sim.sites import Simulation

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
