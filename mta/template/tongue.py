"""How numbers, dates and plurals are written in a language, and what messages are in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal, format_percent

from mta.template.bundle import Messages


@lru_cache(256)
def language(name: str) -> Locale:
    """What is known of a locale; of English if nothing is."""
    parts = name.replace("-", "_").split("_")
    for length in range(len(parts), 0, -1):
        try:
            return Locale.parse("_".join(parts[:length]))
        except (ValueError, UnknownLocaleError):
            continue
    return Locale("en")


class Tongue:
    """The language of the rendering that is under way; what templates call comes here.

    :ivar locale: its name.
    """

    def __init__(self) -> None:
        self.locale = "en"
        self._messages: tuple[Messages, ...] = ()

    def use(self, locale: str, messages: Iterable[Messages]) -> None:
        """Speak this language.

        :param messages: catalogues, the first that knows a message counts.
        """
        self.locale = locale
        self._messages = tuple(messages)

    def gettext(self, message: str) -> str:
        """The translation of a message."""
        found = self._found(message)
        if isinstance(found, Mapping):
            return str(found.get("other", message))
        return message if found is None else found

    def ngettext(self, singular: str, plural: str, number: Any) -> str:
        """The translation of a message that depends on a number, found under its singular."""
        found = self._found(singular)
        if found is None:
            return singular if number == 1 else plural
        if isinstance(found, Mapping):
            category = str(language(self.locale).plural_form(_number(number)))
            return str(found.get(category) or found.get("other") or plural)
        return found

    def _found(self, message: str) -> str | Mapping[str, str] | None:
        for messages in self._messages:
            if message in messages:
                return messages[message]
        return None

    # --- filters -------------------------------------------------------------

    def number(self, value: Any) -> str:
        """``1234.5|number``."""
        return str(format_decimal(_number(value), locale=language(self.locale)))

    def percent(self, value: Any) -> str:
        """``0.25|percent``."""
        return str(format_percent(_number(value), locale=language(self.locale)))

    def currency(self, value: Any, code: str = "EUR") -> str:
        """``19.9|currency('EUR')``."""
        return str(format_currency(_number(value), str(code)[:3], locale=language(self.locale)))

    def date(self, value: Any, style: str = "medium") -> str:
        """``'2027-01-31'|date('long')``; seconds since 1970 are a date, too."""
        return str(format_date(_moment(value), _style(style), locale=language(self.locale)))

    def datetime(self, value: Any, style: str = "medium") -> str:
        """``'2027-01-31T08:00:00Z'|datetime``."""
        return str(format_datetime(_moment(value), _style(style), locale=language(self.locale)))


_STYLES = ("short", "medium", "long", "full")


def _style(style: str) -> Any:
    # A pattern of a template's own may be as long as it likes.
    if style not in _STYLES:
        raise ValueError(f"{style!r:.60} is none of {', '.join(_STYLES)}")
    return style


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r:.60} is no number")
    if isinstance(value, int):
        # Writing out what has a million digits takes longer than reading it.
        if value.bit_length() > 256:
            raise ValueError("the number is too large")
        return value
    return float(value)


def _moment(value: Any) -> datetime | date:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    try:
        return datetime.fromisoformat(str(value)[:40])
    except ValueError:
        raise ValueError(f"{value!r:.60} is no date, such as 2027-01-31 or 2027-01-31T08:00:00Z") from None
