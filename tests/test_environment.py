"""What parts need of the process."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.loading import load
from mta.environment import Environment


class EnvironmentTests(SynchronousTestCase):
    def test_trusted(self) -> None:
        """Of whom the word counts that an answer is validated: this machine, and `dns.trusted`."""
        path = Path(self.mktemp())
        path.write_text('[dns]\nservers = ["192.0.2.53"]\ntrusted = ["192.0.2.0/28", "2001:db8::/64"]\n')
        environment = Environment(MemoryReactorClock(), load(path), remember=False)
        trusted = environment.resolver._trusted
        for address, believed in (
            ("127.0.0.53", True),
            ("::1", True),
            ("192.0.2.15", True),
            ("192.0.2.53", False),
            ("2001:db8::53", True),
            ("fe80::1%eth0", False),
        ):
            self.assertEqual(believed, trusted(address), address)
