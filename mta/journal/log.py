"""Writes each event to the log, one line each, through ``twisted.logger``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.logger import Logger, LogLevel
from zope.interface import implementer

from mta.interfaces import IEventSink
from mta.journal.text import event_line
from mta.model.event import Event

_LEVELS: dict[str, Any] = {
    "rejected": LogLevel.info,
    "authentication-failed": LogLevel.warn,
    "failed": LogLevel.warn,
    "discarded": LogLevel.warn,
    "banned": LogLevel.warn,
    "suspended": LogLevel.warn,
    "completed": LogLevel.debug,
    "alert": LogLevel.warn,
}


def level_of(event: Event) -> Any:
    """How grave an event is, as a ``LogLevel``: ``completed`` repeats what is known, so ``debug``."""
    if event.kind == "server":
        return LogLevel.error if getattr(event, "what", "") == "trouble" else LogLevel.info
    if event.kind == "certificate":
        return LogLevel.info if getattr(event, "what", "") == "loaded" else LogLevel.warn
    if event.kind == "tls-session" and getattr(event, "result", "") == "success":
        # Each delivery over it says the same.
        return LogLevel.debug
    return _LEVELS.get(event.kind, LogLevel.info)


class EventLines:
    """The lines of events, made only if somebody reads them."""

    __slots__ = ("events",)

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events

    def __str__(self) -> str:
        return "\n".join(map(event_line, self.events))

    def __repr__(self) -> str:
        return str(self)


@implementer(IEventSink)
class LogSink:
    """Writes events to the log.

    Events that are committed together are one entry of ``twisted.logger``, whose
    ``mta_events`` are the :class:`~mta.model.event.Event` objects, so that any observer may
    use their fields; ours write a line for each, and all in one go.

    :param level: the least level that is written (``debug`` to ``error``);
        what is below costs nothing.
    :param log: the logger.
    """

    def __init__(self, level: str = "info", log: Logger | None = None) -> None:
        self._least = LogLevel.levelWithName(level)
        self._log = log or Logger(namespace="mta.journal")

    def events(self, batch: Sequence[Event]) -> None:
        """Write them."""
        least = self._least
        written = []
        gravest = least
        for event in batch:
            level = level_of(event)
            if level >= least:
                written.append(event)
                if level > gravest:
                    gravest = level
        if written:
            self._log.emit(gravest, "{lines}", lines=EventLines(written), mta_events=tuple(written))
