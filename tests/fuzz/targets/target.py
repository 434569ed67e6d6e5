"""What is fuzzed: a reader of strangers' octets, and octets that lead far into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One.

    :ivar name: on the command line.
    :ivar run: takes any octets.  It raises nothing that the reader is documented to raise, and
        asserts what must hold whatever comes.
    :ivar seeds: octets that lead far into the reader.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
