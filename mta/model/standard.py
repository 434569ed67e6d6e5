"""What a standard says of one code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standard:
    """One code.

    :ivar code: a reply code such as ``550``, or the subject and detail of an
        enhanced status code such as ``7.26``.
    :ivar title: its name.
    :ivar meaning: what the server that gives it wants to say.
    :ivar cause: what usually leads to it.
    :ivar remedy: what a person can do.
    :ivar source: where it is defined; ``""`` if it is only in use.
    """

    code: str
    title: str
    meaning: str
    cause: str
    remedy: str
    source: str = ""
