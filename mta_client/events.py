"""Events as they happen: server-sent events (the HTML standard, 9.2), read; no network here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a message.

    :ivar type: such as ``delivered``; ``gap``: some were lost, for the journal is not kept that long.
    :ivar at: RFC 3339.
    :ivar reply: what the other server said: ``code``, ``text`` and so on.
    :ivar details: more, by type.
    :ivar words: the same for people.
    :ivar last_id: give it to :meth:`follow` to go on after this event.
    """

    type: str
    id: str = ""
    at: str = ""
    message: str = ""
    recipient: str | None = None
    batch: str | None = None
    tags: Sequence[str] = ()
    reply: Mapping[str, Any] | None = None
    details: Mapping[str, Any] | None = None
    words: str = ""
    last_id: str = ""


class EventReader:
    """Reads a stream.

    :ivar last_id: of what was read; with it a new stream goes on.
    :ivar retry: seconds after which to come again.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry = 1.0
        self._id = last_id
        self._type = ""
        self._data: list[str] = []

    def line(self, line: str) -> Iterator[Event]:
        """A line of the stream, without its end."""
        if not line:
            yield from self._event()
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id" and "\0" not in value:
            self._id = value
        elif name == "event":
            self._type = value
        elif name == "data":
            self._data.append(value)
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value) / 1000

    def _event(self) -> Iterator[Event]:
        kind, data = self._type, self._data
        self._type, self._data = "", []
        # Not before: of an event that is cut off, the rest is asked for again.
        self.last_id = self._id
        if not data:
            return
        value = json.loads("\n".join(data))
        yield Event(
            kind or str(value.get("type", "message")),
            str(value.get("id", "")),
            value.get("at", ""),
            value.get("message", ""),
            value.get("recipient"),
            value.get("batch"),
            tuple(value.get("tags") or ()),
            value.get("reply"),
            value.get("details"),
            value.get("words", ""),
            self.last_id,
        )
