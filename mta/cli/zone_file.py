"""Text as it stands in a zone file (RFC 1035, 5.1); pure."""

from __future__ import annotations

#: Octets of one string of a TXT record (RFC 1035, 3.3).
_STRING = 255


def quoted_text(text: str) -> str:
    """The value of a TXT record: strings in quotes, which whoever reads them joins."""
    octets = text.encode()
    strings = [octets[start : start + _STRING] for start in range(0, len(octets), _STRING)] or [b""]
    return " ".join(f'"{_escaped(string)}"' for string in strings)


def _escaped(octets: bytes) -> str:
    return "".join(
        f"\\{chr(octet)}" if octet in b'"\\' else chr(octet) if 32 <= octet < 127 else f"\\{octet:03d}"
        for octet in octets
    )
