"""Parts of a message (RFC 2045): text as quoted-printable where it must be, files as base64."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

#: Octets of a line that every server takes (RFC 5321, 4.5.3.1.6, without CRLF).
_LINE = 998
_ASCII = bytes(range(128))


@dataclass(frozen=True, slots=True)
class Part:
    """A header section and a body, both ended by CRLF."""

    header: bytes
    body: bytes

    def encode(self) -> bytes:
        """As it stands between boundaries."""
        return b"%s\r\n%s" % (self.header, self.body)


def text_part(text: str, kind: str = "plain") -> Part:
    """Text for people.

    :param kind: ``plain`` or ``html``.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    if not lines.endswith("\n"):
        lines += "\n"
    octets = lines.encode("utf-8", "replace")
    plain = lines.isascii() and "\0" not in lines
    charset = "us-ascii" if plain else "utf-8"
    if plain and max(map(len, octets.split(b"\n"))) <= _LINE:
        way, body = "7bit", octets.replace(b"\n", b"\r\n")
    elif _mostly_ascii(octets):
        way = "quoted-printable"
        body = binascii.b2a_qp(octets, quotetabs=False, istext=True, header=False).replace(b"\n", b"\r\n")
    else:
        way, body = "base64", base64_lines(octets.replace(b"\n", b"\r\n"))
    header = f'Content-Type: text/{kind}; charset="{charset}"\r\nContent-Transfer-Encoding: {way}\r\n'
    return Part(header.encode(), body)


def file_part(lines: bytes, media: str, name: str = "", cid: str = "") -> Part:
    """A file.

    :param lines: its content, see :func:`base64_lines`.
    :param media: its type, such as ``image/png``.
    :param name: of the file.
    :param cid: by which HTML refers to it, without brackets; it is shown there, and not below.
    """
    way = "inline" if cid else "attachment"
    header = f"Content-Type: {media}{_parameter('name', name)}\r\n"
    if media == "message/rfc822":
        # RFC 2046, 5.2.1: no encoding but 7bit, 8bit and binary; as a mere file it may have one.
        header = f"Content-Type: application/octet-stream{_parameter('name', name)}\r\n"
    header += f"Content-Disposition: {way}{_parameter('filename', name)}\r\n"
    if cid:
        header += f"Content-ID: <{cid}>\r\n"
    return Part(f"{header}Content-Transfer-Encoding: base64\r\n".encode(), lines)


def several(kind: str, parts: Sequence[Part], boundary: str, more: str = "") -> Part:
    """Parts together (RFC 2046, 5.1).

    :param kind: ``mixed``, ``alternative`` or ``related``.
    :param boundary: occurs in none of them: it has ``=_`` in it, which neither encoding gives.
    :param more: further parameters.
    """
    mark = boundary.encode()
    body = b"".join(b"--%s\r\n%s\r\n" % (mark, part.encode()) for part in parts)
    header = f'Content-Type: multipart/{kind}; boundary="{boundary}"{more}\r\n'
    return Part(header.encode(), b"%s--%s--\r\n" % (body, mark))


def base64_lines(octets: bytes) -> bytes:
    """Octets as base64, in lines of 76 characters that are ended by CRLF."""
    text = binascii.b2a_base64(octets, newline=False)
    return b"\r\n".join([text[start : start + 76] for start in range(0, len(text), 76)]) + b"\r\n"


def _mostly_ascii(octets: bytes) -> bool:
    some = octets[:4096]
    return len(some.translate(None, _ASCII)) * 6 < len(some)


def _parameter(name: str, value: str) -> str:
    """A parameter in a line of its own; ``""`` for none (RFC 2231, 4 for other than ASCII)."""
    if not value:
        return ""
    if value.isascii():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f';\r\n {name}="{escaped}"'
    return f";\r\n {name}*=utf-8''{quote(value, safe='')}"
