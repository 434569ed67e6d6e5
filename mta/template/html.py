"""What is made of HTML: plain text, and HTML whose rules stand in its elements."""

from __future__ import annotations

from functools import cache
from typing import Any


def plain_text(html: str) -> str:
    """The text of HTML, as a person would write it down, with where links lead.

    :raise ValueError: if it cannot be read.
    """
    inscriptis, config = _reader()
    try:
        text = inscriptis.get_text(html, config)
    except (RecursionError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no text can be made of the HTML: {type(error).__name__}: {error}") from None
    lines = [line.rstrip() for line in str(text).splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def with_inline_css(html: str) -> str:
    """The same HTML with the rules of its ``<style>`` elements in ``style`` attributes.

    Rules for media stay where they are.  Nothing is fetched, whatever the HTML refers to.

    :raise ValueError: if it cannot be done.
    """
    if "<style" not in html.lower():
        return html
    inliner, error = _inliner()
    try:
        return str(inliner.inline(html))
    except error as problem:
        raise ValueError(f"its CSS cannot be inlined: {problem}") from None


@cache
def _reader() -> tuple[Any, Any]:
    # Takes a while to import, and few processes need it.
    import inscriptis
    from inscriptis.model.config import ParserConfig

    return inscriptis, ParserConfig(display_links=True, display_anchors=False)


@cache
def _inliner() -> tuple[Any, Any]:
    import css_inline

    inliner = css_inline.CSSInliner(
        load_remote_stylesheets=False, keep_style_tags=False, keep_at_rules=True, cache=None
    )
    return inliner, css_inline.InlineError
