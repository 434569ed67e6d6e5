"""The transport to a mail store that speaks LMTP (RFC 2033), such as Dovecot or Cyrus.

The store answers for each recipient after the data, and adds Return-Path itself.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import Any

from pydantic import Field, field_validator
from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Duration, Table
from mta.deliver.dialler import Dialler, DialSettings
from mta.deliver.relay import Pools
from mta.interfaces import Delivery, IExchangers, IKind, IService, ITransport, PluginContext
from mta.model.outcome import Outcome
from mta.smtp.client_protocol import ClientProtocol, Patience

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?")


class LmtpSettings(Table):
    """``[[transport]] kind = "lmtp"``.

    :ivar host: name or IP address of the store, or ``unix:/path`` of its socket.
    """

    host: str = "127.0.0.1"
    port: int = Field(24, ge=1, le=65535)
    helo: str = ""
    connections: int = Field(10, ge=1)
    messages_per_connection: int = Field(1000, ge=1)
    idle: Duration = 10.0
    connect_timeout: Duration = 30.0
    command_timeout: Duration = 300.0
    data_timeout: Duration = 600.0

    @field_validator("host")
    @classmethod
    def _named(cls, value: str) -> str:
        what = 'it is a host name, an IP address, or "unix:/path"'
        if value.startswith("unix:/") or _NAME.fullmatch(value):
            return value
        if value.count(":") == 1 and not value.startswith("unix:"):
            raise ValueError(f"{what}; a port stands in a line of its own: port = 24")
        try:
            ip_address(value.removeprefix("[").removesuffix("]").removeprefix("IPv6:"))
        except ValueError:
            raise ValueError(what) from None
        return value

    @property
    def next_hop(self) -> str:
        """Where to, as a next hop."""
        if self.host.startswith("unix:"):
            return self.host
        if ":" in self.host and not self.host.startswith("["):
            return f"[IPv6:{self.host}]:{self.port}"
        return f"{self.host}:{self.port}"


@implementer(ITransport, IService)
class LmtpTransport:
    """Delivers to the store of the settings, or of the route where that names one.

    :param settings: the transport's table.
    :param reactor: makes connections.
    :param exchangers: finds the addresses of a host name.
    :param hostname: our name, unless ``settings.helo`` has another.
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`.
    :cvar final: what the store has taken is in the mailbox, though another host answered
        (see :class:`~mta.queue.manager.Manager`).
    """

    final = True

    def __init__(
        self,
        settings: LmtpSettings,
        reactor: Any,
        exchangers: IExchangers,
        hostname: str,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._settings = settings
        self._next_hop = settings.next_hop
        dialler = self._dialler = Dialler(
            reactor=reactor,
            exchangers=exchangers,
            settings=DialSettings(
                helo=settings.helo or hostname,
                lmtp=True,
                tls="never",
                port=settings.port,
                connect_timeout=settings.connect_timeout,
                patience=Patience(settings.command_timeout, settings.data_timeout),
            ),
            tls=None,
            run_in_thread=run_in_thread,
        )

        def dial(next_hop: str) -> Awaitable[ClientProtocol]:
            return dialler.dial(next_hop, configured=True)

        self._pools = Pools(
            reactor,
            dial,
            bounds=lambda next_hop: (settings.connections, settings.messages_per_connection),
            idle=settings.idle,
        )

    def deliver(self, delivery: Delivery) -> Deferred[Sequence[Outcome]]:
        """See ``ITransport``."""
        return self._pools.deliver(delivery, delivery.addressees[0].next_hop or self._next_hop)

    def concurrency(self, next_hop: str) -> int:
        """Two for each connection, as in :class:`~mta.deliver.relay.RelayTransport`."""
        return self._settings.connections * 2

    def counts(self) -> dict[str, tuple[int, int, int]]:
        """For each next hop: connections open, connections idle, messages waiting."""
        return self._pools.counts()

    def start(self) -> None:
        """See ``IService``."""

    async def stop(self) -> None:
        """See ``IService``: take leave."""
        await self._pools.stop()


@implementer(IPlugin, IKind)
class LmtpKind:
    """Makes :class:`LmtpTransport`."""

    seam = ITransport
    kind = "lmtp"
    settings = LmtpSettings

    def build(self, settings: LmtpSettings, context: PluginContext) -> LmtpTransport:
        """See :class:`~mta.interfaces.IKind`."""
        return LmtpTransport(
            settings, context.reactor, context.exchangers, context.hostname, context.run_in_thread
        )


LMTP = LmtpKind()
