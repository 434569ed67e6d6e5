"""What is to be done for a batch: everything that its messages are made of, with their queue ids.

It is one JSON value, so that a worker that starts again does the same as the one that died.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mta.compose.message import File
from mta.template.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Person:
    """One recipient.

    :ivar id: queue id of the message.
    :ivar email: canonical; ASCII.
    :ivar place: position in the request.
    :ivar metadata: beside those of the batch.
    :ivar files: likewise.
    """

    id: str
    email: str
    place: int
    name: str = ""
    locale: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """See the module.

    :ivar batch: its id.
    :ivar key: id of the key that asked for it.
    :ivar address: from where it was asked.
    :ivar session: under which id.
    :ivar bundle: the template, encoded.
    :ivar sender: address and name.
    :ivar reply_to: addresses and names.
    :ivar headers: further header fields.
    :ivar release: not before, in seconds since 1970; 0: at once.
    :ivar priority: as it was asked for.
    :ivar notify: as in RFC 3461.
    :ivar data: what every recipient's data are laid over.
    :ivar unsubscribe: the list that may be left with one click; ``None``: nothing may be.
    :ivar base: the address under which recipients reach us.
    :ivar files: that go with every copy.
    :ivar named: the template's name, for statistics; ``""``: it has none.
    """

    batch: str
    tenant: str
    key: str
    address: str
    session: str
    bundle: str
    sender: tuple[str, str]
    people: tuple[Person, ...]
    reply_to: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    return_path: str = ""
    release: float = 0.0
    priority: int | None = None
    notify: tuple[str, ...] = ()
    campaign: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    unsubscribe: str | None = None
    clicks: bool = False
    opens: bool = False
    base: str = ""
    files: tuple[File, ...] = ()
    named: str = ""

    @property
    def largest(self) -> int:
        """Octets of the files of the copy that has the most of them."""
        own = max((sum(len(file.content) for file in one.files) for one in self.people), default=0)
        return own + sum(len(file.content) for file in self.files)

    def encode(self) -> bytes:
        """As JSON.  Takes a while: not in the reactor thread."""
        people = [
            [one.id, one.email, one.place, one.name, one.locale, one.data, one.metadata, _told(one.files)]
            for one in self.people
        ]
        facts = {name: getattr(self, name) for name in self.__slots__ if name not in ("people", "files")}
        return json.dumps(
            {**facts, "people": people, "files": _told(self.files)}, separators=(",", ":")
        ).encode()

    @classmethod
    def decode(cls, octets: bytes) -> Plan:
        """The plan that :meth:`encode` has written."""
        facts: dict[str, Any] = json.loads(octets)
        facts["people"] = tuple(_person(*one) for one in facts["people"])
        facts["files"] = _files([facts.get("files", [])])
        facts["sender"] = tuple(facts["sender"])
        facts["reply_to"] = tuple(tuple(one) for one in facts["reply_to"])
        facts["notify"] = tuple(facts["notify"])
        facts["tags"] = tuple(facts["tags"])
        return cls(**facts)

    def template(self) -> Bundle:
        """The template."""
        return Bundle.decode(self.bundle)


def _person(
    identifier: str,
    email: str,
    place: int,
    name: str,
    locale: str,
    data: Mapping[str, Any],
    metadata: Mapping[str, str],
    *files: Sequence[Sequence[str]],
) -> Person:
    return Person(identifier, email, place, name, locale, data, metadata, _files(files))


def _told(files: Sequence[File]) -> list[list[str]]:
    return [[one.name, one.media, base64.b64encode(one.content).decode(), one.cid] for one in files]


def _files(told: Sequence[Sequence[Sequence[str]]]) -> tuple[File, ...]:
    """Files of their JSON, if there is any: an earlier version wrote none."""
    return tuple(
        File(name, media, base64.b64decode(content), cid)
        for some in told
        for name, media, content, cid in some
    )


@dataclass(slots=True)
class Trouble:
    """Why one recipient gets nothing.

    :ivar place: position in the request.
    :ivar kind: ``address``, ``template``, ``refused``, ``suppressed``, ``unavailable``.
    :ivar detail: in words.
    :ivar errors: problems of the template.
    """

    place: int
    email: str
    kind: str
    detail: str
    errors: list[dict[str, Any]] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """As JSON values, without what is empty."""
        return {name: value for name, value in asdict(self).items() if value or name == "place"}
