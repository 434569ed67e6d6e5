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
    "completed": LogLevel.debug,
}


def level_of(event: Event) -> Any:
    """How grave an event is, as a ``LogLevel``: ``completed`` repeats what is known, so ``debug``."""
    if event.kind == "server":
        return LogLevel.error if getattr(event, "what", "") == "trouble" else LogLevel.info
    return _LEVELS.get(event.kind, LogLevel.info)


class EventLine:
    """The line of an event, made only if somebody reads it."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event

    def __str__(self) -> str:
        return event_line(self.event)

    def __repr__(self) -> str:
        return str(self)


@implementer(IEventSink)
class LogSink:
    """Writes events to the log.

    Each log event carries ``mta_event`` (the :class:`~mta.model.event.Event`),
    ``message`` ids and ``session`` ids, so that any observer may use the fields.

    :param level: the least level that is written (``debug`` to ``error``);
        what is below costs nothing.
    :param log: the logger.
    """

    def __init__(self, level: str = "info", log: Logger | None = None) -> None:
        self._least = LogLevel.levelWithName(level)
        self._log = log or Logger(namespace="mta.journal")

    def events(self, batch: Sequence[Event]) -> None:
        """Write them."""
        emit = self._log.emit
        for event in batch:
            level = level_of(event)
            if level >= self._least:
                emit(
                    level,
                    "{line}",
                    line=EventLine(event),
                    mta_event=event,
                    message_id=event.message,
                    session_id=event.session,
                )
