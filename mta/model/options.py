"""What whoever hands over a message says of it, beside the envelope and the content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """Of one message.

    :ivar tenant: whose it is, where the one who hands it over is known by a key.
    :ivar key: the id of that key.
    :ivar campaign: what it belongs to, for taking turns and for operators.
    :ivar tags: what it is about, for statistics.
    :ivar metadata: what the application wants to find again in events.
    :ivar batch: the request that it came in with many others.
    :ivar track: ``opens`` and ``clicks``, where the application says so.
    :ivar unsubscribe: the list that may be left with one click, ``""``: all mail; ``None``: none may be.
    :ivar raw: whether the application has written the message itself.
    :ivar template: the name of the template that it is made of, for statistics.
    """

    tenant: str = ""
    key: str = ""
    campaign: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    batch: str = ""
    track: Mapping[str, bool] = field(default_factory=dict)
    unsubscribe: str | None = None
    raw: bool = False
    template: str = ""

    def over(self, other: Options) -> Options:
        """These, and where nothing is said, what another says."""
        if self is NO_OPTIONS:
            return other
        return Options(
            self.tenant or other.tenant,
            self.key or other.key,
            self.campaign or other.campaign,
            self.tags or other.tags,
            self.metadata or other.metadata,
            self.batch or other.batch,
            self.track or other.track,
            self.unsubscribe if self.unsubscribe is not None else other.unsubscribe,
            self.raw or other.raw,
            self.template or other.template,
        )

    def attributes(self) -> dict[str, Any]:
        """What the queue keeps of it, JSON values; empty ones are left out."""
        facts = (
            ("tags", list(self.tags)),
            ("metadata", dict(self.metadata)),
            ("batch", self.batch),
            ("track", dict(self.track)),
        )
        return {name: value for name, value in facts if value}


#: Nothing was said.
NO_OPTIONS = Options()
#: How many tags there may be, and how long one.
MOST_TAGS, LONGEST_TAG = 20, 100
#: The same for metadata: entries, octets of a name, octets of a value.
MOST_METADATA, LONGEST_NAME, LONGEST_VALUE = 50, 100, 1000


def checked_tags(tags: list[str]) -> list[str]:
    """Tags as they may be kept, each once.

    :raise ValueError: if there are too many, or one is too long or not printable.
    """
    if len(tags) > MOST_TAGS:
        raise ValueError(f"there are {len(tags)} tags, and there may be {MOST_TAGS}")
    for tag in tags:
        if not tag.strip() or len(tag) > LONGEST_TAG or not tag.isprintable():
            raise ValueError(f"{tag[:120]!r} is no tag: it has 1 to {LONGEST_TAG} printable characters")
    return list(dict.fromkeys(tags))


def checked_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata as it may be kept.

    :raise ValueError: if there is too much of it.
    """
    if len(metadata) > MOST_METADATA:
        raise ValueError(f"there are {len(metadata)} entries, and there may be {MOST_METADATA}")
    for name, value in metadata.items():
        if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
            raise ValueError(f"{name[:120]!r} is no name: it has 1 to {LONGEST_NAME} printable characters")
        if len(value) > LONGEST_VALUE or "\0" in value:
            raise ValueError(f"{name}: a value has at most {LONGEST_VALUE} characters")
    return metadata
