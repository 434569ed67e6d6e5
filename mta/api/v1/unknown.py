"""What is said of a member or parameter that there is not: the nearest that there is; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from mta.config.problem import nearest


def unknown(model: type[BaseModel] | None, place: Sequence[Any]) -> str:
    """Words for a name that a model does not know.

    :param model: of the body or of the query.
    :param place: where the name stands, as pydantic tells it; the name is the last.
    """
    known = _names(model, place[:-1]) if model is not None else []
    like = nearest(str(place[-1]), known) if known else ""
    return f"there is no such name here; did you mean {like}?" if like else "there is no such name here"


def _names(model: type[BaseModel], place: Sequence[Any]) -> list[str]:
    models = [model]
    for part in place:
        if isinstance(part, int):
            continue
        found = [
            inner
            for one in models
            for name, field in one.model_fields.items()
            if part in (name, field.alias)
            for inner in _models(field.annotation)
        ]
        # What is no name of a member tells which of several models was tried.
        models = found or models
    return [field.alias or name for one in models for name, field in one.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that stand in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
