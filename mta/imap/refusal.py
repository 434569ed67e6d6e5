"""Why a command is no command: the tagged BAD that its client reads (RFC 3501, 7.1.3).

What is understood and not done is :class:`~mta.mailbox.refusal.Refused`, a tagged NO.
"""

from __future__ import annotations

from mta.mailbox.refusal import Refused


class Bad(Exception):
    """This is no such command here and now.  The text is for the person who writes the client."""


__all__ = ["Bad", "Refused"]
