"""Observers that write the log: lines for a person, or JSON for a program."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Literal, TextIO

from twisted.logger import ILogObserver, LogLevel, formatEvent
from zope.interface import implementer

from mta.journal.text import event_json, iso_time, printable
from mta.model.event import Event

#: Shown for each level; what is usual has no mark.
_MARKS = {"debug": "debug: ", "info": "", "warn": "warning: ", "error": "error: ", "critical": "critical: "}


def make_observer(
    format: Literal["text", "json"],
    level: Literal["debug", "info", "warn", "error"],
    stream: TextIO,
) -> ILogObserver:
    """An observer that writes to a stream.

    :param format: ``text`` or ``json``.
    :param level: the least level that is written.
    :param stream: where to; each entry is written and flushed at once.
    :raise ValueError: for another format or level.
    """
    if format not in ("text", "json"):
        raise ValueError(f"{format!r} is no format of the log: it is text or json")
    names = [item.name for item in LogLevel.iterconstants()]
    if level not in names:
        raise ValueError(f"{level!r} is no level of the log: it is one of {', '.join(names)}")
    writer: Any = JsonWriter(stream) if format == "json" else TextWriter(stream)
    observer: ILogObserver = LevelObserver(LogLevel.levelWithName(level), writer)
    return observer


@implementer(ILogObserver)
class LevelObserver:
    """Hands on what is grave enough.

    Twisted's own filter looks up the namespace of every entry, which costs more than the rest.

    :param least: a ``LogLevel``.
    :param observer: is handed the entries.
    """

    def __init__(self, least: Any, observer: ILogObserver) -> None:
        self._least = least
        self._observer = observer

    def __call__(self, event: dict[str, Any]) -> None:
        """Take one entry."""
        if event.get("log_level", LogLevel.info) >= self._least:
            self._observer(event)


@implementer(ILogObserver)
class TextWriter:
    """``2026-01-31 12:00:00+0100 [mta.journal] line``, with any traceback below it.

    :param stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._second = -1
        self._time = ""

    def __call__(self, event: dict[str, Any]) -> None:
        """Write one entry."""
        second = int(event.get("log_time", 0.0))
        if second != self._second:
            self._second, self._time = second, iso_time(second).replace("T", " ").replace(".000", "")
        level = event.get("log_level")
        mark = _MARKS.get(level.name, "") if level is not None else ""
        name = event.get("log_namespace", "-")
        text = _text(event)
        _write(self._stream, f"{self._time} [{name}] {mark}{text}\n{_traceback(event)}")


@implementer(ILogObserver)
class JsonWriter:
    """One object in one line; an event of the journal has its own fields in it.

    :param stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: dict[str, Any]) -> None:
        """Write one entry."""
        level = event.get("log_level")
        entry: dict[str, Any] = {
            "time": iso_time(event.get("log_time", 0.0)),
            "level": level.name if level is not None else "info",
            "namespace": event.get("log_namespace", "-"),
        }
        happened = event.get("mta_event")
        if isinstance(happened, Event):
            entry.update(event_json(happened))
        else:
            entry["text"] = _text(event)
            traceback = _traceback(event)
            if traceback:
                entry["traceback"] = traceback
        _write(self._stream, json.dumps(entry, default=str, separators=(",", ":")) + "\n")


def _text(event: dict[str, Any]) -> str:
    line = event.get("line")
    if event.get("log_format") == "{line}" and line is not None and "mta_event" in event:
        return str(line)  # Printable already.
    text = formatEvent(event)
    return text if text.isprintable() else "\n\t".join(printable(part) for part in text.splitlines())


def _traceback(event: dict[str, Any]) -> str:
    failure = event.get("log_failure")
    if failure is None:
        return ""
    text: str = failure.getTraceback()
    return text if text.endswith("\n") else text + "\n"


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        stream.write(text.encode("ascii", "backslashreplace").decode())
    except (OSError, ValueError):
        return  # A closed or broken log must not stop the mail.
    with suppress(OSError, ValueError):
        stream.flush()
