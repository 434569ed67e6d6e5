"""Text made of HTML: faster than inscriptis' own lines, and the same."""

from __future__ import annotations

import random

from inscriptis import get_text
from inscriptis.model.config import ParserConfig
from twisted.trial.unittest import SynchronousTestCase

from mta.template.lines import MAPPING

TAGS = [
    "p",
    "b",
    "div",
    "table",
    "tr",
    "td",
    "th",
    "ul",
    "ol",
    "li",
    "pre",
    "a",
    "br",
    "h1",
    "blockquote",
    "q",
]
TEXTS = [
    "a",
    " ",
    "x y",
    "  z ",
    " q",
    "&amp;lt;",
    "\u00a0",
    "w\n\tv",
    "&nbsp; k",
    "",
    "\x1f m",
    "é ü ",
    "\u2003r",
]
STYLES = ["display:none", "white-space:pre", "display:block", "margin-top:2em"]
OPTIONS = {"display_links": True, "display_anchors": False}


class LineTests(SynchronousTestCase):
    """Any HTML."""

    def html(self, chance: random.Random, depth: int) -> str:
        if not depth or chance.random() < 0.3:
            return chance.choice(TEXTS)
        tag = chance.choice(TAGS)
        if tag == "br":
            return "<br>"
        style = f' style="{chance.choice(STYLES)}"' if chance.random() < 0.2 else ""
        link = ' href="https://x.example/y"' if tag == "a" else ""
        inner = "".join(self.html(chance, depth - 1) for _ in range(chance.randint(0, 4)))
        return f"{chance.choice(TEXTS)}<{tag}{style}{link}>{inner}</{tag}>{chance.choice(TEXTS)}"

    def text(self, html: str, config: ParserConfig) -> str:
        try:
            return str(get_text(html, config))
        except (IndexError, KeyError, TypeError, AttributeError) as error:
            return repr(error)

    def test_the_same(self) -> None:
        ours = ParserConfig(custom_html_tag_handler_mapping=MAPPING, **OPTIONS)
        for seed in range(500):
            html = self.html(random.Random(seed), 5)
            self.assertEqual(self.text(html, ParserConfig(**OPTIONS)), self.text(html, ours), html)
