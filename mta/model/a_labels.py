"""Domain names in the form of the DNS (RFC 5890)."""

from __future__ import annotations

import idna


def a_labels(name: str) -> str:
    """A domain's name with its U-labels turned into A-labels, mapped as UTS 46 says: in lower case.

    :raise UnicodeError: if it is no name.
    """
    return idna.encode(name, uts46=True).decode("ascii")
