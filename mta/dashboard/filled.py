"""A form as somebody has filled it in: its values, its mistakes, and the model made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from mta.dashboard.page import Trouble
from mta.dashboard.words import sentence

#: Fields of one form.
_MOST_FIELDS = 2000
#: Octets of a form that sends no file.
MOST_OCTETS = 1 << 20
#: What every form has besides its own fields.
CSRF, CONFIRMED = "csrf", "confirmed"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was sent.

    :ivar name: as the browser calls it: nothing to be trusted.
    """

    name: str
    content: bytes


@dataclass(slots=True)
class Filled:
    """See the module.

    :ivar values: by field, what was filled in, as text: to be shown again.
    :ivar files: by field, what was sent.
    :ivar errors: by field, what is wrong with it; ``""``: with the whole form.
    :ivar value: the page's model; ``None``: there are errors, or no form was sent.
    :ivar csrf: what proves that one of our pages sent it.
    :ivar confirmed: whether it was asked and answered.
    """

    values: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, Upload] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    value: Any = None
    csrf: str = ""
    confirmed: bool = False

    def text(self, name: str, default: Any = "") -> str:
        """What a field is to show: what was filled in, else a default."""
        found = self.values.get(name)
        if found:
            return found[-1]
        if self.values:
            return ""
        return "" if default is None else str(default)

    def texts(self, name: str) -> list[str]:
        """All values of a field that has several."""
        return self.values.get(name, [])

    def checked(self, name: str, option: str = "on", default: bool = False) -> bool:
        """Whether a box is to be ticked, or an option chosen."""
        return option in self.values.get(name, []) if self.values else default

    def check(self, model: type[BaseModel]) -> None:
        """Make the model, or say what is wrong."""
        given: dict[str, Any] = {}
        for name, texts in self.values.items():
            of = model.model_fields.get(name)
            several = of is not None and ("list" in str(of.annotation) or "set[" in str(of.annotation))
            given[name] = texts if several else texts[-1]
        given.update(self.files)
        try:
            self.value = model.model_validate(given)
        except ValidationError as error:
            self.errors.update(mistakes(error))


def read_form(content: bytes, media: str, most: int) -> Filled:
    """What a browser sent.

    :param content: the body.
    :param media: the field ``Content-Type``.
    :param most: octets, where files may be sent; 0: none may.
    :raise Trouble: if it cannot be read.
    """
    kind = media.partition(";")[0].strip().lower()
    if len(content) > (most or MOST_OCTETS):
        raise Trouble(
            413, "This is too large", f"At most {(most or MOST_OCTETS) >> 20} MiB can be sent with this form."
        )
    if kind == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(
                content.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
            )
        except ValueError:
            raise Trouble(400, "This form cannot be read") from None
        return _filled(pairs, {})
    if kind == "multipart/form-data" and most:
        return _multipart(content, media, most)
    raise Trouble(415, "This form cannot be read", f"It was sent as {kind or 'nothing'!r}.")


def _multipart(content: bytes, media: str, most: int) -> Filled:
    from werkzeug.exceptions import HTTPException
    from werkzeug.formparser import FormDataParser
    from werkzeug.http import parse_options_header

    kind, options = parse_options_header(media)
    parser = FormDataParser(
        # Otherwise what is large would go into a file.
        stream_factory=lambda *_, **__: BytesIO(),
        max_form_memory_size=most,
        max_form_parts=_MOST_FIELDS,
        silent=False,
    )
    try:
        _, form, files = parser.parse(BytesIO(content), kind, len(content), options)
    except (ValueError, HTTPException):
        raise Trouble(400, "This form cannot be read") from None
    uploads = {name: Upload(file.filename or "", file.stream.read()) for name, file in files.items()}
    # A browser sends a file without a name where none was chosen.
    return _filled(list(form.items(multi=True)), {n: u for n, u in uploads.items() if u.name or u.content})


def _filled(pairs: list[tuple[str, str]], files: dict[str, Upload]) -> Filled:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        # Browsers end the lines of a text with CR LF (HTML, 4.10.21.5).
        values.setdefault(name, []).append(value.replace("\r\n", "\n"))
    csrf = values.pop(CSRF, [""])[-1]
    confirmed = values.pop(CONFIRMED, [""])[-1] == "yes"
    return Filled(values, files, csrf=csrf, confirmed=confirmed)


def mistakes(error: ValidationError) -> dict[str, str]:
    """What is wrong, by field, in words for a person."""
    found: dict[str, str] = {}
    for one in error.errors(include_url=False):
        place = str(one["loc"][0]) if one["loc"] else ""
        found.setdefault(place, _said(one["type"], str(one["msg"]), one.get("ctx") or {}))
    return found


def _said(kind: str, text: str, context: Mapping[str, Any]) -> str:
    match kind:
        case "missing":
            return "Fill this in."
        case "string_too_short":
            return "Fill this in." if context.get("min_length") == 1 else f"{text}."
        case "string_too_long":
            return f"At most {context.get('max_length')} characters."
        case "int_parsing" | "float_parsing" | "int_from_float":
            return "Give a number."
        case "extra_forbidden":
            return "This field is not known; load the page again."
        case "value_error":
            return sentence(text.removeprefix("Value error, "))
        case _:
            return f"{text}." if not text.endswith(".") else text
