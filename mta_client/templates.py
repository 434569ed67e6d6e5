"""Templates: what messages are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mta_client.messages import without_empty


@dataclass(frozen=True, slots=True)
class Template:
    """One that the tenant has.

    :ivar live: the version that is used; ``None``: none is.
    """

    name: str
    live: int | None
    latest: int
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateVersion:
    """A version to be kept, in Jinja2.

    :ivar more: further members of the request, as the server's reference has them.
    """

    subject: str = ""
    text: str = ""
    html: str = ""
    locale: str = "en"
    strict: bool = True
    note: str = ""
    activate: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> dict[str, Any]:
        """As it is sent."""
        found = {name: getattr(self, name) for name in ("subject", "text", "html", "locale", "note")}
        return {**without_empty(found), "strict": self.strict, "activate": self.activate, **self.more}


@dataclass(frozen=True, slots=True)
class Preview:
    """What a template becomes."""

    subject: str
    text: str
    html: str
    missing: Sequence[str]


def template_of(value: Any) -> Template:
    """What was answered."""
    return Template(value["name"], value["live"], value["latest"], value["created"])


def preview_of(value: Any) -> Preview:
    """What was answered."""
    return Preview(value["subject"], value["text"], value["html"], tuple(value["missing"]))
