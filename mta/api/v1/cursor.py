"""Where a list goes on: an opaque text in ``next``, which is given back as ``cursor``."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from pydantic import Field

from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Model

#: Entries on a page, at the most.
MOST = 1000
#: The largest number that a database takes.
MOST_NUMBER = 2**63 - 1


class Page(Model):
    """Which part of a list to show."""

    limit: int = Field(100, ge=1, le=MOST, description="entries on a page")
    cursor: str = Field("", max_length=500, description="`next` of the page before")

    def after(self, *kinds: type) -> list[Any] | None:
        """What :func:`cursor` was given for the page before; ``None`` for the first page.

        :param kinds: the types that it must have.
        :raise Refusal: if it is none of ours.
        """
        if not self.cursor:
            return None
        try:
            found = json.loads(base64.b64decode(self.cursor.encode(), b"-_", validate=True))
        except (ValueError, binascii.Error, UnicodeEncodeError, RecursionError):
            found = None
        if (
            not isinstance(found, list)
            or len(found) != len(kinds)
            or not all(type(one) is kind for one, kind in zip(found, kinds, strict=True))
            or any(isinstance(one, int) and abs(one) > MOST_NUMBER for one in found)
        ):
            error = {"parameter": "cursor", "in": "query", "detail": "it is no `next` of this list"}
            raise Refusal("invalid", "cursor: it is no `next` of this list", [error])
        return found


def cursor(*place: Any) -> str:
    """A text that stands for a place in a list: JSON values."""
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode()
