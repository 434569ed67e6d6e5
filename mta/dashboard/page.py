"""What a module of pages declares of each of them, and what its handlers answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, field_validator
from twisted.internet.defer import Deferred

from mta.dashboard.role import Right

if TYPE_CHECKING:
    from mta.dashboard.visit import Visit


#: Below it a whole number fits into a database.
_TOO_GREAT = 1 << 63


class _Given(BaseModel):
    """What a visitor gives; a number that no database takes is a mistake of theirs, not trouble of ours."""

    @field_validator("*")
    @classmethod
    def _fits(cls, value: Any) -> Any:
        if isinstance(value, int) and not -_TOO_GREAT <= value < _TOO_GREAT:
            raise ValueError("this number is too great")
        return value


class Query(_Given):
    """What may stand behind the question mark; what else does is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Form(_Given):
    """What a form sends; a field that it does not have is a mistake of the page."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


@dataclass(slots=True)
class Html:
    """A page made of a template.

    :ivar template: its name in ``pages/``.
    :ivar values: what it is made of, besides what every page has (see :mod:`mta.dashboard.rendering`).
    :ivar status: of HTTP.
    """

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(slots=True)
class Redirect:
    """Another page, with a word about what was done.

    :ivar path: under ``/dashboard/``.
    :ivar said: shown once on the next page; ``""``: nothing.
    :ivar tone: ``good``, ``note``, ``warn`` or ``bad``.
    """

    path: str
    said: str = ""
    tone: str = "good"


@dataclass(slots=True)
class Download:
    """Octets to be saved, or shown in a frame of their own.

    :ivar name: of the file; ``""``: it is not saved but shown.
    :ivar headers: further header fields; they take the place of ours.
    """

    content: bytes
    media: str
    name: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Live:
    """An answer that is written piece by piece: server-sent events, or a long file.

    :ivar run: writes to the request; it is cancelled when the client goes.
    :ivar media: what is written.
    :ivar name: of the file that it is saved as; ``""``: it is not saved.
    """

    run: Callable[[Any], Deferred[Any]]
    media: str = "text/event-stream"
    name: str = ""


Answered: TypeAlias = Html | Redirect | Download | Live
Handler: TypeAlias = "Callable[[Visit], Awaitable[Answered]]"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What is asked before something is done that cannot be undone.

    :ivar title: a question: ``Remove 3 messages?``.
    :ivar text: what happens then.
    :ivar button: what the button says: a verb.
    :ivar back: where to go instead.
    :ivar facts: what it concerns, as pairs of name and value.
    :ivar danger: whether it cannot be undone.
    :ivar reason: the label of a field ``reason`` that may be filled in; ``""``: there is none.
    """

    title: str
    text: str
    button: str
    back: str
    facts: Sequence[tuple[str, str]] = ()
    danger: bool = True
    reason: str = ""


class Trouble(Exception):
    """A page that says what is wrong.

    :param status: of HTTP.
    :param title: what is wrong, in a few words.
    :param text: what that means.
    :param remedy: what to do.
    """

    def __init__(self, status: int, title: str, text: str = "", remedy: str = "") -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.text = text
        self.remedy = remedy


def missing(what: str, remedy: str = "") -> Trouble:
    """There is no such thing, or not for this visitor, which looks the same.

    :param what: such as ``There is no such message``.
    """
    return Trouble(404, what, "It may have been removed meanwhile, or the address is misspelt.", remedy)


def no_tenant(name: str) -> Trouble:
    """Somebody is of a tenant that there is not, or not yet."""
    return Trouble(
        403,
        f"There is no tenant {name}",
        "The table [dashboard] of mta.toml names it, but it was not made, or was removed.",
        f"Who runs the server makes it with `mta tenant add {name}`.",
    )


def misspelt(what: str) -> Trouble:
    """The query is none that a page of ours has made.

    :param what: is wrong with it.
    """
    return Trouble(400, "This address is misspelt", what, "Begin at the menu.")


class Invalid(Exception):
    """A form has mistakes that are found only when it is carried out; it is shown again with them.

    :param errors: by field, what is wrong and what to do; ``""``: of the whole form.
    """

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = dict(errors)


def wrong_field(error: ValueError, form: type[BaseModel]) -> Invalid:
    """A mistake that a store has found, beside the field whose name stands before its colon."""
    place, colon, what = str(error).partition(": ")
    name = place.partition(".")[0]
    return Invalid({name: what}) if colon and name in form.model_fields else Invalid({"": str(error)})


@dataclass(frozen=True, slots=True)
class Page:
    """One page, or one thing that a form does, declared once.

    :ivar method: ``GET`` to look, ``POST`` to do.
    :ivar path: such as ``/dashboard/queue/{id}``.
    :ivar handler: answers.
    :ivar right: who may.
    :ivar title: of the window, and the heading.
    :ivar query: model of the query.
    :ivar form: model of the form of a ``POST``.
    :ivar again: shows the page with the form once more if it has mistakes; ``None``: they stand on a
        page of their own.
    :ivar confirm: what is asked before; ``None``: nothing is destroyed.
    :ivar upload: octets that the form may have, where it sends files; 0: it sends none.
    """

    method: str
    path: str
    handler: Handler
    right: Right
    title: str = ""
    query: type[BaseModel] | None = None
    form: type[BaseModel] | None = None
    again: Handler | None = None
    confirm: Callable[[Visit], Awaitable[Confirmation | None]] | None = None
    upload: int = 0

    @property
    def parameters(self) -> list[str]:
        """The names in the path's braces."""
        return [part.partition("}")[0] for part in self.path.split("{")[1:]]
