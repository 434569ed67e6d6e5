"""Signatures of a message, and the seam of who makes them."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from zope.interface import Interface

from mta.model.facts import Facts
from mta.model.message import Content


@dataclass(frozen=True, slots=True)
class Signed:
    """Signatures of one message.

    :ivar fields: header fields for its top, each ended by CRLF.
    :ivar evidence: who has signed, or why nobody has, for the journal; JSON values.
    """

    fields: bytes = b""
    evidence: dict[str, Any] = field(default_factory=dict)


#: Of what nobody signs.
UNSIGNED = Signed()


class ISigner(Interface):
    """Signs messages; ``mta.dkim`` provides it."""

    def watch(trusted: bool) -> Any:
        """Something that is to see the content of a message while it is written.

        :param trusted: whether its client may send to anywhere.
        :return: its ``update`` takes one block after the other, in any thread; ``None``: nothing
            is to.
        """

    def sign(
        facts: Facts, above: bytes, content: Content, tenant: str, watched: Any, now: float
    ) -> Signed | Awaitable[Signed]:
        """Sign a message that is accepted, or seal one that is passed on.

        :param facts: as the last judge has seen it.
        :param above: fields that stand above the header section of ``facts``.
        :param content: the message; its body is that of ``watched``.
        :param tenant: whose it is.
        :param watched: what :meth:`watch` gave, if it has seen this content, else ``None``.
        :param now: seconds since 1970.
        :raise TemporarilyUnavailable: if it cannot be told whose address it is.
        """

    def own(data: bytes, now: float) -> bytes | Awaitable[bytes]:
        """The fields for the top of a message that we have written ourselves, such as a bounce."""
