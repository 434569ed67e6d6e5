"""TLSA records: which certificate a server must show, by the word of the DNS (RFC 6698)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One TLSA record (RFC 6698, 2.1): which certificate or key a server must show."""

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        return f"TLSA {self.usage} {self.selector} {self.matching}"

    @property
    def text(self) -> str:
        """As a zone file has it (RFC 6698, 2.2)."""
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"

    @property
    def usable(self) -> bool:
        """Whether it can be compared with anything, and SMTP knows its usage (RFC 7672, 3.1.3)."""
        sizes = {1: 32, 2: 64}
        return (
            self.usage in (2, 3)
            and self.selector in (0, 1)
            and (bool(self.data) if self.matching == 0 else sizes.get(self.matching) == len(self.data))
        )
