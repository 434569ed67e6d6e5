"""Our links in place of others, and all else as it was."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from time import process_time
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.engagement.links import read_link
from mta.engagement.rewriting import rewritten
from tests.engagement.test_links import BASE, MASTER, links, token


def targets(html: str) -> list[str]:
    """Where our links of a part lead."""
    found = re.findall(rf'(?i)href\s*=\s*"({re.escape(BASE)}/c/[^"]*)"', html)
    return [read_link(MASTER, "click", token(unescape(one))).more for one in found]


class ClickTests(SynchronousTestCase):
    """Links that become ours."""

    def rewritten(self, html: str) -> str:
        return rewritten(html, links(), clicks=True, opens=False)

    def test_spellings(self) -> None:
        for html in (
            '<a href="https://x.example/?a=1&amp;b=2">x</a>',
            "<A HREF='https://x.example/?a=1&amp;b=2'>x</A>",
            "<a class=b href=https://x.example/?a=1&amp;b=2>x</a>",
            '<a\n  title="a > b"\n  href = "https://x.example/?a=1&amp;b=2">x</a>',
            '<map><area shape=rect href=" https://x.example/?a=1&amp;b=2 "></map>',
        ):
            self.assertEqual(["https://x.example/?a=1&b=2"], targets(self.rewritten(html)), html)

    def test_what_stays(self) -> None:
        for html in (
            '<a href="mailto:ann@example.org">x</a>',
            '<a href="#top">x</a>',
            '<a href="tel:+4312345">x</a>',
            '<a href="javascript:alert(1)">x</a>',
            '<a name="x">x</a>',
            '<a data-track="off" href="https://x.example/">x</a>',
            '<!-- <a href="https://x.example/">x</a> -->',
            "<style>a[href='https://x.example/'] { }</style>",
            '<link href="https://x.example/style.css">',
            '<img src="https://x.example/a.png">',
            '<abbr href="https://x.example/">x</abbr>',
            "https://x.example/",
            '<a data-href="https://x.example/">x</a>',
            "plain, <b>bold",
            "",
        ):
            self.assertEqual(html, self.rewritten(html))

    def test_not_twice(self) -> None:
        once = self.rewritten('<a href="https://x.example/">x</a>')
        self.assertEqual(once, self.rewritten(once))
        leave = f'<a href="{links().unsubscribe()}">x</a>'
        self.assertEqual(leave, self.rewritten(leave))

    @given(st.text(alphabet="<>a/\"' =hrefx-!sty\n", max_size=200))
    def test_strangers_html(self, html: str) -> None:
        """Nothing but values of href changes."""
        self.assertEqual(html, self.rewritten(html))

    def test_hostile_html_takes_no_longer(self) -> None:
        """What never ends does not make it begin again and again."""
        began = process_time()
        for piece in ("<a ", '<a "', "<!--", "<style", "<a href='"):
            self.rewritten(piece * 100_000)
        self.assertLess(process_time() - began, 20)


class Events(HTMLParser):
    """What the standard library's parser sees; where our links lead, in place of them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        shown = []
        for name, value in attrs:
            if name == "href" and value and value.startswith(f"{BASE}/c/"):
                value = read_link(MASTER, "click", token(value)).more
            shown.append((name, (value or "").strip()))
        self.seen.append((tag, shown))

    def handle_endtag(self, tag: str) -> None:
        self.seen.append(tag)

    def handle_data(self, data: str) -> None:
        self.seen.append(("data", data))

    def handle_comment(self, data: str) -> None:
        self.seen.append(("comment", data))


_PIECES = st.sampled_from(
    [
        *("<a href='https://x.example/?a=1&amp;b=2'>", '<A HREF="https://y.example/">', "</a>", "<a>", "<p>"),
        *(
            '<a title="x > y" href=https://z.example/>',
            "<a href='mailto:a@b.c'>",
            "<a\nhref='https://n.example/'>",
        ),
        *(
            "<!-- <a href='https://c.example/'> -->",
            "<style>a[href='https://s.example/']{}</style>",
            "text & more",
        ),
        *(
            "<area href='https://m.example/'/>",
            "<img src='https://i.example/'>",
            "<b",
            "<",
            ">",
            "'",
            '"',
            "=",
            " ",
        ),
        *(
            "<script>'<a href=\"https://j.example/\">'</script>",
            "<a href='https://q.example/\"x'>",
            "&lt;a&gt;",
        ),
    ]
)


class OthersEyesTests(SynchronousTestCase):
    """Another parser sees the same before and after, but for where links lead over."""

    @given(st.lists(_PIECES, max_size=12).map("".join))
    def test_same(self, html: str) -> None:
        # What is broken is read by every parser in its own way; here it is about what is not.
        assume(not re.search(r"<(?![!/a-zA-Z])|<b(?!>)", html))
        after = rewritten(html, links(), clicks=True, opens=False)
        self.assertEqual(Events(html).seen, Events(after).seen)


class OpenTests(SynchronousTestCase):
    """The picture."""

    def test_before_the_last_body_ends(self) -> None:
        html = rewritten("<body>a</body><!-- </body> --></BODY>", links(), clicks=False, opens=True)
        self.assertRegex(html, rf'^<body>a</body><!-- </body> --><img src="{BASE}/o/[^"]+" [^>]*></BODY>$')

    def test_without_body(self) -> None:
        self.assertRegex(rewritten("x", links(), clicks=False, opens=True), r"^x<img [^>]*>$")

    def test_off(self) -> None:
        html = '<body><a href="https://x.example/">x</a></body>'
        self.assertEqual(html, rewritten(html, links(), clicks=False, opens=False))
