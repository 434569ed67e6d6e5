"""Where a mailbox lies: a template filled in so that no address can leave its tree.

Local parts come from the network and may hold anything, ``/`` and ``..``
included.  :func:`component` turns one into a single name for a directory;
two that differ (but for the case of ASCII letters) never get the same.
"""

from __future__ import annotations

import os
import re

_FIELD = re.compile(r"\{([^{}]*)\}")
_SAFE = re.compile(r"[a-z0-9_=+~-][a-z0-9_=+~.-]*\Z")
_SAFE_OCTETS = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_=+~.-")
_FIELDS = ("state", "domain", "local")


def component(text: str) -> str:
    """``text`` as one path component.

    ASCII letters in lower case; a dot in front and whatever is not a letter,
    a digit or one of ``_=+~.-`` as ``%`` and two hex digits for each octet of
    UTF-8; nothing at all as ``%``.  No name so made is hidden, empty, ``.``,
    ``..``, or longer than 192 octets for a local part of 64.
    """
    if text.isascii():
        text = text.lower()
        if _SAFE.match(text):
            return text
    # Only ASCII is folded: the Kelvin sign must not become the letter k.
    # Lone surrogates (octets that were no UTF-8) keep what they are, apart from all else.
    octets = text.encode("utf-8", "surrogatepass").lower()
    made = "".join(chr(octet) if octet in _SAFE_OCTETS else f"%{octet:02x}" for octet in octets)
    if made.startswith("."):
        made = "%2e" + made[1:]
    return made or "%"


class MaildirTemplate:
    """A path with ``{state}``, ``{domain}`` and ``{local}``.

    :param text: the template; a relative path is relative to ``state``.
    :param state: the state directory, absolute.
    :raise ValueError: with a text for the operator.
    """

    __slots__ = ("_pieces", "has_local", "text")

    def __init__(self, text: str, state: str) -> None:
        self.text = text
        if "\0" in text:
            raise ValueError("a path cannot contain NUL")
        unknown = [name for name in _FIELD.findall(text) if name not in _FIELDS]
        if unknown:
            raise ValueError(
                f"{{{unknown[0]}}} is not known in a maildir; use {{state}}, {{domain}}, {{local}}"
            )
        if not text.strip():
            raise ValueError("the path is empty")
        if not text.startswith(("/", "{state}")):
            text = "{state}/" + text
        # Constants and fields in turn; the state directory is a constant like any other.
        pieces = _FIELD.split(text)
        pieces[1::2] = [state if name == "state" else f"{{{name}}}" for name in pieces[1::2]]
        if ".." in self.text.split("/"):
            raise ValueError(f"{self.text!r} contains ..; write the path without it")
        if not os.path.isabs("".join(pieces)):
            raise ValueError(f"{self.text!r} is no absolute path")
        self.has_local = "{local}" in text
        self._pieces = pieces

    def path(self, local: str, domain: str) -> str:
        """The Maildir of an address.

        :param local: local part, without quotes.
        :param domain: in its ASCII form.
        """
        filled = {"{local}": component(local), "{domain}": component(domain)}
        return "".join(
            filled.get(piece, piece) if index % 2 else piece for index, piece in enumerate(self._pieces)
        )
