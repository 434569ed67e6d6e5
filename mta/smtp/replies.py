"""Replies as octets: safe whatever text a policy has put into them."""

from __future__ import annotations

from mta.model.catalogue import REPLIES
from mta.model.reply import Reply

#: RFC 5321, 4.5.3.1.5: octets of a reply line, code and CRLF included.
MAX_LINE = 512


def encode(reply: Reply, utf8: bool = False) -> bytes:
    """The octets of a reply.

    A reply from a plugin may hold anything: no line break in it begins a
    further line, and a line that is too long is cut.

    :param utf8: whether the client has declared SMTPUTF8; without, non-ASCII
        text is escaped (RFC 6531, 3.7.4.2).
    """
    lines = reply.lines
    if len(lines) == 1:
        mark = reply.enhanced
        text = f"{reply.code} {mark} {lines[0]}" if mark else f"{reply.code} {lines[0]}"
        if text.isascii() and len(text) < MAX_LINE - 2 and text.isprintable():
            return text.encode() + b"\r\n"
    octets = [_clean(reply, line, utf8) for line in lines or ("",)]
    code = str(reply.code).encode()
    last = octets.pop()
    return b"".join(code + b"-" + line + b"\r\n" for line in octets) + code + b" " + last + b"\r\n"


def _clean(reply: Reply, line: str, utf8: bool) -> bytes:
    text = f"{reply.enhanced} {line}" if reply.enhanced else line
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    octets = text.encode("utf-8" if utf8 else "ascii", "backslashreplace")
    if len(octets) > MAX_LINE - 6:
        octets = octets[: MAX_LINE - 6].decode("utf-8", "ignore").encode()
    return octets


#: Replies that are always the same, ready to be sent.
OK = encode(REPLIES.reply("ok"))
START_DATA = encode(REPLIES.reply("start-data"))
START_TLS = encode(REPLIES.reply("start-tls"))
AUTHENTICATED = encode(REPLIES.reply("authenticated"))
CANNOT_VERIFY = encode(REPLIES.reply("cannot-verify"))
