"""What renders templates for requests, and what is answered where that cannot be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from mta.api.v1.refusal import Refusal
from mta.template.bundle import Bundle
from mta.template.problem import TemplateProblem

#: Problems of a template that are told.
_TOLD = 50


class Renderers(Protocol):
    """What renders: :class:`mta.template.pool.Pool`."""

    async def about(self, bundle: Bundle) -> dict[str, Any]:
        """What a template asks for."""

    async def render(self, bundle: Bundle, items: Any) -> list[Any]:
        """What becomes of each recipient's data."""


def template_refusal(problems: tuple[TemplateProblem, ...], place: str = "") -> Refusal:
    """Problems of a template, each with its field, line and column.

    :param place: JSON pointer to the template.
    """
    errors: list[Mapping[str, Any]] = [
        {
            "pointer": f"#{place}/{_pointer(problem.part)}",
            "detail": problem.what,
            **{
                name: value
                for name, value in problem.told().items()
                if name in ("kind", "part", "line", "column", "variable", "remedy")
            },
        }
        for problem in problems[:_TOLD]
    ]
    return Refusal("template", "; ".join(map(str, problems[:5])), errors)


def _pointer(part: str) -> str:
    """Where a part stands in a body."""
    kind, _, locale = part.partition(".")
    if kind in ("subject", "text", "html"):
        return f"translations/{locale}/{kind}" if locale else kind
    return f"translations/{locale}/messages" if kind == "messages" else ""
