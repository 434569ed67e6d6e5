"""Which rule fits a message."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from fnmatch import translate
from typing import Any, Literal

import re2
from pydantic import Field, field_validator, model_validator

from mta.config.settings import OneOrMore, Size, Table
from mta.judge.content.parts import Part
from mta.model.header import header_fields

#: Octets for one compiled expression and its automaton; no expression and no message makes it slow.
_OPTIONS = re2.Options()
_OPTIONS.case_sensitive = False
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20
_NAME = re.compile(r"[!-9;-~]{1,200}")


class Rule(Table):
    """One rule; it fits where everything that it says fits.

    ``attachment``, ``type`` and ``attachment_larger`` are about one and the same part.
    """

    name: str = Field(min_length=1, max_length=100)
    action: Literal["reject", "hold", "tag"]
    header: dict[str, str] = Field(default_factory=dict)
    missing: OneOrMore = Field(default_factory=list)
    attachment: OneOrMore = Field(default_factory=list)
    type: OneOrMore = Field(default_factory=list)
    attachment_larger: Size = 0
    message_larger: Size = 0
    reason: str = ""
    fields: dict[str, str] = Field(default_factory=dict)

    @field_validator("header")
    @classmethod
    def _are_expressions(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            _check_name(name)
            try:
                re2.compile(text, _OPTIONS)
            except re2.error as error:
                said = error.args[0] if error.args else ""
                why = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
                raise ValueError(f"{name}: no expression as RE2 has it: {why}") from None
        return value

    @field_validator("missing", "fields")
    @classmethod
    def _are_names(cls, value: Any) -> Any:
        for name in value:
            _check_name(name)
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        conditions = (self.header, self.missing, self.attachment, self.type)
        if not any(conditions) and not self.attachment_larger and not self.message_larger:
            names = "header, missing, attachment, type, attachment_larger or message_larger"
            raise ValueError(f"it fits every message: give {names}")
        if self.action == "tag" and not self.fields:
            raise ValueError('"tag" needs "fields", such as { X-Spam = "Yes" }')
        return self


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header field")


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that fits.

    :ivar rule: which.
    :ivar what: why it fits, for the journal.
    """

    rule: Rule
    what: str


@dataclass(slots=True)
class _Compiled:
    rule: Rule
    header: list[tuple[bytes, Any]] = field(default_factory=list)
    missing: list[bytes] = field(default_factory=list)
    names: re.Pattern[str] | None = None
    types: re.Pattern[str] | None = None

    @property
    def about_parts(self) -> bool:
        return bool(self.names or self.types or self.rule.attachment_larger)


class Rules:
    """All rules of one judge.

    :param rules: in the order in which they are asked.
    :ivar about_parts: whether any of them needs the parts of a message.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [_compiled(rule) for rule in rules]
        self.about_parts = any(rule.about_parts for rule in self._rules)

    def fitting(self, header: bytes, size: int, parts: Sequence[Part]) -> list[Finding]:
        """Those that fit, in their order.

        :param header: the header section.
        :param size: octets of the whole message.
        :param parts: empty where no rule is about them.
        """
        fields: dict[bytes, list[str]] = {}
        if any(rule.header or rule.missing for rule in self._rules):
            for octets in header_fields(header):
                name, _, value = octets.partition(b":")
                fields.setdefault(name.strip().lower(), []).append(_decoded(value))
        found = []
        for rule in self._rules:
            what = _fits(rule, fields, size, parts)
            if what is not None:
                found.append(Finding(rule.rule, what))
        return found


def _compiled(rule: Rule) -> _Compiled:
    header = [(name.lower().encode(), re2.compile(text, _OPTIONS)) for name, text in rule.header.items()]
    missing = [name.lower().encode() for name in rule.missing]
    return _Compiled(rule, header, missing, _globs(rule.attachment), _globs(rule.type))


def _globs(patterns: Iterable[str]) -> re.Pattern[str] | None:
    words = [translate(pattern.lower()) for pattern in patterns]
    return re.compile("|".join(words)) if words else None


def _fits(rule: _Compiled, fields: dict[bytes, list[str]], size: int, parts: Sequence[Part]) -> str | None:
    """Why a rule fits; ``None`` if it does not."""
    reasons = []
    settings = rule.rule
    if settings.message_larger:
        if size <= settings.message_larger:
            return None
        reasons.append(f"the message has {size} octets")
    for name in rule.missing:
        if name in fields:
            return None
        reasons.append(f"there is no {name.decode()} field")
    for name, pattern in rule.header:
        value = next((one for one in fields.get(name, ()) if pattern.search(one)), None)
        if value is None:
            return None
        reasons.append(f"{name.decode()}: {value[:100]}")
    if rule.about_parts:
        part = next((one for one in parts if _part_fits(rule, one)), None)
        if part is None:
            return None
        reasons.append(str(part))
    return "; ".join(reasons)


def _part_fits(rule: _Compiled, part: Part) -> bool:
    if rule.names is not None and not any(rule.names.match(name) for name in part.names):
        return False
    if rule.types is not None and not rule.types.match(part.type):
        return False
    larger = rule.rule.attachment_larger
    # What is shown as the text of the message is no attachment, however long it is.
    return not larger or (part.size > larger and (part.attached or bool(part.names)))


def _decoded(value: bytes) -> str:
    """A field's value in words (RFC 2047), or as it stands there if nobody can read it."""
    text = value.replace(b"\r\n", b"").decode("utf-8", "replace").strip()[:10_000]
    if "=?" in text:
        with suppress(HeaderParseError, LookupError, ValueError):
            text = str(make_header(decode_header(text)))
    # What RE2 cannot take, nobody sees either.
    return text.encode("utf-8", "replace").decode()
