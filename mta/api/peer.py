"""Who is at the other end of a UNIX socket."""

from __future__ import annotations

import pwd
import socket
import struct
from typing import Any

from twisted.web.iweb import IRequest


def who(request: IRequest, claimed: str) -> str:
    """The user at the other end, as the kernel knows it; otherwise who they say they are."""
    transport: Any = getattr(request, "channel", None)
    transport = getattr(transport, "transport", None)
    connection = getattr(transport, "socket", None)
    if connection is None:
        return claimed or "unknown"
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", packed)
    except (OSError, AttributeError, struct.error):
        return claimed or "unknown"
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return user if claimed in ("", user) else f"{claimed} ({user})"
