"""Templates as files: what ``mta template push`` reads.

::

    templates/welcome.toml      subject, locale, strict, inline_css; [de] subject; [de.messages]
    templates/welcome.html      the HTML; welcome.txt: the text
    templates/welcome.de.html   in another language
    templates/welcome.json      data for previews
    layouts/base.html           layouts and partials: .html, .txt
    partials/footer.html
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mta.cli.context import CommandError

#: Folders in the order in which they are pushed: what includes comes after what is included.
FOLDERS = ("partials", "layouts", "templates")
_PARTS = {".html": "html", ".txt": "text"}
_LOCALE = re.compile(r"[a-z]{2,3}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|[0-9]{3}))?\Z")
_OWN = ("subject", "locale", "strict", "inline_css")


@dataclass(slots=True)
class Pushed:
    """What one template's files say.

    :ivar folder: of ``FOLDERS``.
    :ivar body: of the request.
    :ivar data: for previews; ``None``: there are none.
    """

    folder: str
    name: str
    body: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] | None = None

    def translation(self, locale: str) -> dict[str, Any]:
        """What is different in a language."""
        found: dict[str, Any] = self.body.setdefault("translations", {}).setdefault(locale, {})
        return found


def read(directory: Path) -> list[Pushed]:
    """Everything in a directory.

    :raise CommandError: with the file, and what is wrong with it.
    """
    if not directory.is_dir():
        raise CommandError(f"{directory}: there is no such directory", os.EX_NOINPUT)
    found = [one for folder in FOLDERS for one in _folder(directory / folder, folder)]
    if not found:
        raise CommandError(
            f"{directory} has no templates: they are in templates/, layouts/ and partials/", os.EX_NOINPUT
        )
    return found


def _folder(directory: Path, folder: str) -> Iterator[Pushed]:
    found: dict[str, Pushed] = {}
    for path in sorted(directory.glob("*")) if directory.is_dir() else ():
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.suffix not in (*_PARTS, ".toml", ".json"):
            raise CommandError(
                f"{path}: a template's files end in .html, .txt, .toml or .json", os.EX_DATAERR
            )
        name, dot, locale = path.stem.rpartition(".")
        if not (dot and _LOCALE.match(locale)):
            name, locale = path.stem, ""
        _take(path, found.setdefault(name, Pushed(folder, name)), locale)
    yield from found.values()


def _take(path: Path, into: Pushed, locale: str) -> None:
    try:
        text = path.read_text("utf-8")
        if path.suffix in _PARTS:
            (into.translation(locale) if locale else into.body)[_PARTS[path.suffix]] = text
        elif path.suffix == ".json":
            into.data = json.loads(text)
        else:
            _settings(path, into, tomllib.loads(text))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", os.EX_NOINPUT) from None
    except ValueError as error:
        raise CommandError(f"{path}: {error}", os.EX_DATAERR) from None


def _settings(path: Path, into: Pushed, settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        if isinstance(value, dict) and _LOCALE.match(name):
            into.translation(name).update(value)
        elif name in _OWN:
            into.body[name] = value
        else:
            raise CommandError(f"{path}: {name!r} is none of {', '.join(_OWN)}, and no locale", os.EX_DATAERR)
