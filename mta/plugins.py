"""From ``kind`` and settings to an instance.

A kind is found with ``twisted.plugin`` as an :class:`~mta.interfaces.IKind`.
Its settings are validated with its own model; a mistake is reported with file
and line like any other of the configuration.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.plugin import getPlugins

from mta.config.loading import Loaded
from mta.config.problem import ConfigurationError, Problem, UnknownKind, nearest
from mta.config.settings import PluginTable
from mta.config.validation import validate
from mta.interfaces import IKind, IReloadable, IService, PluginContext, settle

_log = Logger()


class Kinds:
    """All kinds that are installed.

    :param found: providers of ``IKind``; ``None`` asks ``twisted.plugin``.
    """

    def __init__(self, found: Iterable[Any] | None = None) -> None:
        self._kinds: dict[tuple[str, str], Any] = {}
        for kind in getPlugins(IKind) if found is None else found:
            self._kinds[kind.seam.__name__, kind.kind] = kind

    def get(self, seam: Any, table: str, kind: str) -> Any:
        """The kind of this name.

        :param seam: the interface.
        :param table: the configuration's table, for the message.
        :raise UnknownKind: if there is none.
        """
        try:
            return self._kinds[seam.__name__, kind]
        except KeyError:
            known = [name for place, name in self._kinds if place == seam.__name__]
            raise UnknownKind(table, kind, known) from None


@dataclass(slots=True)
class Plugin:
    """One instance, with what it was made from.

    :ivar name: how the configuration calls it.
    :ivar kind: its kind.
    :ivar settings: validated.
    :ivar instance: provides the seam.
    """

    name: str
    kind: str
    settings: Any
    instance: Any

    async def start(self) -> None:
        """Tell it that the server starts."""
        if IService.providedBy(self.instance):
            await settle(self.instance.start())

    async def stop(self) -> None:
        """Tell it that it is not asked any more; a failure is logged."""
        if IService.providedBy(self.instance):
            try:
                await settle(self.instance.stop())
            except Exception:
                _log.failure("The plugin {name} failed to stop", name=self.name)

    async def reload(self) -> None:
        """Have it read its files again.

        :raise ValueError: if they have errors; it keeps what it had.
        """
        if IReloadable.providedBy(self.instance):
            await settle(self.instance.reload())

    def discard(self) -> None:
        """Stop it without waiting."""
        Deferred.fromCoroutine(self.stop())


class PluginBuilder:
    """Makes the plugins of one configuration, keeping those that it does not change.

    :param loaded: the configuration.
    :param kinds: what there is.
    :param context: what they may use.
    """

    def __init__(self, loaded: Loaded, kinds: Kinds, context: PluginContext) -> None:
        self._loaded = loaded
        self._kinds = kinds
        self._context = context
        self.problems: list[Problem] = []

    def build(self, seam: Any, table: str, kept: Sequence[Plugin] = ()) -> list[Plugin]:
        """The plugins of ``[[table]]``, in order; mistakes go to :attr:`problems`.

        :param kept: those of the configuration before; one with the same kind,
            name and settings stays as it is.
        """
        plugins = []
        for number, item in enumerate(getattr(self._loaded.settings, table)):
            try:
                plugins.append(self.one(seam, table, item, (table, number), kept))
            except ConfigurationError as error:
                self.problems += error.problems
        return plugins

    def one(
        self,
        seam: Any,
        table: str,
        item: PluginTable,
        place: tuple[str | int, ...],
        kept: Sequence[Plugin] = (),
    ) -> Plugin:
        """One plugin.

        :param place: where in the file its settings stand.
        :raise ConfigurationError: with every mistake in them.
        """
        kind, settings = self.settings(seam, table, item, place)
        name = item.name or item.kind
        for plugin in kept:
            if (plugin.name, plugin.kind, plugin.settings) == (name, item.kind, settings):
                return plugin
        try:
            return Plugin(name, item.kind, settings, kind.build(settings, replace(self._context, name=name)))
        except ValueError as error:
            key, what = _key_of(str(error), table, settings)
            raise ConfigurationError([self._problem((*place, *key), what)]) from None
        except Exception as error:
            # A stranger's class: say where, for the person who wrote it.
            last = traceback.extract_tb(error.__traceback__)[-1]
            what = f"the plugin {item.kind!r} failed: {type(error).__name__}: {error}"
            remedy = f"see {last.filename}:{last.lineno}"
            raise ConfigurationError([self._problem(place, what, remedy)]) from None

    def settings(
        self, seam: Any, table: str, item: PluginTable, place: tuple[str | int, ...]
    ) -> tuple[Any, Any]:
        """The kind of a table and its validated settings.

        :raise ConfigurationError: with every mistake in them.
        """
        try:
            kind = self._kinds.get(seam, table, item.kind)
        except UnknownKind as error:
            guess = nearest(item.kind, error.known)
            remedy = f"did you mean {guess!r}?" if guess else "known: " + (", ".join(error.known) or "none")
            raise ConfigurationError([self._problem((*place, "kind"), str(error), remedy)]) from None
        locations = self._loaded.locations
        return kind, validate(kind.settings, item.own(), self._loaded.file, locations, place)

    def _problem(self, place: tuple[str | int, ...], what: str, remedy: str = "") -> Problem:
        key = ".".join(str(part) for part in place if isinstance(part, str))
        return Problem(self._loaded.file, self._loaded.locations.line(place), key, what, remedy)


def _key_of(text: str, table: str, settings: Any) -> tuple[tuple[str, ...], str]:
    """The setting that a plugin names at the beginning of its text, and the rest of it."""
    first, colon, rest = text.partition(": ")
    key = first.removeprefix(f"{table}.")
    if colon and key in getattr(type(settings), "model_fields", {}):
        return (key,), rest
    return (), text
