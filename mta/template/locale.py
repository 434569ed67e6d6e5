"""Names of locales, and which translation is used."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: BCP 47, as far as it names languages, scripts and regions.
LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z]{4})?(?:[-_](?:[A-Za-z]{2}|[0-9]{3}))?\Z")
#: What may be replaced in a message that is translated.
PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%|(%)")


def tag(locale: str) -> str:
    """A locale as it is written here: ``de``, ``de-AT``, ``zh-Hant-TW``.

    :raise ValueError: if it is none.
    """
    if not LOCALE.match(locale):
        raise ValueError(f'{locale!r:.60} is no locale, such as "de" or "de-AT"')
    first, *rest = re.split("[-_]", locale)
    return "-".join([first.lower(), *(part.title() if len(part) == 4 else part.upper() for part in rest)])


def chain(wanted: str, own: str, known: Iterable[str]) -> list[str]:
    """The translations to look at, first to last; the template's own language ends it.

    :param wanted: the recipient's locale; ``""`` or nonsense: the template's own.
    :param own: the template's language.
    :param known: locales of translations.
    """
    there = {name.lower(): name for name in known}
    found: list[str] = []
    parts = wanted.replace("_", "-").lower().split("-")
    for length in range(len(parts), 0, -1):
        name = "-".join(parts[:length])
        if name == own.lower():
            break
        if name in there:
            found.append(there[name])
        if length == 1 and own.lower().startswith(name + "-"):
            break
    return [*found, own]


def wrong_placeholders(message: str, translation: str) -> list[str]:
    """What a translation would replace, and its message has nothing for; ``%`` if one stands alone."""
    known = {found[1] for found in PLACEHOLDER.finditer(message) if found[1]}
    wrong = [found[1] or found[2] for found in PLACEHOLDER.finditer(translation) if found[1] or found[2]]
    return [name for name in dict.fromkeys(wrong) if name not in known]
