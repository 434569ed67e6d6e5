"""From a recipient to its next hop.

:class:`~mta.route.routers.Routers` asks routers in order.  The
:class:`~mta.route.domains.DomainRouter` takes the domains that are ours:
:mod:`~mta.route.expansion` leads an address through aliases
(:mod:`~mta.route.aliases`, :mod:`~mta.route.alias_syntax`), the directory and
forwards, and ends at Maildirs (:mod:`~mta.route.maildir_path`), programs, or
addresses elsewhere; those get their way from
:class:`~mta.route.outbound.OutboundRouter`.

When a message is to go out, :class:`~mta.route.exchangers.Exchangers` finds
the hosts behind the next hop (:mod:`~mta.route.next_hop`) and asks
:class:`~mta.route.resolver.Resolver`, which is three layers:
:mod:`~mta.route.dns_message` reads and writes octets,
:mod:`~mta.route.dns_exchange` carries them, :mod:`~mta.route.cache` remembers.

Everything but ``dns_exchange`` works without a network; each router and
``Exchangers`` have a ``trace`` that tells in sentences what was found.
"""
