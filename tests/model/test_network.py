"""Which addresses are of the public internet."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from mta.model.network import is_public


class PublicTests(SynchronousTestCase):
    def test_public(self) -> None:
        for address in ("8.8.8.8", "2620:fe::fe", "::ffff:8.8.8.8", "2002:808:808::", "64:ff9b::808:808"):
            self.assertTrue(is_public(address), address)

    def test_private(self) -> None:
        """Also where an address of IPv6 leads to one of IPv4, and what is no address at all."""
        for address in (
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.1.1",
            "::1",
            "::",
            "fe80::1",
            "fe80::1%eth0",
            "fd00::1",
            "ff0e::1",
            "::ffff:127.0.0.1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a00:1",
            "2001:0:0:0:0:0:f5ff:fffe",
            "localhost",
            "",
        ):
            self.assertFalse(is_public(address), address)

    def test_besides(self) -> None:
        networks = [ip_network("127.0.0.0/8")]
        self.assertTrue(is_public("127.0.0.1", networks))
        self.assertTrue(is_public("::ffff:127.0.0.1", networks))
        self.assertFalse(is_public("10.0.0.1", networks))
