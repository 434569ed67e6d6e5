"""What is wrong with a file of addresses, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One thing that a person should mend.

    :ivar line: from 1; 0 when it concerns the whole file.
    """

    file: str
    line: int
    what: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.what}: {self.remedy}"


class FileError(ValueError):
    """The file cannot be used; its text has one line for each problem."""

    def __init__(self, problems: Sequence[FileProblem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)


class Wrong(Exception):
    """What is wrong with one line, and what to write; whoever reads the file knows the place."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
