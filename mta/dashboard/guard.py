"""What keeps strangers' pages away from ours: cookies, the proof in each form, header fields; pure.

A form is taken only if it brings a text that is made of the visitor's cookie, which no other site can
read, and if the browser says that it came from here (``Origin``, ``Sec-Fetch-Site``).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from urllib.parse import urlsplit

#: Nothing but what we serve ourselves; nothing inline; in nobody's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
#: For what strangers wrote and somebody looks at in a frame: no script, no form, nothing of ours, nothing
#: from elsewhere.  ``frame-ancestors`` lets our own pages show it.
FRAMED = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Without a referrer browsers would hide the origin of a form, too.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-robots-tag": "noindex, nofollow",
    "cache-control": "no-store",
}

#: What is done after signing in where nothing else was wanted.
HOME = "/dashboard/"


def cookie_name(what: str, secure: bool) -> str:
    """What a cookie is called: under TLS by a name that no neighbour may set (RFC 6265bis, 4.1.3.2)."""
    return f"{'__Host-' if secure else ''}mta-{what}"


def cookie(what: str, value: str, secure: bool, seconds: float | None = None) -> bytes:
    """A field ``Set-Cookie``.

    :param value: ASCII without separators; ``""`` takes the cookie away.
    :param seconds: for which it is kept; ``None``: until the browser is closed.
    """
    parts = [f"{cookie_name(what, secure)}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if secure:
        parts.append("Secure")
    if not value:
        seconds = 0
    if seconds is not None:
        parts.append(f"Max-Age={int(seconds)}")
    return "; ".join(parts).encode("ascii")


def proof(text: str) -> str:
    """What a form brings, made of the visitor's cookie."""
    return hmac.digest(text.encode(), b"mta dashboard form", hashlib.sha256).hex() if text else ""


def masked(proved: str) -> str:
    """A proof as a page shows it: another one each time, so that its packed size tells nothing of it."""
    if not proved:
        return ""
    mask = secrets.token_bytes(len(proved) // 2)
    return mask.hex() + _crossed(bytes.fromhex(proved), mask).hex()


def is_proved(given: str, text: str) -> bool:
    """Whether a form comes from a page that was made for this visitor."""
    wanted = proof(text)
    if not wanted or len(given) != 2 * len(wanted):
        return False
    try:
        mask, rest = bytes.fromhex(given[: len(wanted)]), bytes.fromhex(given[len(wanted) :])
    except ValueError:
        return False
    return hmac.compare_digest(_crossed(rest, mask), bytes.fromhex(wanted))


def _crossed(one: bytes, other: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, other, strict=False))


def is_from_here(origin: str, referrer: str, site: str, hosts: set[str]) -> bool:
    """Whether a form was sent by a page of ours, as far as the browser tells.

    :param origin: the field ``Origin``; ``""``: there is none.
    :param referrer: the field ``Referer``.
    :param site: the field ``Sec-Fetch-Site``.
    :param hosts: how we are called, with ports: ``mx.example.org:8025``.
    """
    if site and site != "same-origin":
        return False
    said = origin or referrer
    if not said:
        # Every browser of the last ten years says one of the three.
        return bool(site)
    try:
        return urlsplit(said).netloc.lower() in hosts
    except ValueError:
        return False


def own_path(path: str) -> str:
    """Where to go after signing in: a page of ours, or the first of them.

    :param path: as a stranger may have written it into a link.
    """
    if not path.startswith(HOME) or "\\" in path or "//" in path.partition("?")[0]:
        return HOME
    if not path.isascii() or not path.isprintable() or path.startswith("/dashboard/sign-"):
        return HOME
    try:
        parts = urlsplit(path)
    except ValueError:
        return HOME
    return HOME if parts.scheme or parts.netloc or ".." in parts.path.split("/") else path


def pack(said: list[tuple[str, str]], key: str) -> str:
    """Words for the next page, as a cookie keeps them; nobody else can write such a one."""
    text = base64.urlsafe_b64encode(json.dumps(said).encode()).decode()
    return f"{text}.{_seal(text, key)}"


def unpack(text: str, key: str) -> list[tuple[str, str]]:
    """Them again; nothing if they are not ours."""
    words, _, seal = text.partition(".")
    if not key or not words or not seal.isascii() or not hmac.compare_digest(_seal(words, key), seal):
        return []
    try:
        return [(str(tone), str(said)) for tone, said in json.loads(base64.urlsafe_b64decode(words))]
    except (ValueError, TypeError):
        return []


def _seal(text: str, key: str) -> str:
    return hmac.digest(key.encode(), b"said " + text.encode(), hashlib.sha256).hex()[:32]
