"""How many sessions there are, in all and from each client, and who is one too many."""

from __future__ import annotations

from collections.abc import Callable
from socket import AF_INET6, inet_pton

from mta.config.settings import Limits
from mta.model.catalogue import REPLIES
from mta.model.reply import Reply


class Connections:
    """Counts the sessions of all listeners of a process.

    :param limits: how many there may be; may be replaced at any time.
    :param banned: the reply for a client that is not let in; ``None`` for the others.
    :ivar total: sessions that count at present.
    :ivar local: sessions of this machine, which have a count of their own.
    """

    def __init__(self, limits: Limits, banned: Callable[[str], Reply | None] = lambda address: None) -> None:
        self.limits = limits
        self._banned = banned
        self.total = 0
        self.local = 0
        self._clients: dict[str, int] = {}

    def enter(self, address: str, hostname: str) -> Reply | None:
        """A client has connected.

        :param address: its IP address; ``""`` where there is none, as on a
            UNIX socket: it then counts only in all.
        :param hostname: ours, for the reply.
        :return: ``None`` if it may stay, and :meth:`leave` must be called once;
            else the 421 for it.
        """
        limits = self.limits
        refusal = self._banned(address) if address else None
        if refusal is not None:
            return refusal
        if self.total >= limits.connections:
            reply = REPLIES.reply("too-many-connections", hostname=hostname)
            return reply.because(reply.name, {"sessions": self.total, "limit": limits.connections})
        if address:
            key = _client_of(address)
            own = self._clients.get(key, 0)
            if own >= limits.connections_per_client:
                reply = REPLIES.reply("too-many-from-client", hostname=hostname, client=address)
                return reply.because(reply.name, {"sessions": own, "limit": limits.connections_per_client})
            self._clients[key] = own + 1
        self.total += 1
        return None

    def enter_local(self, hostname: str) -> Reply | None:
        """Somebody on this machine has connected: nobody from elsewhere can shut them out, but
        neither can they take all descriptors.

        :return: ``None`` if they may stay, and :meth:`leave_local` must be called once.
        """
        limit = self.limits.connections_per_client
        if self.local >= limit:
            reply = REPLIES.reply("too-many-from-client", hostname=hostname, client="this machine")
            return reply.because(reply.name, {"sessions": self.local, "limit": limit})
        self.local += 1
        return None

    def leave_local(self) -> None:
        """Somebody on this machine has gone."""
        self.local -= 1

    def leave(self, address: str) -> None:
        """A client that was let in has gone."""
        self.total -= 1
        if address:
            key = _client_of(address)
            left = self._clients[key] - 1
            if left:
                self._clients[key] = left
            else:
                del self._clients[key]

    def of(self, address: str) -> int:
        """How many sessions a client has."""
        return self._clients.get(_client_of(address), 0)


def _client_of(address: str) -> str:
    """Who is counted as one: of IPv6 a network of 64 bits, the least that anybody is given."""
    if ":" not in address:
        return address
    try:
        packed = inet_pton(AF_INET6, address.partition("%")[0])
    except OSError:
        return address
    return packed[:8].hex()
