"""What the codes of a failed delivery mean, in words for the person who sent the message; pure.

Our own findings carry the catalogue's cause and remedy.  What another server said has
those of its class (:mod:`mta.model.bounce`).
"""

from __future__ import annotations

import re
from functools import lru_cache

from mta.model.bounce import Classification
from mta.model.bounce_data import classify
from mta.model.delivery_replies import DELIVERY
from mta.model.outcome import RemoteReply
from mta.model.reply_entry import Entry


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], Entry], ...]:
    found = []
    for entry in DELIVERY:
        # Bounded by what `own_entry` looks at: the words may be a stranger's.
        pieces = [re.escape(piece) for piece in re.split(r"\{\w+\}", entry.text)]
        found.append((re.compile(".*".join(pieces) + r"\Z", re.DOTALL), entry))
    return tuple(found)


def own_entry(reply: RemoteReply) -> Entry | None:
    """The catalogue's entry of a reply of ours; ``None`` for what others said."""
    for pattern, entry in _patterns():
        if entry.enhanced == reply.enhanced and pattern.match(reply.text[:1000]):
            return entry
    return None


def meaning(reply: RemoteReply, verdict: Classification | None = None) -> tuple[str, str]:
    """What a reply usually means, and what the sender can do.

    :param verdict: what a classifier has found; without, one is asked.
    :return: two texts of whole sentences.
    """
    # A finding of ours may name a remote host, so it is known by its words.
    entry = own_entry(reply)
    if entry is not None:
        return entry.cause, entry.remedy
    if verdict is None:
        verdict = classify(reply)
    return verdict.cause, verdict.remedy
