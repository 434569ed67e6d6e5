"""What a message says: its fields and its text, as they are searched and sorted by.

Fields are decoded (RFC 2047), and so is the text of all parts that are text: base64, quoted-printable,
charset, HTML without its tags, forwarded messages, and the names of what is attached.  All of it is
folded (:mod:`~mta.mailbox.full_text.folding`).  Left out are signatures that programs read (DKIM, ARC) and
attachments that are no text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from email.utils import mktime_tz, parsedate_tz

from mta.mailbox.full_text import markup
from mta.mailbox.full_text.base_subject import base_subject
from mta.mailbox.full_text.folding import END, decoded, fold, unfolded, words_decoded
from mta.mailbox.full_text.parts import Part, Source, fields, parts, text_of

#: Characters of text that an index keeps of a message; the rest is looked for in the file.
KEPT = 256 * 1024
#: Octets of a part that are decoded, and characters of a message that are looked at.
MOST = 16 << 20
#: Of what a client is sorted and searched by.
_FIELD = 10_000
#: Characters of a field that a list is sorted by.
_KEY = 300

#: Digits of signatures, which no person looks for; they would be the larger part of most indexes.
_SIGNATURES = frozenset(
    b"%s-signature" % name for name in (b"dkim", b"x-google-dkim", b"arc-message", b"domainkey")
) | {b"arc-seal"}
_NAME = re.compile(r"\b(?:file)?name(?:\*[0-9]{0,2}\*?)?\s*=\s*(\"(?:[^\"\\]|\\.)*\"|[^\s;]+)", re.IGNORECASE)
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|<([^<>]*)>?|([,:;()])|[^",:;()<>]+|.', re.DOTALL)


@dataclass(slots=True)
class Text:
    """What is searched and sorted by; see the module.  Everything is folded.

    :ivar header: all fields, each ``name: value``, with an end before and behind it.
    :ivar body: the text of the parts, each ended.
    :ivar whole: whether that is all of it.
    :ivar sent: seconds since 1970, by the field Date; ``None`` if it says nothing.
    :ivar day: the day that stands in Date, whatever time and zone, counted from the year 1.
    :ivar base: of the subject (RFC 5256, 2.1).
    :ivar boxes: local parts of the first address in From, To and Cc, which SORT goes by.
    :ivar names: of the first person in From and To, or the address (RFC 5957).
    """

    header: str = ""
    body: str = ""
    whole: bool = True
    sent: int | None = None
    day: int | None = None
    subject: str = ""
    sender: str = ""
    to: str = ""
    cc: str = ""
    bcc: str = ""
    base: str = ""
    boxes: tuple[str, str, str] = ("", "", "")
    names: tuple[str, str] = ("", "")


def read(source: Source, kept: int = KEPT) -> Text:
    """What a message says.

    :param kept: characters of text at the most.
    :raise OSError: if it cannot be read.
    """
    text = Text()
    found: list[str] = []
    length = 0
    for number, part in enumerate(parts(source)):
        if not number:
            _fields(text, part.header)
        else:
            found.append(_part_header(part))
        if part.kind.startswith("text/") and length < kept:
            seen = "".join(found) if part.alternative and part.kind == "text/html" else ""
            found.append(_content(source, part, seen))
        length += len(found[-1]) if found else 0
        if length > kept:
            text.whole = False
            break
    text.body = "".join(found)[:kept]
    return text


def read_header(source: Source) -> Text:
    """What the header section of a message says, and nothing of its parts.

    :raise OSError: if it cannot be read.
    """
    text = Text()
    for part in parts(source):
        _fields(text, part.header)
        break
    return text


def header_values(source: Source, name: str) -> list[str]:
    """The values of a field in the header section of the message, folded.

    :param name: in lower case.
    :raise OSError: if it cannot be read.
    """
    wanted = name.encode("utf-8", "replace")
    for part in parts(source):
        return [fold(unfolded(value)) for one, value in fields(part.header) if one.lower() == wanted]
    return []


def _fields(text: Text, header: bytes) -> None:
    lines: list[str] = []
    shown: dict[bytes, list[str]] = {}
    firsts: dict[bytes, str] = {}
    for octets, value in fields(header):
        name = octets.lower()
        if name in _SIGNATURES:
            continue
        plain = unfolded(value)
        folded = fold(plain)
        lines.append(f"{name.decode('ascii')}: {folded}{END}")
        if name in _SHOWN:
            shown.setdefault(name, []).append(folded)
            if name not in firsts:
                firsts[name] = plain if name == b"subject" else _raw(value)
    text.header = END + "".join(lines) + END
    text.subject, text.sender, text.to, text.cc, text.bcc = (
        END.join(shown.get(name, ()))[:_FIELD] for name in (b"subject", b"from", b"to", b"cc", b"bcc")
    )
    text.base = fold(base_subject(" ".join(firsts.get(b"subject", "").split())))[:_KEY]
    sender, to, cc = (_first_address(firsts.get(name, "")) for name in (b"from", b"to", b"cc"))
    text.boxes = (sender[0], to[0], cc[0])
    text.names = (sender[1], to[1])
    text.sent, text.day = when(firsts.get(b"date", ""))


_SHOWN = frozenset({b"subject", b"from", b"to", b"cc", b"bcc", b"date"})


def _raw(value: bytes) -> str:
    try:
        return value[:4000].decode("utf-8")
    except UnicodeDecodeError:
        return value[:4000].decode("latin-1")


def _first_address(value: str) -> tuple[str, str]:
    """The local part, and the name or else the address, of whom a field names first (RFC 5322, 3.4).

    A group has its name as both, as it has in an envelope (RFC 5256, 3; RFC 5957, 3).
    """
    words: list[str] = []
    comment: list[str] = []
    address = ""
    depth = 0
    for match in _TOKEN.finditer(value[:1000]):
        quoted, angled, sign = match[1], match[2], match[3]
        if sign == "(":
            depth += 1
        elif sign == ")":
            depth = max(0, depth - 1)
        elif depth:
            comment.append(match[0])
        elif sign == ":":
            group = " ".join("".join(words).split())
            if group:
                return fold(group)[:_KEY], fold(words_decoded(group))[:_KEY]
        elif sign in (",", ";"):
            if address or "".join(words).strip():
                break
        elif angled is not None:
            address = address or angled.strip()
        else:
            words.append(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match[0])
    name = " ".join("".join(words).split())
    if not address:
        address, name = name.replace(" ", ""), " ".join("".join(comment).split())
    box = address.rpartition("@")[0] or address
    return fold(box)[:_KEY], fold(words_decoded(name) or address)[:_KEY]


def when(value: str) -> tuple[int | None, int | None]:
    """Seconds since 1970, and the day as it is written, of a Date field."""
    try:
        found = parsedate_tz(" ".join(value[:200].split()))
        if found is None:
            return None, None
        day = date(*found[:3]).toordinal()
        seconds = int(mktime_tz(found))
    except (ValueError, OverflowError, TypeError, IndexError):
        return None, None
    return (seconds, day) if abs(seconds) < 1 << 40 else (None, day)


def _part_header(part: Part) -> str:
    """What is said of a part: the name of a file, what describes it; of a forwarded message its fields."""
    found = []
    for octets, value in fields(part.header):
        name = octets.lower()
        if name in _SIGNATURES or name in (b"content-transfer-encoding", b"mime-version"):
            continue
        plain = unfolded(value)
        if name in (b"content-type", b"content-disposition"):
            for match in _NAME.finditer(plain[:4000]):
                file = match[1].strip('"').replace("\\", "")
                if "%" in file and "*" in match[0].partition("=")[0]:
                    file = _percent_decoded(file)
                found.append(fold(words_decoded(file)) + END)
        else:
            found.append(f"{name.decode('ascii')}: {fold(plain)}{END}")
    return "".join(found)


def _percent_decoded(text: str) -> str:
    """A parameter's value that names its charset (RFC 2231, 4)."""
    charset, _, rest = text.partition("'")
    rest = rest.partition("'")[2] or text
    octets = rest.encode("latin-1", "replace")
    octets = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), octets)
    return decoded(octets, charset if "'" in text else "")


def _content(source: Source, part: Part, seen: str) -> str:
    """The text of a part.

    :param seen: what has been said before; it is not said again.
    """
    text = text_of(source, part, MOST)
    if part.kind == "text/html":
        blocks = [fold(line) for line in markup.words(text).split("\n")]
        if seen and len(seen) * len(blocks) < 1 << 26:
            blocks = [block for block in blocks if block not in seen]
        # What follows one another on the page does so in the text.
        return " ".join(filter(None, blocks)) + END
    return fold(text) + END
