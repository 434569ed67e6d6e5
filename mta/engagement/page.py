"""The pages that recipients see: to unsubscribe, and for a link that is not ours.  They fetch nothing."""

from __future__ import annotations

from collections.abc import Sequence
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
    "h1{font-size:1.4em}h2{font-size:1.1em}ul{list-style:none;padding:0}li form{display:inline}"
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


def confirming_page(address: str, sender: str, title: str, description: str) -> bytes:
    """Asks whether somebody wants to be on a list.

    :param sender: who sends, for people.
    :param title: of the list.
    """
    about = f"<p>{escape(description)}</p>" if description else ""
    return page(
        f"{title}: one more click",
        f"<p>Mail of <b>{escape(sender)}</b> to <b>{escape(address)}</b>.</p>{about}"
        f'<form method="post"><button>Yes, send me {escape(title)}</button></form>'
        "<p>Without this nothing is sent.</p>",
    )


def confirmed_page(address: str, sender: str, title: str) -> bytes:
    """Somebody is on a list now."""
    return page(
        "Thank you",
        f"<p><b>{escape(address)}</b> gets <b>{escape(title)}</b> of {escape(sender)} from now on."
        " Each mail has a link to leave.</p>",
    )


def over_page() -> bytes:
    """Nobody waits for an answer any more."""
    return page(
        "This link is too old",
        "<p>Nobody waits for this answer any more. If you want it, ask for it once more.</p>",
    )


def preferences(
    address: str,
    sender: str,
    list_name: str,
    off: frozenset[str],
    lists: Sequence[tuple[str, str, str]] = (),
) -> bytes:
    """What somebody gets of a sender, and the ways to change it.

    :param sender: who sends, for people.
    :param list_name: the list that the link is about; ``""``: all mail.
    :param off: what was left: names of lists, ``""`` for all mail.
    :param lists: those that they are on, were on, or may join: name, words, and state or ``""``.
    """
    who, whom = escape(address), escape(sender)
    words = {name: title for name, title, _ in lists}
    title = words.get(list_name, list_name)
    parts = [f"<p>Mail of <b>{whom}</b> to <b>{who}</b>.</p>"]
    if "" in off:
        parts += ["<p>You get none of it.</p>", _button("resubscribe", "all", "Get it again")]
        return page("Mail preferences", "".join(parts))
    if list_name in off:
        parts += [
            f"<p>You do not get <b>{escape(title)}</b>.</p>",
            _button("resubscribe", "list", "Get it again"),
        ]
    elif list_name:
        parts.append(_button("unsubscribe", "list", f"Unsubscribe from {title}"))
    others = [one for one in lists if one[0] != list_name]
    if others:
        parts.append("<h2>Other lists</h2><ul>")
        parts += [f"<li>{_other(name, words, state, name in off)}</li>" for name, words, state in others]
        parts.append("</ul>")
    if list_name in off:
        parts.append(_button("unsubscribe", "all", f"Get nothing from {sender}"))
    else:
        more = list_name or others
        parts.append(_button("unsubscribe", "all", "Unsubscribe from all mail" if more else "Unsubscribe"))
    return page("Mail preferences", "".join(parts))


def _other(name: str, words: str, state: str, off: bool) -> str:
    """One list that the link is not about."""
    if state == "subscribed" and not off:
        button = _button("unsubscribe", "list", f"Unsubscribe from {words}", name)
        return f"You get <b>{escape(words)}</b>. {button}"
    told = "You have not confirmed" if state == "pending" and not off else "You do not get"
    return f"{told} <b>{escape(words)}</b>. {_button('resubscribe', 'list', f'Get {words}', name)}"


def _button(action: str, scope: str, words: str, list_name: str = "") -> str:
    which = f'<input type="hidden" name="list" value="{escape(list_name)}">' if list_name else ""
    return (
        f'<form method="post"><input type="hidden" name="action" value="{action}">'
        f'<input type="hidden" name="scope" value="{scope}">{which}<button>{escape(words)}</button></form>'
    )
