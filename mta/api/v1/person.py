"""Addresses in requests: an object with ``email`` and ``name``, or a text: ``Ann <ann@example.org>``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from mta.api.v1.route import Model
from mta.compose.fields import Mailbox
from mta.model.a_labels import a_labels
from mta.model.address import parse_address

_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<email>[^<>]*)>\s*\Z")
_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def canonical(text: str) -> str:
    """An address in canonical form, the domain with A-labels.

    :raise ValueError: if it is none.
    """
    if _CONTROLS.search(text) or any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError("an address has no controls in it")
    address = parse_address(text.strip())
    domain = address.domain
    if not domain.isascii():
        try:
            domain = a_labels(domain)
        except UnicodeError as error:
            raise ValueError(f"{domain!r} is no domain: {error}") from None
    if not _DOMAIN.match(domain) or len(domain) > 253:
        raise ValueError(f"{domain!r} is no domain that mail can go to")
    return str(address).removesuffix(address.domain) + domain


class Person(Model):
    """An address, and who has it."""

    email: str = Field(max_length=320)
    name: str = Field("", max_length=200)

    @field_validator("email")
    @classmethod
    def _is_address(cls, value: str) -> str:
        return canonical(value)

    @field_validator("name")
    @classmethod
    def _stays_in_line(cls, value: str) -> str:
        if _CONTROLS.search(value) or any("\ud800" <= c <= "\udfff" for c in value):
            raise ValueError("a name has no line breaks and no controls in it")
        return value.strip()

    def mailbox(self) -> Mailbox:
        """As it is composed."""
        return Mailbox(self.email, self.name)


def _read(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    named = _NAMED.match(value)
    if named is None:
        return {"email": value}
    name = named["name"].strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1].replace('\\"', '"')
    return {"email": named["email"], "name": name}


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, (str, dict)) else value


OnePerson = Annotated[Person, BeforeValidator(_read, json_schema_input_type=str | Person)]
People = Annotated[
    list[OnePerson], BeforeValidator(_listed, json_schema_input_type=str | Person | list[str | Person])
]
