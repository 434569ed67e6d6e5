"""What is wrong with the name that a client says after HELO; pure."""

from __future__ import annotations

import re

from mta.model.network import parsed

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})+\Z")


def literal(helo: str) -> str | None:
    """The address of an address literal (RFC 5321, 4.1.3); ``None`` if it is none."""
    if not (helo.startswith("[") and helo.endswith("]")):
        return None
    address = helo[1:-1]
    if address.lower().startswith("ipv6:"):
        address = address[5:]
    return address if parsed(address) is not None else None


def faults(helo: str, client: str, hostname: str) -> list[tuple[str, str]]:
    """What is wrong, as (setting, words): what can be seen without asking anybody.

    :param client: its address.
    :param hostname: our name.
    """
    name = helo.rstrip(".").lower()
    if name in (hostname.lower(), "localhost", "localhost.localdomain"):
        return [("helo_own_name", f"HELO {helo} is our own name")]
    address = literal(helo)
    if address is not None:
        found = [("helo_literal", f"HELO {helo} is an address, not a name")]
        if parsed(address) != parsed(client):
            found.append(("helo_false_literal", f"HELO {helo} is the address of somebody else"))
        return found
    ascii_name = name
    if not name.isascii():
        try:
            ascii_name = name.encode("idna").decode()
        except UnicodeError:
            ascii_name = ""
    if not _NAME.match(ascii_name) or ascii_name.rpartition(".")[2].isdigit():
        return [("helo_syntax", f"HELO {helo} is no full name of a host")]
    return []
