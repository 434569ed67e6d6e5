"""What pages ask of the API, in the name of who looks at them; and what it refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol
from urllib.parse import quote

from mta.dashboard.page import Invalid, Redirect
from mta.dashboard.words import sentence


class Refused(Exception):
    """The API does not do it.

    :param detail: why, and what to do.
    :param errors: by place (``variants.0.template``), what is wrong there.
    """

    def __init__(self, detail: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = dict(errors or {})

    def invalid(self, fields: Mapping[str, str]) -> Invalid:
        """The same beside the fields of a form.

        :param fields: by the beginning of a place, the field's name.
        """
        found: dict[str, str] = {}
        for place, what in self.errors.items():
            name = next((field for begin, field in fields.items() if place.startswith(begin)), "")
            words = what if name or not place else f"{place}: {what}"
            found[name] = f"{found[name]}\n{words}" if name in found else words
        return Invalid(found or {"": self.detail})

    def back(self, path: str) -> Redirect:
        """The same on another page."""
        return Redirect(path, sentence(self.detail), "bad")


class Ask(Protocol):
    """Asks the API."""

    def __call__(
        self,
        visit: Any,
        method: str,
        path: str,
        names: Mapping[str, str] = ...,
        *,
        query: Mapping[str, Any] = ...,
        body: Mapping[str, Any] | None = ...,
    ) -> Awaitable[dict[str, Any]]:
        """The answer as JSON values.

        :param path: as the route has it, with braces.
        :param names: what stands in them.
        :raise Trouble: with 404, if there is no such thing.
        :raise Refused: if it does not do it.
        """


def place_of(root: str, name: str) -> str:
    """Where something of a name is."""
    return f"{root}/at/{quote(name, safe='')}"
