"""What is wrong with the configuration, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a person should change.

    :ivar file: path of the file as it was given; ``""`` when there is none.
    :ivar line: line in it, from 1; 0 when it concerns no line.
    :ivar key: the key in dotted form, such as ``queue.retry``; ``""`` for syntax.
    :ivar what: what is wrong.
    :ivar remedy: what to do.
    :ivar severity: an ``error`` keeps the server from starting, a ``warning`` does not.
    """

    file: str
    line: int
    key: str
    what: str
    remedy: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = f"{self.file or '(defaults)'}:{self.line}" if self.line else self.file or "(defaults)"
        words = [place, self.key, self.what, self.remedy]
        return ": ".join(word for word in words if word)

    def to_json(self) -> dict[str, Any]:
        """For ``mta check --json``."""
        return {
            "file": self.file,
            "line": self.line,
            "key": self.key,
            "what": self.what,
            "remedy": self.remedy,
            "severity": self.severity,
        }


class ConfigurationError(Exception):
    """The configuration cannot be used.

    :param problems: everything that is wrong with it, at least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)


class UnknownKind(LookupError):
    """No plugin has this kind.

    :param seam: the table, such as ``judge``.
    :param kind: the word that was given.
    :param known: the words that there are.
    :param trouble: why a plugin that may have it could not be read; ``""`` when all could.
    """

    def __init__(self, seam: str, kind: str, known: Iterable[str], trouble: str = "") -> None:
        super().__init__(f"no {seam} is of the kind {kind!r}")
        self.seam = seam
        self.kind = kind
        self.known = sorted(known)
        self.trouble = trouble


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that looks most like this one; ``""`` if none does."""
    candidates = {candidate.lower().replace("-", "_"): candidate for candidate in known}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), candidates, n=1, cutoff=0.6)
    return candidates[found[0]] if found else ""
