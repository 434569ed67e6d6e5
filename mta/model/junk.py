"""How a message is marked that nobody asked for but that is delivered all the same."""

from __future__ import annotations

#: The header field, on top of the message: what most programs that sort mail look for.
JUNK_FIELD = ("X-Spam-Flag", "YES")
