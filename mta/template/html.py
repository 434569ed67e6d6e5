"""What is made of HTML: plain text, and HTML whose rules stand in its elements."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any


# A batch whose HTML is the same for everybody has it read once.
@lru_cache(maxsize=1)
def plain_text(html: str) -> str:
    """The text of HTML, as a person would write it down, with where links lead.

    :raise ValueError: if it cannot be read.
    """
    get_text, config = _reader()
    try:
        text = get_text(html, config)
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
def _reader() -> tuple[Callable[[str, Any], Any], Any]:
    # Takes a while to import, and few processes need it.
    from inscriptis import get_text
    from inscriptis.model.config import ParserConfig

    from mta.template.lines import MAPPING

    config = ParserConfig(display_links=True, display_anchors=False, custom_html_tag_handler_mapping=MAPPING)
    return get_text, config


@cache
def _inliner() -> tuple[Any, Any]:
    import css_inline

    inliner = css_inline.CSSInliner(
        load_remote_stylesheets=False, keep_style_tags=False, keep_at_rules=True, cache=None
    )
    return inliner, css_inline.InlineError
