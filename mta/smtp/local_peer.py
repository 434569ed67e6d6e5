"""Which user of the system a program is of that speaks over a UNIX socket."""

from __future__ import annotations

import socket
import struct
from typing import Any

_CREDENTIALS = struct.Struct("3i")


def user_of(transport: Any) -> int | None:
    """The number of the user; ``None`` where the system does not tell (unix(7), SO_PEERCRED)."""
    option = getattr(socket, "SO_PEERCRED", None)
    place = getattr(transport, "socket", None)
    if option is None or place is None or place.family != socket.AF_UNIX:
        return None
    try:
        _, user, _ = _CREDENTIALS.unpack(place.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    except (OSError, struct.error):
        return None
    return user if user >= 0 else None
