"""Which of IPv6 and IPv4 comes first."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from mta.deliver.families import PAUSE, Families


class FamiliesTests(SynchronousTestCase):
    """What connections teach."""

    def setUp(self) -> None:
        self.families = Families()

    def fail_all(self, *numbers: int, problem: int | None = None, now: float = 100.0) -> bool:
        for number in numbers:
            self.families.failed(f"2001:db8::{number}", problem, now)
        return self.families.avoid(now)

    def test_first_until_it_fails(self) -> None:
        """Silence of one host is that host's; of three, ours."""
        self.assertFalse(self.families.avoid(100.0))
        self.assertFalse(self.fail_all(1, 2, 1, 2))
        self.assertTrue(self.fail_all(3))

    def test_no_route(self) -> None:
        """The kernel knows at once."""
        for problem in (errno.ENETUNREACH, errno.EADDRNOTAVAIL):
            self.families = Families()
            self.assertTrue(self.fail_all(1, problem=problem))

    def test_who_refuses_is_there(self) -> None:
        self.assertFalse(self.fail_all(1, 2, 3, 4, problem=errno.ECONNREFUSED))

    def test_success(self) -> None:
        """One host that is reached: it works."""
        self.fail_all(1, 2)
        self.families.reached("2001:db8::9")
        self.assertFalse(self.fail_all(3, 4))
        self.fail_all(5)
        self.assertTrue(self.families.avoid(100.0))
        self.families.reached("192.0.2.1")
        self.assertTrue(self.families.avoid(100.0))
        self.families.reached("2001:db8::9")
        self.assertFalse(self.families.avoid(100.0))

    def test_again_after_a_while(self) -> None:
        """After the pause it is tried; one more failure begins the next."""
        self.fail_all(1, 2, 3)
        later = 100.0 + PAUSE
        self.assertFalse(self.families.avoid(later))
        self.assertTrue(self.fail_all(9, now=later))

    def test_others_do_not_count(self) -> None:
        for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "::1", "/run/lmtp"):
            self.families.failed(address, errno.ENETUNREACH, 100.0)
        self.assertFalse(self.families.avoid(100.0))
