"""Observers that write the log: lines for a person, or JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, TextIO

from twisted.logger import ILogObserver, LogLevel, formatEvent
from zope.interface import implementer

from mta.journal.log import level_of
from mta.journal.text import event_json, event_line
from mta.journal.words import iso_time, printable

#: Characters written at once; a pipe takes 4096 octets whole (PIPE_BUF), and most are ASCII.
_TOGETHER = 4000
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
        if event.get("log_level", LogLevel.info) >= self._least or "raw_line" in event:
            self._observer(event)


@implementer(ILogObserver)
class TextWriter:
    """``2026-01-31 12:00:00+0100 [mta.journal] line``, with any traceback below it, set in.

    :param stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._second = -1
        self._time = ""

    def __call__(self, event: dict[str, Any]) -> None:
        """Write one entry."""
        if "raw_line" in event:
            _write(self._stream, f"{event['raw_line']}\n")
            return
        second = int(event.get("log_time", 0.0))
        if second != self._second:
            self._second, self._time = second, iso_time(second).replace("T", " ").replace(".000", "")
        start = f"{self._time} [{event.get('log_namespace', '-')}] "
        happened = event.get("mta_events")
        if happened is not None:
            _write_lines(
                self._stream, [f"{start}{_mark(level_of(one))}{event_line(one)}\n" for one in happened]
            )
            return
        mark = _mark(event.get("log_level"))
        # What an exception says may come from elsewhere, and must not begin an entry of its own.
        trace = "".join(f"\t{printable(line)}\n" for line in _traceback(event).splitlines())
        _write(self._stream, f"{start}{mark}{_text(event)}\n{trace}")


@implementer(ILogObserver)
class JsonWriter:
    """One object in one line; an event of the journal has its own fields in it.

    :param stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: dict[str, Any]) -> None:
        """Write one entry."""
        if "raw_line" in event:
            _write(self._stream, f"{event['raw_line']}\n")
            return
        level = event.get("log_level")
        entry: dict[str, Any] = {
            "time": iso_time(event.get("log_time", 0.0)),
            "level": level.name if level is not None else "info",
            "namespace": event.get("log_namespace", "-"),
        }
        happened = event.get("mta_events")
        if happened is not None:
            entries = [{**entry, "level": level_of(one).name, **event_json(one)} for one in happened]
            _write_lines(self._stream, [_object(one) for one in entries])
            return
        entry["text"] = _text(event)
        traceback = _traceback(event)
        if traceback:
            entry["traceback"] = traceback
        _write(self._stream, _object(entry))


def _object(entry: dict[str, Any]) -> str:
    return json.dumps(entry, default=str, separators=(",", ":")) + "\n"


def _mark(level: Any) -> str:
    return _MARKS.get(level.name, "") if level is not None else ""


def _text(event: dict[str, Any]) -> str:
    text = formatEvent(event)
    return text if text.isprintable() else "\n\t".join(printable(part) for part in text.splitlines())


def _traceback(event: dict[str, Any]) -> str:
    failure = event.get("log_failure")
    if failure is None:
        return ""
    text: str = failure.getTraceback()
    return text if text.endswith("\n") else text + "\n"


def _write_lines(stream: TextIO, lines: Sequence[str]) -> None:
    """Write lines with few calls, so short that those of another process do not get into them."""
    text = ""
    for line in lines:
        if text and len(text) + len(line) > _TOGETHER:
            _write(stream, text)
            text = ""
        text += line
    _write(stream, text)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        stream.write(text.encode("ascii", "backslashreplace").decode())
    except (OSError, ValueError):
        return  # A closed or broken log must not stop the mail.
    with suppress(OSError, ValueError):
        stream.flush()
