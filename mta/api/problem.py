"""What went wrong, for a program: problem documents of RFC 9457."""

from __future__ import annotations

import json
from typing import Any


class ApiProblem(Exception):
    """A request cannot be answered as it was asked.

    :param status: the HTTP status.
    :param title: what kind of problem it is, the same each time.
    :param detail: what is wrong this time, and what to do.
    :param more: further members of the document, JSON values.
    """

    def __init__(self, status: int, title: str, detail: str = "", **more: Any) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.status = status
        self.title = title
        self.detail = detail
        self.more = more
        self.type = "about:blank"

    def encode(self) -> bytes:
        """The document; its media type is ``application/problem+json``."""
        document: dict[str, Any] = {"type": self.type, "title": self.title, "status": self.status}
        if self.detail:
            document["detail"] = self.detail
        document.update(self.more)
        return json.dumps(document, default=str).encode() + b"\n"
