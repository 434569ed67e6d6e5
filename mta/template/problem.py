"""What is wrong with a template, or with data for it: where, what, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["syntax", "missing", "error", "limit", "reference", "header"]


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """One mistake.

    :ivar kind: ``syntax``: it is no template; ``missing``: a variable that the data has not;
        ``reference``: a layout or partial that is not there; ``limit``: it takes too much time, memory
        or room; ``header``: what comes out cannot be a subject; ``error``: anything else.
    :ivar what: in words.
    :ivar part: ``subject``, ``text``, ``html``, or the name of a layout or partial; ``""``: all of it.
    :ivar line: from 1; 0: not known.
    :ivar column: from 1; 0: not known.
    :ivar variable: the path of a variable that is missing.
    :ivar remedy: what to do.
    """

    kind: Kind
    what: str
    part: str = ""
    line: int = 0
    column: int = 0
    variable: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        where = self.part
        if self.line:
            where += f", line {self.line}" + (f", column {self.column}" if self.column else "")
        text = f"{where}: {self.what}" if where else self.what
        return f"{text}; {self.remedy}" if self.remedy else text

    def told(self) -> dict[str, Any]:
        """As JSON values, without what is empty."""
        return {name: value for name, value in asdict(self).items() if value}


class TemplateError(Exception):
    """A template cannot be used, or gives no message with these data.

    :ivar problems: at least one.
    """

    def __init__(self, *problems: TemplateProblem) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems
