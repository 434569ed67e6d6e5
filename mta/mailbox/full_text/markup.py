"""The words of an HTML page, as far as a person sees them.

The parser is libxml2's: it takes whatever comes, and calls for each element instead of building a tree.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Characters that are looked at.
LONGEST = 4 << 20

_UNSEEN = frozenset({"script", "style", "template", "noembed", "noframes"})
#: Elements within a line: words go on over their ends.
_INLINE = frozenset(
    """a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label mark nobr q s samp small span
    strike strong sub sup tt u var wbr""".split()  # noqa: SIM905
)
_SAID = ("alt", "title")


def words(page: str) -> str:
    """What the page says, blocks ended by line feeds; the page itself if nobody can read it."""
    # Here alone is it needed, and it is large.
    from lxml import etree

    reader = _Words()
    parser = etree.HTMLParser(
        target=reader, encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        parser.feed(page[:LONGEST].replace("\x00", " ").encode("utf-8", "replace"))
        parser.close()
    except (etree.LxmlError, ValueError, AssertionError):
        if not reader.found:
            return page[:LONGEST]
    return "".join(reader.found)


class _Words:
    """What lxml calls while it reads."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._unseen = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag not in _INLINE:
            self.found.append("\n")
        for name in _SAID if attributes else ():
            if text := attributes.get(name):
                self.found.append(f"\n{text}\n")

    def end(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag not in _INLINE:
            self.found.append("\n")

    def data(self, text: str) -> None:
        if not self._unseen:
            self.found.append(text)

    def close(self) -> None:
        return None
