"""Whether a filter of ours calls a message spam, by the header fields that it put on."""

from __future__ import annotations

import re
from collections import Counter

from mta.config.settings import Junk
from mta.model.header import header_fields


class JunkRules:
    """See the module.

    Only fields count that a judge of ours has added or changed: with one of a stranger's anybody
    could have their mail filed away unread.

    :param settings: which fields say so; ``None``: none does.
    :ivar folder: where such mail goes; ``""``: to the inbox.
    """

    def __init__(self, settings: Junk | None = None) -> None:
        self.folder = settings.folder if settings is not None else ""
        rules = settings.fields if self.folder and settings is not None else []
        self._rules = [(name.strip().lower(), _pattern(value)) for name, _, value in map(_parted, rules)]

    def mark(self, before: bytes, after: bytes) -> str:
        """The field that says so, as it stands there; ``""`` without.

        :param before: the header section as it came.
        :param after: as it is now, with what is put on top.
        """
        if not self._rules:
            return ""
        for octets in Counter(header_fields(after)) - Counter(header_fields(before)):
            name, _, value = octets.decode("utf-8", "replace").partition(":")
            text = " ".join(value.split())
            for wanted, pattern in self._rules:
                if name.strip().lower() == wanted and pattern.fullmatch(text):
                    return f"{name.strip()}: {text}"[:200]
        return ""


def _parted(rule: str) -> tuple[str, str, str]:
    return rule.partition(":")


def _pattern(value: str) -> re.Pattern[str]:
    """``*`` stands for anything; case counts for nothing."""
    return re.compile(".*".join(map(re.escape, value.strip().split("*"))), re.IGNORECASE | re.DOTALL)
