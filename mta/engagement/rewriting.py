"""Puts our links in place of those of an HTML part, and a picture at its end.

Nothing but the values of ``href`` changes.  Expressions are RE2's: whatever a part looks like, they
go through it once.
"""

from __future__ import annotations

from html import escape, unescape
from typing import Any

import re2

from mta.engagement.links import LinkError, MessageLinks

#: Comments (Outlook's conditions among them), scripts and styles are passed over whole.
_TAG = re2.compile(
    r"""(?is)<!--.*?-->|<style\b.*?</style\s*>|<script\b.*?</script\s*>"""
    r"""|<(?:a|area)\s(?:[^"'>]|"[^"]*"|'[^']*')*>"""
)
_HREF = re2.compile(r"""(?is)(\shref\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)""")
_OFF = re2.compile(r"""(?i)\sdata-track\s*=\s*["']?(?:off|false|no)\b""")
_BODY_END = re2.compile(r"(?is)</body\s*>")


def rewritten(html: str, links: MessageLinks, *, clicks: bool, opens: bool) -> str:
    """A part with our links.

    :param clicks: whether links to the web become ours; not those with ``data-track="off"``.
    :param opens: whether a picture tells of an open.
    """
    if clicks and "<" in html:
        html = str(_TAG.sub(lambda found: _tag(found, links), html))
    return with_picture(html, links.open()) if opens else html


def with_picture(html: str, address: str) -> str:
    """A part with the picture at the end of its body."""
    picture = (
        f'<img src="{escape(address)}" width="1" height="1" alt="" '
        'style="display:block;width:1px;height:1px;border:0">'
    )
    ends = [found.start() for found in _BODY_END.finditer(html)]
    place = ends[-1] if ends else len(html)
    return html[:place] + picture + html[place:]


def _tag(found: Any, links: MessageLinks) -> str:
    tag = str(found.group())
    if tag[1:2] not in "aA" or _OFF.search(tag):
        return tag
    place = _HREF.search(tag)
    if place is None:
        return tag
    value = place.group(2)
    target = unescape(value[1:-1] if value[0] in "\"'" else value).strip()
    if links.is_ours(target):
        return tag
    try:
        link = links.click(target)
    except LinkError:
        # mailto:, tel:, #top: where they lead is not ours to see.
        return tag
    return f'{tag[: place.start(2)]}"{escape(link)}"{tag[place.end(2) :]}'
