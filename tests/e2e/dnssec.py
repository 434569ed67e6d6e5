"""A signed zone on NSD, an unsigned one beside it, and Unbound, which validates what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import dns.dnssec
import dns.message
import dns.query
import dns.rcode
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.process import Process
from tests.e2e.scenario import free_port, need_root, program, wait_for

_NSD = """\
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  chroot: ""
  zonesdir: "{place}"
  database: ""
  pidfile: "{place}/nsd.pid"
  xfrdfile: ""
  zonelistfile: "{place}/nsd.zones"
  xfrdir: "{place}"
  server-count: 1
remote-control:
  control-enable: no
"""
_UNBOUND = """\
server:
  interface: 127.0.0.1@{port}
  port: {port}
  username: ""
  chroot: ""
  directory: "{place}"
  pidfile: ""
  use-syslog: no
  do-ip6: no
  do-not-query-localhost: no
  module-config: "validator iterator"
  trust-anchor-file: "{place}/anchor"
  local-zone: "test." nodefault
  verbosity: 1
remote-control:
  control-enable: no
"""


class SignedDns:
    """Both servers, from zones as ``zone: (name type data, ...)``, names below the zone.

    :param place: a directory.
    :param signed: zones that are signed.
    :param unsigned: zones that are not.
    :param tampered: (name, type, data), put into a signed zone in place of what was signed.
    :ivar address: of the resolver, as ``dns.servers`` takes it.
    :raise SkipTest: if a server is not installed, or without root.
    """

    def __init__(
        self,
        place: Path,
        signed: Mapping[str, Sequence[str]],
        unsigned: Mapping[str, Sequence[str]],
        tampered: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        need_root("NSD and Unbound write to their own directories")
        nsd, unbound = program("nsd"), program("unbound")
        place.mkdir()
        authority, resolver = free_port(), free_port()
        self.address = f"127.0.0.1:{resolver}"
        anchors, zones, stubs = "", "", ""
        for name, lines in {**signed, **unsigned}.items():
            zone = dns.zone.from_text("\n".join(_complete(lines)), name, relativize=False)
            if name in signed:
                anchors += _sign(zone)
                for owner, kind, data in tampered:
                    rrset = dns.rdataset.from_text("IN", kind, 60, data)
                    if dns.name.from_text(owner).is_subdomain(zone.origin):
                        zone.replace_rdataset(dns.name.from_text(owner), rrset)
            (place / name).write_text(zone.to_text(relativize=False))
            zones += f'zone:\n  name: "{name}"\n  zonefile: "{name}"\n'
            stubs += f'stub-zone:\n  name: "{name}"\n  stub-addr: 127.0.0.1@{authority}\n'
        (place / "anchor").write_text(anchors)
        (place / "nsd.conf").write_text(_NSD.format(port=authority, place=place) + zones)
        (place / "unbound.conf").write_text(_UNBOUND.format(port=resolver, place=place) + stubs)
        self._nsd = Process([nsd, "-d", "-c", str(place / "nsd.conf")], cwd=place)
        self._unbound = Process([unbound, "-d", "-c", str(place / "unbound.conf")], cwd=place)
        query = dns.message.make_query(next(iter(signed)), "SOA")

        def answers() -> bool:
            try:
                reply = dns.query.udp(query, "127.0.0.1", port=resolver, timeout=1)
            except (OSError, dns.exception.DNSException):
                return False
            return reply.rcode() == dns.rcode.NOERROR and bool(reply.answer)

        try:
            wait_for(answers, "the zone cannot be resolved")
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self.output}") from None

    @property
    def output(self) -> str:
        """What both said."""
        return f"{self._nsd.output}\n{self._unbound.output}"

    def stop(self) -> None:
        """Stop both."""
        self._unbound.stop()
        self._nsd.stop()


def _complete(lines: Sequence[str]) -> list[str]:
    start = ["@ 60 IN SOA ns hostmaster 1 3600 600 86400 60", "@ 60 IN NS ns", "ns 60 IN A 127.0.0.1"]
    return [*start, *(f"{name} 60 IN {rest}" for name, rest in (line.split(" ", 1) for line in lines))]


def _sign(zone: dns.zone.Zone) -> str:
    """Sign a zone; its key, as a trust anchor."""
    key = ec.generate_private_key(ec.SECP256R1())
    dnskey = dns.dnssec.make_dnskey(key.public_key(), "ECDSAP256SHA256", flags=257)
    dns.dnssec.sign_zone(zone, keys=[(key, dnskey)], dnskey_ttl=60, lifetime=86400)
    assert zone.origin is not None
    return f"{zone.origin.to_text()} 60 IN DNSKEY {dnskey.to_text()}\n"
