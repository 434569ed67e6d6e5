"""From a template and values to HTML; whatever is put in is escaped.

Every template has, besides its own values:

``visit``, ``menu``, ``here`` (the entry of the menu), ``said`` (words of the page before), ``title``,
``form`` (:class:`~mta.dashboard.filled.Filled`), ``asset(name)``, ``csrf``, ``now``, and the filters of
:mod:`mta.dashboard.words`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from mta.dashboard import words
from mta.dashboard.asset import Assets
from mta.journal.words import printable

_DIRECTORY = Path(__file__).parent / "pages"


class Rendering:
    """Makes pages; Jinja2 is imported with the first.

    :param assets: style and scripts.
    :param directory: of the templates.
    """

    def __init__(self, assets: Assets, directory: Path = _DIRECTORY) -> None:
        self._assets = assets
        self._directory = directory
        self._environment: Any = None

    def page(self, template: str, values: Mapping[str, Any]) -> bytes:
        """A page.

        :param template: its file's name.
        """
        if self._environment is None:
            self._environment = self._made()
        text: str = self._environment.get_template(template).render(values)
        return text.encode("utf-8", "replace")

    def _made(self) -> Any:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        made = Environment(
            loader=FileSystemLoader(self._directory),
            # Every file, whatever its name ends in.
            autoescape=True,
            # A name that is misspelt is found by the first who opens the page, in a test.
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            extensions=["jinja2.ext.loopcontrols"],
        )
        made.filters.update(
            time=words.time,
            clock=words.clock,
            ago=words.ago,
            at=words.at,
            duration=words.duration,
            octets=words.size,
            count=words.count,
            short=words.short,
            percent=words.percent,
            visible=printable,
            segment=segment,
        )
        made.globals.update(asset=self._assets.path, link=link)
        return made


def segment(text: Any) -> str:
    """A text as one segment of a path."""
    return quote(str(text), safe="")


def link(path: str, **query: Any) -> str:
    """A path with a query; what is empty is left out."""
    given = {name: value for name, value in query.items() if value not in ("", None, False, [], ())}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path
