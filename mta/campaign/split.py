"""Who gets which variant: drawn from campaign and contact, and so the same however often it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

_SCALE = float(1 << 64)


def draw(campaign: str, contact: int, purpose: bytes) -> float:
    """A number from 0 up to 1 that depends on nothing but these.

    :param campaign: what no other campaign has.
    :param purpose: what it is drawn for: draws for two purposes know nothing of each other.
    """
    digest = blake2b(f"{campaign}\n{contact}".encode(), digest_size=8, person=purpose).digest()
    return int.from_bytes(digest, "big") / _SCALE


def variant_of(campaign: str, contact: int, weights: Sequence[float]) -> int:
    """The place of the variant that a contact gets.

    :param weights: of the variants; at least one is above 0.
    """
    at = draw(campaign, contact, b"variant") * sum(weights)
    for place, weight in enumerate(weights):
        at -= weight
        if at < 0:
            return place
    return max(place for place, weight in enumerate(weights) if weight > 0)


def in_test(campaign: str, contact: int, share: float) -> bool:
    """Whether a contact is among those with whom variants are tried.

    :param share: of all, 0 to 1.
    """
    return draw(campaign, contact, b"test") < share
