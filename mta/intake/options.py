"""What ``X-MTA-*`` fields of a submitted message say: the options that the API has as JSON.

``X-MTA-Tags`` is a list with commas, ``X-MTA-Metadata`` a JSON object of strings,
``X-MTA-Track`` names of ``opens`` and ``clicks`` (``none``: neither), ``X-MTA-Send-At`` a time as
RFC 3339 writes it, ``X-MTA-Unsubscribe`` the list that may be left with one click (``*``: all mail).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from mta.model.options import Options, checked_metadata, checked_tags

#: Names of what is said, and the fields in which it is.
FIELDS = (
    ("tags", b"X-MTA-Tags"),
    ("metadata", b"X-MTA-Metadata"),
    ("track", b"X-MTA-Track"),
    ("unsubscribe", b"X-MTA-Unsubscribe"),
    ("send_at", b"X-MTA-Send-At"),
)
_TRACKED = ("opens", "clicks")


class OptionError(ValueError):
    """A field cannot be understood.

    :ivar field: its name.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


def options_said(said: Mapping[str, str]) -> tuple[Options, float]:
    """The options, and when it is to be sent; 0: at once.

    :param said: values by the names in ``FIELDS``.
    :raise OptionError: if one cannot be understood.
    """
    readers = {"tags": _tags, "metadata": _metadata, "track": _track, "unsubscribe": _unsubscribe}
    found: dict[str, object] = {}
    for name, field in FIELDS:
        text = said.get(name, "")
        if not text:
            continue
        try:
            if name == "send_at":
                return _options(found), _time(text)
            found[name] = readers[name](text)
        except ValueError as error:
            raise OptionError(field.decode(), str(error)) from None
    return _options(found), 0.0


def _options(found: Mapping[str, object]) -> Options:
    return Options(**found)  # type: ignore[arg-type]


def _tags(text: str) -> tuple[str, ...]:
    return tuple(checked_tags([tag for part in text.split(",") if (tag := part.strip())]))


def _metadata(text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError('it is no JSON object, such as {"order": "17"}') from None
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise ValueError('it is no JSON object with strings in it, such as {"order": "17"}')
    return checked_metadata(value)


def _track(text: str) -> dict[str, bool]:
    names = [part.strip().lower() for part in text.split(",")]
    if unknown := [name for name in names if name not in (*_TRACKED, "none")]:
        raise ValueError(f"{unknown[0]!r} is none of opens, clicks and none")
    return {name: name in names for name in _TRACKED}


def _unsubscribe(text: str) -> str:
    if len(text) > 100:
        raise ValueError("the name of a list has at most 100 characters")
    return "" if text == "*" else text


def _time(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError
        return at.timestamp()
    except (ValueError, OverflowError):
        raise ValueError('it is no time with a zone, such as "2027-01-31T08:00:00Z"') from None
