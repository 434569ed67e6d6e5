"""Listening sockets, which are bound while we may, and opened when we can answer.

Ports below 1024 must be bound before privileges are dropped, but nobody may be
accepted before the spool is open.  So binding and opening are two steps; and
the supervisor binds for all workers, who adopt the same descriptors.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory


class ListenError(ValueError):
    """A socket cannot be bound; the text names the endpoint and what to do."""


class Listener:
    """One listening socket.

    :param reactor: the reactor.
    :param role: the listener's role, for messages.
    :param description: Twisted's endpoint string.
    :param descriptor: an inherited listening socket to adopt instead of binding.
    """

    def __init__(self, reactor: Any, role: str, description: str, descriptor: int | None = None) -> None:
        self.role = role
        self.description = description
        self._reactor = reactor
        self._descriptor = descriptor
        self._port: Any = None

    def trouble(self) -> str:
        """What is wrong with the description; ``""`` if nothing is.  Binds nothing."""
        kind, _, rest = self.description.partition(":")
        port = rest.partition(":")[0]
        what = ""
        if kind.replace(".", "").isdigit():
            what = 'write "tcp:25", or "tcp:25:interface=192.0.2.1" for one address'
        elif kind in ("tcp", "tcp6", "ssl") and "=" not in port and not 0 <= _number(port) < 65536:
            what = f"{port!r} is no port; ports are numbers up to 65535"
        else:
            try:
                serverFromString(self._reactor, self.description)
            except (ValueError, TypeError, KeyError) as trouble:
                what = f'{trouble}; write it as "tcp:25" or "tcp:25:interface=192.0.2.1"'
        return f"{self.description!r} is no endpoint: {what}" if what else ""

    def bind(self, factory: Factory) -> None:
        """Bind, but accept nobody yet.

        :raise ListenError: if the address is in use, not ours, or forbidden.
        """
        if self._descriptor is not None:
            with socket.socket(fileno=os.dup(self._descriptor)) as probe:
                family = probe.family
            self._port = self._reactor.adoptStreamPort(self._descriptor, family, factory)
        else:
            found: list[Any] = []
            if trouble := self.trouble():
                raise ListenError(f"listen.{self.role}: {trouble}")
            endpoint: Any = serverFromString(self._reactor, self.description)
            maybeDeferred(endpoint.listen, factory).addBoth(found.append)
            result = found[0] if found else None
            if result is None or not hasattr(result, "stopListening"):
                reason = getattr(result, "value", result)
                raise ListenError(
                    f"listen.{self.role}: cannot listen on {self.description!r}: {_why(reason)}"
                )
            self._port = result
        if hasattr(self._port, "stopReading"):
            self._port.stopReading()

    def open(self) -> None:
        """Accept from now on."""
        if hasattr(self._port, "startReading"):
            self._port.startReading()

    @property
    def descriptor(self) -> int:
        """The bound socket's file descriptor, for a child process to inherit."""
        number: int = self._port.fileno()
        return number

    @property
    def address(self) -> str:
        """Where it listens, for a person: ``127.0.0.1:2525`` or a path."""
        host = self._port.getHost()
        name = getattr(host, "name", None)
        if name is not None:
            return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        return f"[{host.host}]:{host.port}" if ":" in host.host else f"{host.host}:{host.port}"

    async def close(self) -> None:
        """Accept nobody any more."""
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else -1


def _why(reason: Any) -> str:
    trouble = getattr(reason, "socketError", reason)
    number = getattr(trouble, "errno", None)
    if number == 98:
        return (
            "the address is in use; another mail server may be running (`ss -ltnp` shows it): "
            "stop it, or choose other ports in [listen] of mta.toml"
        )
    if number == 13:
        return "permission denied; ports below 1024 need root or the systemd unit's capability"
    if number == 99:
        return "the address does not belong to this machine"
    return str(trouble)
