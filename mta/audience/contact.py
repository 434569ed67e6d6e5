"""A contact: an address of a tenant, and what the tenant knows of the person behind it; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from zoneinfo import ZoneInfo

from mta.registry.endpoints import checked_url
from mta.registry.suppressions import checked_address
from mta.template.locale import tag

#: Channels by which a contact may be told of something.
CHANNELS = ("mail", "webhook")
#: Characters of a name, and of where consent came from.
LONGEST_NAME = 200
LONGEST_SOURCE = 500
#: Attributes of one contact, and octets of all of them as JSON.
MOST_ATTRIBUTES = 200
MOST_OCTETS = 16 * 1024
#: Values within values.
_DEEPEST = 4
#: The name of an attribute; a dot leads into a value that is an object.
ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class NoContact(LookupError):
    """The tenant has no such contact."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One person, as one tenant knows them.

    :ivar id: number of the row; the same for as long as the contact lives.
    :ivar address: as the suppression list has it; where mail goes.
    :ivar name: for people.
    :ivar attributes: JSON values by name.
    :ivar time_zone: of the IANA's, such as ``Europe/Vienna``; ``""``: UTC.
    :ivar locale: such as ``de-AT``; ``""``: that of the template.
    :ivar channel: how notifications come: ``mail`` or ``webhook``.
    :ivar webhook: where they are posted to.
    :ivar source: where consent came from: a form, a file, a telephone call.
    :ivar consented: when, in seconds since 1970; 0: it is not known.
    :ivar created: likewise.
    :ivar changed: likewise.
    """

    address: str
    name: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    time_zone: str = ""
    locale: str = ""
    channel: Literal["mail", "webhook"] = "mail"
    webhook: str = ""
    source: str = ""
    consented: float = 0.0
    created: float = 0.0
    changed: float = 0.0
    id: int = 0
    tenant: str = ""

    @property
    def data(self) -> dict[str, Any]:
        """What templates are given of it."""
        return {
            "email": self.address,
            "name": self.name,
            "locale": self.locale,
            "time_zone": self.time_zone,
            "attributes": dict(self.attributes),
        }


def checked_attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as they are kept; those that are ``null`` are left out.

    :raise ValueError: if they are too many, too large, too deep, or a name is none.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if not ATTRIBUTE.fullmatch(name):
            raise ValueError(
                f"attributes: {name[:80]!r} is none: a letter, then letters, digits, '_' and '-', 64 in all"
            )
        if value is not None:
            found[name] = _value(value, f"attributes.{name}", 1)
    if len(found) > MOST_ATTRIBUTES:
        raise ValueError(f"attributes: there are {len(found)}, and there may be {MOST_ATTRIBUTES}")
    if len(encoded(found).encode("utf-8", "surrogatepass")) > MOST_OCTETS:
        raise ValueError(f"attributes: they have more than {MOST_OCTETS} octets as JSON")
    return found


def _value(value: Any, where: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"{where}: values lie deeper than {_DEEPEST} in each other")
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value) or "\0" in value:
            raise ValueError(f"{where}: there is a character in it that no text has")
        return value
    if isinstance(value, int):
        if not -(2**53) <= value <= 2**53:
            raise ValueError(f"{where}: numbers without a fraction go to 2**53; write it as a text")
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{where}: that is no number")
        return value
    if isinstance(value, list):
        return [_value(one, f"{where}[{place}]", depth + 1) for place, one in enumerate(value)]
    if isinstance(value, Mapping):
        for name in value:
            if not ATTRIBUTE.fullmatch(str(name)):
                raise ValueError(f"{where}: {str(name)[:80]!r} is no name of an attribute")
        return {
            str(name): _value(one, f"{where}.{name}", depth + 1)
            for name, one in value.items()
            if one is not None
        }
    if value is None:
        return None
    raise ValueError(f"{where}: {type(value).__name__} is nothing of JSON")


def encoded(attributes: Mapping[str, Any]) -> str:
    """Attributes as they stand in the database."""
    return json.dumps(attributes, ensure_ascii=False, separators=(",", ":"))


def checked_text(value: str, what: str, longest: int) -> str:
    """A line of text for people.

    :param what: its name, for the error.
    :raise ValueError: if it is too long, or would be more than a line.
    """
    text = value.strip()
    if len(text) > longest:
        raise ValueError(f"{what}: it has {len(text)} characters, and may have {longest}")
    if not all(character.isprintable() for character in text):
        raise ValueError(f"{what}: there is a character in it that is not printable")
    return text


def checked_zone(name: str) -> str:
    """A time zone.

    :raise ValueError: if the system knows none of this name.
    """
    text = name.strip()
    if text:
        try:
            ZoneInfo(text)
        except (OSError, LookupError, ValueError):
            raise ValueError(f"time_zone: {text[:80]!r} is none, such as Europe/Vienna") from None
    return text


def checked_locale(name: str) -> str:
    """A locale as it is written here.

    :raise ValueError: if it is none.
    """
    text = name.strip()
    try:
        return tag(text) if text else ""
    except ValueError as error:
        raise ValueError(f"locale: {error}") from None


def checked(contact: Contact) -> Contact:
    """A contact with all of its fields as they are kept.

    Whether the host of a webhook may be reached is decided with each post.

    :raise ValueError: with the name of the field, and what is wrong with it.
    """
    if contact.channel not in CHANNELS:
        raise ValueError(f"channel: it is one of {', '.join(CHANNELS)}")
    webhook = contact.webhook.strip()
    if webhook:
        try:
            webhook = checked_url(webhook)
        except ValueError as error:
            raise ValueError(f"webhook: {error}") from None
    elif contact.channel == "webhook":
        raise ValueError("webhook: the channel webhook needs the URL that is posted to")
    if not 0 <= contact.consented < 1e11:
        raise ValueError("consented: it is no time")
    return Contact(
        address=kept_address(contact.address),
        name=checked_text(contact.name, "name", LONGEST_NAME),
        attributes=checked_attributes(contact.attributes),
        time_zone=checked_zone(contact.time_zone),
        locale=checked_locale(contact.locale),
        channel=contact.channel,
        webhook=webhook,
        source=checked_text(contact.source, "source", LONGEST_SOURCE),
        consented=contact.consented,
        created=contact.created,
        changed=contact.changed,
        id=contact.id,
        tenant=contact.tenant,
    )


def kept_address(text: str) -> str:
    """An address as a contact has it.

    :raise ValueError: if it is none.
    """
    try:
        return checked_address(text)
    except ValueError as error:
        raise ValueError(f"address: {error}") from None
