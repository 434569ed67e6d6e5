"""What stands in a foreign message for the link by which its recipient leaves; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mta.engagement.unsubscribing import PLACEHOLDER

#: Fields that the server writes where a recipient can leave.
FIELDS = frozenset({"list-unsubscribe", "list-unsubscribe-post"})
#: What Postmark's applications write.
POSTMARK = re.compile(r"\{\{\{?\s*pm:unsubscribe(?P<raw>_url)?\s*\}?\}\}", re.IGNORECASE)
#: What SendGrid's applications write where a message has ``asm``; all of it leads to one page here.
SENDGRID = re.compile(
    r"<%\s*asm_(?:(?:group|global)_unsubscribe|preferences)_(?P<raw>raw_)?url\s*%>", re.IGNORECASE
)
#: In the texts of ``subscription_tracking``: the link, and in HTML what is read in it.
_CLICK = re.compile(r"<%(?P<words>.*?)%>", re.DOTALL)
_BODY_ENDS = re.compile(r"</body\s*>", re.IGNORECASE)
#: Words of ours where the request has none, for text and HTML.
_WORDS = ("Unsubscribe: <% %>", "<p><% Unsubscribe %></p>")
_LINK = f'<a href="{PLACEHOLDER}">{{}}</a>'


def placed(pattern: re.Pattern[str], text: str | None, *, html: bool) -> str | None:
    """A text with our placeholder in place of theirs.

    What is not said to be the address alone becomes a link in HTML, unless it is inside of a tag.
    """
    if text is None:
        return None

    def put(match: re.Match[str]) -> str:
        inside = text.rfind("<", 0, match.start()) > text.rfind(">", 0, match.start())
        return PLACEHOLDER if match["raw"] or not html or inside else _LINK.format("Unsubscribe")

    return pattern.sub(put, text)


def asks(pattern: re.Pattern[str], *texts: str | None) -> bool:
    """Whether one of the texts has their placeholder, or ours."""
    return any(text and (PLACEHOLDER in text or pattern.search(text)) for text in texts)


def tracked(settings: Mapping[str, Any], text: str | None, *, html: bool) -> str | None:
    """A body with the link of ``subscription_tracking``: in place of its tag, or below.

    :param settings: as they are in the request; they are enabled.
    """
    if text is None:
        return None
    tag = settings.get("substitution_tag")
    if isinstance(tag, str) and tag:
        return text.replace(tag, PLACEHOLDER)
    said = settings.get("html" if html else "text")
    if PLACEHOLDER in text and not said:
        return text
    words = said if isinstance(said, str) and said else _WORDS[html]

    def put(match: re.Match[str]) -> str:
        return _LINK.format(match["words"].strip() or "Unsubscribe") if html else PLACEHOLDER

    below = _CLICK.sub(put, words)
    if PLACEHOLDER not in below:
        below += " " + (_LINK.format("Unsubscribe") if html else PLACEHOLDER)
    if not html:
        return f"{text}\n\n{below}\n"
    ends = [match.start() for match in _BODY_ENDS.finditer(text)]
    place = ends[-1] if ends else len(text)
    return f"{text[:place]}{below}{text[place:]}"
