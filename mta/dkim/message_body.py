"""The hashes of a message's body, taken once for all judges that want them, and for whoever seals it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mta.dkim.body_hash import BodyHashes, ContentReader
from mta.dkim.header_fields import Canonicalization
from mta.dkim.verification import BodyDigests
from mta.interfaces import Answer, Facts
from mta.model.message import Content, InlineContent

#: Under which name they stand in ``Facts.results``.
RESULT = "body"
#: Octets up to which a body in memory is hashed at once; a larger one in a thread.
_AT_ONCE = 64 * 1024


@dataclass(slots=True)
class _Known:
    content: Content
    digests: dict[Canonicalization, tuple[bytes, int]] = field(default_factory=dict)


def body_digests(
    facts: Facts, ways: Iterable[Canonicalization], run_in_thread: Callable[..., Awaitable[Any]]
) -> Answer[BodyDigests]:
    """The hash of the body under some canonicalizations, and maybe others.

    :param facts: those of the stage ``message``; what is found out is left in them.
    """
    content = facts.content
    if content is None:
        raise ValueError("a message is hashed when all of it is there")
    known = facts.results.get(RESULT)
    # What a judge has changed since is another content.
    if not isinstance(known, _Known) or known.content is not content:
        known = facts.results[RESULT] = _Known(content)
    missing = [way for way in dict.fromkeys(ways) if way not in known.digests]
    if not missing:
        return known.digests
    if isinstance(content, InlineContent) and content.size <= _AT_ONCE:
        known.digests.update(_hashed(content, missing))
        return known.digests
    return _later(known, missing, run_in_thread)


async def _later(
    known: _Known, missing: list[Canonicalization], run_in_thread: Callable[..., Awaitable[Any]]
) -> BodyDigests:
    known.digests.update(await run_in_thread(_hashed, known.content, missing))
    return known.digests


def _hashed(content: Content, ways: list[Canonicalization]) -> dict[Canonicalization, tuple[bytes, int]]:
    reader = ContentReader(BodyHashes(ways), 0)
    for block in content.blocks():
        reader.update(block)
    return reader.digests()
