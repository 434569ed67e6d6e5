"""The reverse-path that a copy gets on its way out; pure.

It is decided when a message is accepted, and kept with the addressee: each attempt has the same.
Our own notifications about the copy go to the sender of the message as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mta.feedback.srs import rewritten
from mta.feedback.token import make_token
from mta.interfaces import Answer, settle
from mta.model.address import MAX_LOCAL_PART, Address, AddressError, domain_of, parse_address


class ReturnPaths:
    """Gives reverse-paths.

    :param verp: sender domains whose mail gets one for each recipient, each with the domain of
        that.
    :param srs: the domain of senders that are rewritten; ``""``: none is.
    :param keys: the first one signs.
    :param is_local: whether a domain is ours.
    :param clock: ``seconds()`` tells the time.
    """

    def __init__(
        self,
        verp: Mapping[str, str],
        srs: str,
        keys: Sequence[bytes],
        is_local: Callable[[str], Answer[bool]],
        clock: Any,
    ) -> None:
        self._verp = dict(verp)
        self._srs = srs
        self._key = keys[0]
        self._is_local = is_local
        self._clock = clock

    async def return_path(self, message: str, sender: str, original: str, address: str) -> str | None:
        """The reverse-path of one copy; ``None`` if the message's own is right.

        :param message: queue id.
        :param sender: the message's reverse-path.
        :param original: the forward-path that the client gave.
        :param address: where the copy goes.
        :raise TemporarilyUnavailable: if nobody can tell whether a domain is ours.
        """
        domain = domain_of(sender)
        ours = self._verp.get(domain)
        if not sender or (ours is None and not self._srs):
            return None
        if await settle(self._is_local(domain_of(address))):
            return None  # What happens to it here is known without any bounce.
        if ours is not None:
            return f"{make_token(self._key, 'bounce', message, address)}@{ours}"
        is_forwarded = await settle(self._is_local(domain_of(original)))
        if not is_forwarded or await settle(self._is_local(domain)):
            return None
        return self._forwarded(message, sender, address)

    def _forwarded(self, message: str, sender: str, recipient: str) -> str | None:
        try:
            parsed = parse_address(sender)
        except AddressError:
            return None
        local = rewritten(self._key, parsed.local, parsed.domain, self._clock.seconds())
        if len(local.encode("utf-8", "replace")) > MAX_LOCAL_PART:
            # Senders of newsletters have long ones; the journal knows who it was.
            local = make_token(self._key, "return", message, recipient)
        return str(Address(local, self._srs))
