"""What the DNS says of a name, and whether that is proven."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Validated(NamedTuple):
    """Records of one type.

    :ivar values: the records.
    :ivar secure: whether a trusted server has validated them (DNSSEC), and all CNAMEs that led there.
    :ivar name: the end of these CNAMEs, in its ASCII form.
    """

    values: Sequence[Any]
    secure: bool
    name: str
