"""A router that sends a domain to a transport, and a transport that writes plain files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Table
from mta.interfaces import Delivery, IKind, IRouter, ITransport, PluginContext, Route
from mta.model.outcome import Delivered, Outcome, RemoteReply


class HostsSettings(Table):
    """Mail for ``domain`` goes to the transport ``transport``."""

    domain: str
    transport: str


@implementer(IRouter)
class Hosts:
    """One domain, which becomes ours."""

    def __init__(self, settings: HostsSettings) -> None:
        self._settings = settings

    def route(self, address: str) -> Sequence[Route] | None:
        """The way of an address of the domain."""
        if not self.is_local(address.rpartition("@")[2]):
            return None
        return [Route(address, self._settings.transport, "")]

    def is_local(self, domain: str) -> bool:
        """Whether it is the domain."""
        return domain == self._settings.domain


@implementer(IPlugin, IKind)
class HostsKind:
    """Makes :class:`Hosts`."""

    seam = IRouter
    kind = "hosts"
    settings = HostsSettings

    def build(self, settings: HostsSettings, context: PluginContext) -> Hosts:
        """Make it."""
        return Hosts(settings)


class FolderSettings(Table):
    """Where the files go, relative to the configuration."""

    path: str


@implementer(ITransport)
class Folder:
    """One file for each message and recipient."""

    def __init__(self, path: Path, context: PluginContext) -> None:
        self._path = path
        self._context = context

    async def deliver(self, delivery: Delivery) -> Sequence[Outcome]:
        """Write the files in a thread."""
        outcomes: list[Outcome] = []
        for addressee in delivery.addressees:
            name = f"{delivery.message.id}-{addressee.address}"
            await self._context.run_in_thread(self._write, name, delivery)
            outcomes.append(Delivered(RemoteReply(250, "2.0.0", f"In the folder as {name}")))
        return outcomes

    def _write(self, name: str, delivery: Delivery) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        with (self._path / name).open("wb") as file:
            file.write(delivery.message.trace)
            for block in delivery.message.content.blocks():
                file.write(block)

    def concurrency(self, next_hop: str) -> int:
        """Two at once are enough."""
        return 2


@implementer(IPlugin, IKind)
class FolderKind:
    """Makes :class:`Folder`."""

    seam = ITransport
    kind = "folder"
    settings = FolderSettings

    def build(self, settings: FolderSettings, context: PluginContext) -> Folder:
        """Make it."""
        return Folder(Path(context.base) / settings.path, context)


HOSTS = HostsKind()
FOLDER = FolderKind()
