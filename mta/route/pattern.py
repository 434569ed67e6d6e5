"""Regular expressions over addresses, in time that is linear in their length.

They come from a file that somebody wrote, and are held against what strangers
send: RE2 has no backtracking, so no expression and no address makes it slow,
and it needs a bounded amount of memory.  What it does not know (look-around,
back-references) is an error when the file is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import re2

from mta.route.file_problem import Wrong

#: Octets for one compiled expression and its automaton.
MAX_MEMORY = 1 << 20

_OPTIONS = re2.Options()
_OPTIONS.case_sensitive = False
_OPTIONS.log_errors = False
_OPTIONS.max_mem = MAX_MEMORY

_REFERENCE = re.compile(r"\$(?:(\$)|(\d)|\{(\d{1,2})\}|\((\d{1,2})\))|\$")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One expression.

    :ivar text: as it was written, between the slashes.
    :ivar groups: how many groups in brackets it has.
    """

    text: str
    groups: int
    _compiled: Any

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Compile it.

        :raise Wrong: if it is none.
        """
        try:
            compiled = re2.compile(text, _OPTIONS)
        except UnicodeEncodeError:
            raise Wrong("the expression is no UTF-8", "write it anew") from None
        except re2.error as error:
            said = error.args[0] if error.args else ""
            why = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
            raise Wrong(
                f"/{text}/ is no regular expression: {why}",
                "write one as RE2 has it, without look-around and back-references",
            ) from None
        return cls(text, int(compiled.groups), compiled)

    def match(self, address: str) -> tuple[str, ...] | None:
        """What the groups hold, the whole first, if the expression is found in the address."""
        try:
            found = self._compiled.search(address)
        except UnicodeEncodeError:
            # Octets that are no UTF-8 fit nothing that anybody has written.
            return None
        if found is None:
            return None
        return (found.group(0), *(group or "" for group in found.groups()))


def check_references(value: str, groups: int) -> None:
    """Whether every ``$1`` of a value has its group.

    :raise Wrong: if not.
    """
    for found in _REFERENCE.finditer(value):
        number = found[2] or found[3] or found[4]
        if number is None and found[1] is None:
            raise Wrong(f"a $ in {value!r} names no group", "write $1 for the first group, $$ for the sign")
        if number is not None and int(number) > groups:
            raise Wrong(
                f"${number} in {value!r}, but the expression has {groups} groups in brackets",
                "count the opening brackets",
            )


def insert(value: str, groups: Sequence[str]) -> str:
    """A value with ``$1``, ``${1}``, ``$(1)`` replaced by the groups, ``$0`` by the whole."""
    if "$" not in value:
        return value

    def one(found: re.Match[str]) -> str:
        number = found[2] or found[3] or found[4]
        return "$" if number is None else groups[int(number)]

    return _REFERENCE.sub(one, value)
