"""The header fields by which a mailbox provider offers to unsubscribe (RFC 2369, RFC 8058)."""

from __future__ import annotations

from html import escape

from mta.engagement.links import MessageLinks

#: RFC 8058, 3.1: what the one click posts.
ONE_CLICK = "List-Unsubscribe=One-Click"
#: What stands in a text, or as the target of a link, for the address of the page.
PLACEHOLDER = "%unsubscribe_url%"


def unsubscribe_fields(links: MessageLinks, list_name: str = "") -> list[tuple[str, str]]:
    """Names and values.  Both must be signed by DKIM (RFC 8058, 4)."""
    return [
        ("List-Unsubscribe", f"<{links.unsubscribe(list_name)}>"),
        ("List-Unsubscribe-Post", ONE_CLICK),
    ]


def fill(text: str, links: MessageLinks, list_name: str, *, html: bool) -> str:
    """A text with the address of the page in place of :data:`PLACEHOLDER`."""
    if PLACEHOLDER not in text:
        return text
    link = links.unsubscribe(list_name)
    return text.replace(PLACEHOLDER, escape(link) if html else link)


def is_one_click(content: bytes) -> bool:
    """Whether a POST's body is that of the one click, url-encoded or as form data."""
    if len(content) > 4096:
        return False
    text = content.decode("ascii", "replace").strip()
    if text == ONE_CLICK or text.startswith(ONE_CLICK + "&"):
        return True
    return 'name="List-Unsubscribe"' in text and "One-Click" in text
