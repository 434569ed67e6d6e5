"""Which TLS is demanded for a next hop: what ``[[tls_policy]]`` says; pure.

Of several tables that fit, the last one counts.  They are about next hops: the domain of
the recipient where its MX records are looked up, or else the host that the configuration
names.  A next hop that none fits is left to ``relay.tls``.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from mta.config.settings import TlsPolicy
from mta.model.tls_demand import TlsDemand
from mta.route.domain_name import ascii_domain
from mta.route.next_hop import parse_next_hop


class TlsDemands:
    """See the module.

    :param policies: in the order of the file.
    """

    def __init__(self, policies: Sequence[TlsPolicy] = ()) -> None:
        self.use(policies)

    def use(self, policies: Sequence[TlsPolicy]) -> None:
        """Go by these from now on."""
        self._known = [
            (pattern, TlsDemand(policy.demand, f"tls_policy for {pattern}", tuple(policy.mx)))
            for policy in reversed(policies)
            for pattern in policy.domain
        ]

    def demand(self, next_hop: str) -> TlsDemand | None:
        """The demand; ``None``: what the transport's own settings say."""
        if not self._known:
            return None
        try:
            name = ascii_domain(parse_next_hop(next_hop).host)
        except ValueError:
            return None
        return next((demand for pattern, demand in self._known if fnmatchcase(name, pattern)), None)
