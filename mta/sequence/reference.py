"""The reference of definitions, made of the models; ``python -m mta.sequence.reference`` prints the page."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mta.sequence.condition import COMPARISONS, OUTCOMES
from mta.sequence.definition import STEPS, Cap, Definition, Leave, Quiet, Trigger

#: What tables are called.
_TABLES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("The sequence itself", Definition),
    ("[[triggers]]", Trigger),
    ("[[exits]]", Leave),
    ("[quiet]", Quiet),
    ("[cap]", Cap),
)


def lines() -> Iterator[str]:
    """The lines of the page."""
    yield "Sequences"
    yield "========="
    yield ""
    yield ".. This page is made by python -m mta.sequence.reference; a test holds it to the program."
    yield ""
    yield "What a definition may say, in TOML or in JSON.  :doc:`../guides/sequences` has an example."
    yield "Unknown keys are mistakes, which are told with their place and the nearest known key."
    yield ""
    for title, model in _TABLES:
        yield from _section(title, model)
    yield "Steps"
    yield "-----"
    yield ""
    yield "Each ``[[steps]]`` has"
    yield ""
    yield from _fields({name: field for name, field in STEPS["exit"].model_fields.items() if name in _COMMON})
    yield ""
    for word, step in STEPS.items():
        fields = {name: field for name, field in step.model_fields.items() if name not in (*_COMMON, "do")}
        heading = f'do = "{word}"'
        yield heading
        yield "~" * len(heading)
        yield ""
        yield _sentence(step)
        yield ""
        if fields:
            yield from _fields(fields)
            yield ""
    yield "Conditions"
    yield "----------"
    yield ""
    outcomes = ", ".join(f"``{word}``" for word in OUTCOMES)
    yield f"Of this run: {outcomes} with the id of a step; ``event`` with ``where`` and ``at_least``."
    yield "All others are those of segments (:doc:`../guides/contacts`)."
    yield "``all``, ``any`` and ``not`` join them."
    yield ""
    yield "``where`` compares properties by " + ", ".join(f"``{word}``" for word in COMPARISONS) + "."


_COMMON = ("id", "title", "next")


def _section(title: str, model: type[BaseModel]) -> Iterator[str]:
    yield title
    yield "-" * len(title)
    yield ""
    yield _sentence(model)
    yield ""
    yield from _fields(model.model_fields)
    yield ""


def _sentence(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _fields(fields: dict[str, FieldInfo]) -> Iterator[str]:
    for name, field in fields.items():
        key = field.alias or name
        yield f"``{key}`` ({_default(field)})"
        yield f"    {field.description}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value in (None, "", (), {}):
        return "may be left out"
    return f"``{str(value).lower() if isinstance(value, bool) else value}``"


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
