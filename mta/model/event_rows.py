"""How an event lies in the journal's table, and under which keys it is found.

The spool writes these rows in the transaction of the state that they tell of;
the journal's reader reads them.  A row is ``(at, kind, message, session,
payload)``; its number is given by the writer and only ever grows.

Keys are 64-bit hashes of words.  They are grouped in *buckets* of consecutive
event numbers, so that the index grows at its end instead of at random pages
all over it: a look-up asks each bucket, from the newest to the oldest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from json import encoder
from typing import Any

from mta.model import event_access as event_access  # Its kinds, for whoever reads them.
from mta.model import event_audience as event_audience  # Its kinds, for whoever reads them.
from mta.model import event_campaign as event_campaign  # Its kinds, for whoever reads them.
from mta.model import event_dashboard as event_dashboard  # Its kinds, for whoever reads them.
from mta.model import event_domain as event_domain  # Its kinds, for whoever reads them.
from mta.model import event_engagement as event_engagement  # Its kinds, for whoever reads them.
from mta.model import event_report as event_report  # Likewise.
from mta.model import event_security as event_security  # Its kinds, for whoever reads them.
from mta.model import event_sequence as event_sequence  # Its kinds, for whoever reads them.
from mta.model import event_suppression as event_suppression  # Its kinds, for whoever reads them.
from mta.model import event_webhook as event_webhook  # Its kinds, for whoever reads them.
from mta.model.event import Event, event_from
from mta.model.ids import decode_id, encode_id

#: An event of number ``n`` is in bucket ``n >> BUCKET_BITS``.
BUCKET_BITS = 14

EventRow = tuple[float, str, int | None, str | None, str]


def _encoder() -> Callable[[Any], str]:
    # JSONEncoder.encode makes this object anew for each value, which costs more than encoding it.
    make: Any = getattr(encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(
            ensure_ascii=True, check_circular=False, separators=(",", ":"), default=str
        ).encode
    encode = make(None, str, encoder.encode_basestring_ascii, None, ":", ",", False, False, True)
    join = "".join
    return lambda value: join(encode(value, 0))


#: Compact JSON.  Octets that cannot be text (lone surrogates) are escaped: a row must
#: always be writable.  What JSON does not know is written as its ``str``.
encode_json = _encoder()


def clean_text(text: str) -> str:
    """``text`` as SQLite can keep it: lone surrogates replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def event_row(event: Event) -> EventRow:
    """The row of an event, without its number.

    :raise ValueError: if ``event.message`` is no queue id.
    """
    return (
        event.at,
        event.kind,
        decode_id(event.message) if event.message else None,
        clean_text(event.session) or None,
        encode_json(event.payload()),
    )


def event_of(row: tuple[float, str, int | None, str | None, str]) -> Event | None:
    """The event of a row; ``None`` if this program does not know its kind or cannot read it."""
    at, kind, message, session, payload = row
    try:
        facts: dict[str, Any] = json.loads(payload)
        return event_from(kind, at, "" if message is None else encode_id(message), session or "", facts)
    except (KeyError, TypeError, ValueError):
        return None


# Sender, client and session are those of the messages before.
@lru_cache(maxsize=512)
def key_of(word: str) -> int:
    """The key of a word, as a signed 64-bit number; case does not matter."""
    digest = blake2b(word.lower().encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def event_keys(event: Event) -> tuple[int, ...]:
    """The keys under which an event is found; none if its kind is not indexed.

    The session id is always among them.
    """
    if not event.indexed:
        return ()
    words = set(event.keys())
    if event.session:
        words.add(event.session.lower())
    return tuple([key_of(word) for word in words])
