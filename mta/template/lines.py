"""Lines of text that inscriptis writes, put together by words and not by characters.

Its own go through each text character by character, which is half of the time that a text takes.
These are put in their place by handlers of the elements with which inscriptis begins a line.
"""

from __future__ import annotations

from html import unescape
from typing import Any

from inscriptis.model.canvas.block import Block
from inscriptis.model.html_document_state import HtmlDocumentState
from inscriptis.model.tag import CustomHtmlTagHandlerMapping
from inscriptis.model.tag.table_tag import table_start_handler, td_start_handler


class Line(Block):  # type: ignore[misc]  # inscriptis has no types
    """The same as a :class:`~inscriptis.model.canvas.block.Block`, faster."""

    collapsable_whitespace: bool

    def merge_normal_text(self, text: str) -> None:
        """Add a text; white space in it is one blank, and none at the start."""
        words = text.split()
        if words:
            line = " ".join(words)
            if text[0].isspace() and not self.collapsable_whitespace:
                line = " " + line
            self.collapsable_whitespace = text[-1].isspace()
            if self.collapsable_whitespace:
                line += " "
        elif text and not self.collapsable_whitespace:
            line = " "
            self.collapsable_whitespace = True
        else:
            return
        line = unescape(line if self._content else self.prefix.first + line)
        self._content += line
        self.idx += len(line)

    def new_block(self) -> Line:
        """The next one."""
        self.prefix.consumed = False
        return Line(self.idx + 1, self.prefix)


def _use(state: HtmlDocumentState) -> None:
    canvas = state.tags[-1].canvas
    block = canvas.current_block
    if type(block) is Block:
        line = Line(block.idx, block.prefix)
        # At the start of a document or a cell there is nothing in it yet.
        line._content, line.collapsable_whitespace = block._content, block.collapsable_whitespace
        canvas.current_block = line


def _document(state: HtmlDocumentState, attributes: Any) -> None:
    _use(state)


def _table(state: HtmlDocumentState, attributes: Any) -> None:
    table_start_handler(state, attributes)
    _use(state)


def _cell(state: HtmlDocumentState, attributes: Any) -> None:
    td_start_handler(state, attributes)
    _use(state)


#: For inscriptis' ``ParserConfig``.
MAPPING = CustomHtmlTagHandlerMapping(
    start_tag_mapping={"html": _document, "table": _table, "td": _cell, "th": _cell}, end_tag_mapping={}
)
