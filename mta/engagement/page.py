"""The pages that recipients see: to unsubscribe, and for a link that is not ours.  They fetch nothing."""

from __future__ import annotations

from html import escape

#: What a browser may do with them: nothing but to show them and to send their forms back.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:32em;margin:4em auto;padding:0 1em;color:#222}"
    "button{font:inherit;padding:.5em 1.2em;margin:.3em 0;cursor:pointer}"
    "h1{font-size:1.4em}"
)


def page(title: str, body: str) -> bytes:
    """A whole page.

    :param body: HTML.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>{body}</body></html>\n"
    ).encode()


def wrong_link() -> bytes:
    """A link that is not ours, or was changed on its way."""
    return page(
        "This link does not work",
        "<p>It was cut off or changed on its way. Open it from the message once more.</p>",
    )


def preferences(address: str, sender: str, list_name: str, off: frozenset[str]) -> bytes:
    """What somebody gets of a sender, and the ways to change it.

    :param sender: who sends, for people.
    :param list_name: the list that the link is about; ``""``: all mail.
    :param off: what was left: names of lists, ``""`` for all mail.
    """
    who, whom = escape(address), escape(sender)
    parts = [f"<p>Mail of <b>{whom}</b> to <b>{who}</b>.</p>"]
    if "" in off:
        parts += ["<p>You get none of it.</p>", _button("resubscribe", "all", "Get it again")]
    elif list_name in off:
        parts += [
            f"<p>You do not get <b>{escape(list_name)}</b>.</p>",
            _button("resubscribe", "list", "Get it again"),
            _button("unsubscribe", "all", f"Get nothing from {sender}"),
        ]
    else:
        if list_name:
            parts.append(_button("unsubscribe", "list", f"Unsubscribe from {list_name}"))
        parts.append(
            _button("unsubscribe", "all", "Unsubscribe from all mail" if list_name else "Unsubscribe")
        )
    return page("Mail preferences", "".join(parts))


def _button(action: str, scope: str, words: str) -> str:
    return (
        f'<form method="post"><input type="hidden" name="action" value="{action}">'
        f'<input type="hidden" name="scope" value="{scope}"><button>{escape(words)}</button></form>'
    )
