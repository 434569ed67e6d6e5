"""The seam to the DNS: what it says of a name, and whether that is proven."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple

from zope.interface import Interface


class Validated(NamedTuple):
    """Records of one type.

    :ivar values: the records.
    :ivar secure: whether a trusted server has validated them (DNSSEC), and all CNAMEs that led there.
    :ivar name: the end of these CNAMEs, in its ASCII form.
    """

    values: Sequence[Any]
    secure: bool
    name: str


class IResolver(Interface):
    """Asks the DNS without blocking."""

    def mx(domain: str) -> Awaitable[Sequence[tuple[int, str]]]:
        """MX records as (preference, host).

        :return: empty if the domain exists without any; ``[(0, "")]`` is null MX.
        :raise NoSuchDomain: NXDOMAIN.
        :raise TemporarilyUnavailable: SERVFAIL, timeout.
        """

    def addresses(host: str) -> Awaitable[Sequence[str]]:
        """AAAA and A records, in the order in which to try them; errors as for ``mx``."""

    def reverse(address: str) -> Awaitable[Sequence[str]]:
        """PTR names of an IP address; errors as for ``mx``."""

    def text(name: str) -> Awaitable[Sequence[bytes]]:
        """TXT records, strings of one record joined; errors as for ``mx``."""

    def validated(name: str, kind: str) -> Awaitable[Validated]:
        """Records of a type, and whether a trusted server has validated them (DNSSEC).

        :param name: of any characters.
        :param kind: such as ``MX``; ``TLSA`` as (usage, selector, matching type, data).
        :return: without values if there are none, or no such name.
        :raise NoSuchDomain: if no name in the DNS can be spelt so.
        :raise TemporarilyUnavailable: SERVFAIL, timeout.
        """
