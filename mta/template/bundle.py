"""A template with all that it needs: a value that never changes and is known by its digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal

Kind = Literal["subject", "text", "html"]
#: The parts of a template, in the order in which they are rendered.
KINDS: tuple[Kind, ...] = ("subject", "text", "html")
#: Octets of all sources of a bundle.
MOST_OCTETS = 1 << 20

#: By message: its translation, or for a plural its translations by CLDR category (``one``, ``other``).
Messages = Mapping[str, str | Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Parts:
    """Sources of the parts; ``""``: it has none."""

    subject: str = ""
    text: str = ""
    html: str = ""

    def of(self, kind: Kind) -> str:
        """One of them."""
        return str(getattr(self, kind))


@dataclass(frozen=True, slots=True)
class Translation:
    """What is different in another language: whole parts, single messages, or both."""

    parts: Parts = Parts()
    messages: Messages = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A template as it is rendered.

    :ivar parts: in its own language.
    :ivar locale: its own language, such as ``en`` or ``de-AT``.
    :ivar translations: by locale.
    :ivar included: layouts and partials by the name under which they are included
        (``layouts/base``, ``partials/footer``).
    :ivar strict: whether a variable that is missing refuses the message.
    :ivar inline_css: whether rules of ``<style>`` are written into the elements.
    """

    parts: Parts
    locale: str = "en"
    translations: Mapping[str, Translation] = field(default_factory=dict)
    included: Mapping[str, Parts] = field(default_factory=dict)
    strict: bool = True
    inline_css: bool = True

    def encode(self) -> str:
        """As JSON, always the same for the same bundle."""
        value = {
            "parts": _parts(self.parts),
            "locale": self.locale,
            "translations": {
                name: {"parts": _parts(one.parts), "messages": one.messages}
                for name, one in self.translations.items()
            },
            "included": {name: _parts(one) for name, one in self.included.items()},
            "strict": self.strict,
            "inline_css": self.inline_css,
        }
        return json.dumps(value, sort_keys=True, separators=(",", ":"), default=dict)

    @property
    def size(self) -> int:
        """Octets of all sources, roughly."""
        return len(self.encode())

    @classmethod
    def decode(cls, text: str) -> Bundle:
        """The bundle that :meth:`encode` has written."""
        value: dict[str, Any] = json.loads(text)
        return cls(
            parts=Parts(**value["parts"]),
            locale=value["locale"],
            translations={
                name: Translation(Parts(**one["parts"]), one["messages"])
                for name, one in value["translations"].items()
            },
            included={name: Parts(**one) for name, one in value["included"].items()},
            strict=value["strict"],
            inline_css=value["inline_css"],
        )


def digest_of(encoded: str) -> str:
    """What a bundle is known by.

    :param encoded: as :meth:`Bundle.encode` writes it.
    """
    return blake2b(encoded.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _parts(parts: Parts) -> dict[str, str]:
    return {kind: parts.of(kind) for kind in KINDS if parts.of(kind)}


@dataclass(frozen=True, slots=True)
class Rendered:
    """What became of a bundle and one recipient's data.

    :ivar subject: one line.
    :ivar text: lines ended by LF; made from the HTML where the template has none.
    :ivar html: ``""``: there is none.
    :ivar locale: the language in which it is.
    :ivar missing: variables that were not there, where that is no mistake.
    """

    subject: str
    text: str
    html: str
    locale: str
    missing: tuple[str, ...] = ()
