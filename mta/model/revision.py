"""A message as judges have changed it: header fields, body, envelope.

What is put on top of a header section that stays as it is costs nothing: it goes to our own
fields above the content (:attr:`Revision.above`).  Everything else makes a new content of the
old one (:attr:`Revision.below`), which whoever keeps the message must write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from mta.model.address import AddressError, parse_address
from mta.model.change import (
    AddField,
    AddRecipient,
    Change,
    ChangeField,
    ChangeSender,
    InsertField,
    RemoveField,
    RemoveRecipient,
    ReplaceBody,
)
from mta.model.envelope import Envelope, Recipient
from mta.model.header import header_fields
from mta.model.message import Content, InlineContent

_NAME = re.compile(r"[!-9;-~]{1,200}")
_LINE_END = re.compile(r"\r\n|\r|\n")
_BODY_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Composed:
    """Content with another start.

    :ivar start: what comes first.
    :ivar rest: the content behind it, without its first ``skip`` octets; ``None``: nothing.
    """

    start: bytes
    rest: Content | None = None
    skip: int = 0

    @property
    def size(self) -> int:
        """Octets in all."""
        return len(self.start) + (self.rest.size - self.skip if self.rest is not None else 0)

    def read(self) -> bytes:
        """Everything at once."""
        return b"".join(self.blocks())

    def blocks(self) -> Iterator[bytes]:
        """Everything, in blocks."""
        if self.start:
            yield self.start
        if self.rest is not None:
            yield from behind(self.rest, self.skip)


def behind(content: Content, skip: int) -> Iterator[bytes]:
    """The blocks of a content without its first octets.  May read a file."""
    for block in content.blocks():
        if skip >= len(block):
            skip -= len(block)
            continue
        yield block[skip:] if skip else block
        skip = 0


class Revision:
    """See the module.  It is not changed; :meth:`revised` makes the next one.

    :param header: the header section, as it was.
    :param content: all of it, which begins with ``header``.
    :param envelope: as it was; it stays as it is.
    """

    __slots__ = ("_above", "_body", "_content", "_fields", "_header", "envelope")

    def __init__(self, header: bytes, content: Content, envelope: Envelope) -> None:
        self._header = header
        self._content = content
        self._above: tuple[bytes, ...] = ()
        self._fields: tuple[bytes, ...] | None = None
        self._body: bytes | None = None
        #: With the recipients that it has now; those that were added have no routes.
        self.envelope = envelope

    @property
    def above(self) -> bytes:
        """The fields on top of the others, which belong to our own trace."""
        return b"".join(self._above)

    @property
    def rewritten(self) -> bool:
        """Whether the content itself is another one."""
        return self._body is not None or self._fields is not None

    @property
    def below(self) -> Content:
        """The content under :attr:`above`."""
        start = self._header if self._fields is None else b"".join(self._fields)
        if self._body is not None:
            return Composed(start + b"\r\n" + self._body)
        return (
            Composed(start, self._content, len(self._header)) if self._fields is not None else self._content
        )

    @property
    def header(self) -> bytes:
        """The whole header section."""
        return self.above + (self._header if self._fields is None else b"".join(self._fields))

    @property
    def content(self) -> Content:
        """All of it."""
        above = self.above
        below = self.below
        if not above:
            return below
        if isinstance(below, Composed):
            return replace(below, start=above + below.start)
        return Composed(above, below)

    def revised(self, changes: Iterable[Change]) -> Revision:
        """With these changes, made one after the other.

        :raise ValueError: if one of them cannot be made.
        """
        after = Revision(self._header, self._content, self.envelope)
        after._above, after._fields, after._body = self._above, self._fields, self._body
        for change in changes:
            after._change(change)
        return after

    def _change(self, change: Change) -> None:
        match change:
            case AddField(name, value):
                self._set(len(self._above) + len(self._lower()), 0, (field_octets(name, value),))
            case InsertField(name, value, position):
                self._set(max(position, 0), 0, (field_octets(name, value),))
            case ChangeField(name, value, number):
                at = self._find(name, max(number, 1))
                new = (field_octets(name, value),)
                if at is None:
                    self._set(len(self._above) + len(self._lower()), 0, new)
                else:
                    self._set(at, 1, new)
            case RemoveField(name, number):
                while (at := self._find(name, number or 1)) is not None:
                    self._set(at, 1, ())
                    if number:
                        break
            case ReplaceBody(body):
                self._replace_body(body)
            case AddRecipient(address, notify, orcpt):
                self._add_recipient(Recipient(_address(address), notify, orcpt))
            case RemoveRecipient(address):
                gone = _plain(address)
                kept = [one for one in self.envelope.recipients if _plain(one.address) != gone]
                self.envelope = replace(self.envelope, recipients=kept)
            case ChangeSender(address):
                self.envelope = replace(self.envelope, reverse_path=address and _address(address))
            case _:
                raise ValueError(f"{change!r:.100} is no change that can be made")

    # --- the header section ----------------------------------------------------

    def _lower(self) -> tuple[bytes, ...]:
        """The fields below :attr:`_above`."""
        return header_fields(self._header) if self._fields is None else self._fields

    def _set(self, at: int, old: int, new: tuple[bytes, ...]) -> None:
        """Put fields in the place of others, counted from the top."""
        above = len(self._above)
        if at < above or (at == above and not old):
            self._above = (*self._above[:at], *new, *self._above[at + old :])
        else:
            at -= above
            fields = self._lower()
            self._fields = (*fields[:at], *new, *fields[at + old :])

    def _find(self, name: str, number: int) -> int | None:
        wanted = _checked(name).lower().encode()
        for at, octets in enumerate((*self._above, *self._lower())):
            if octets.partition(b":")[0].rstrip(b" \t").lower() == wanted:
                number -= 1
                if not number:
                    return at
        return None

    # --- the rest ----------------------------------------------------------------

    def _replace_body(self, body: bytes) -> None:
        if self.envelope.body != "BINARYMIME":
            # No octet of a filter may look like the end of the message to the next server.
            body = _BODY_LINE_END.sub(b"\r\n", body)
            if body and not body.endswith(b"\r\n"):
                body += b"\r\n"
            if self.envelope.body == "7BIT" and not body.isascii():
                self.envelope = replace(self.envelope, body="8BITMIME")
        self._body = body

    def _add_recipient(self, added: Recipient) -> None:
        recipients = self.envelope.recipients
        if all(_plain(one.address) != _plain(added.address) for one in recipients):
            self.envelope = replace(self.envelope, recipients=[*recipients, added])


def is_in_memory(content: Content) -> bool:
    """Whether reading it reads no file."""
    if isinstance(content, Composed):
        return content.rest is None or is_in_memory(content.rest)
    return isinstance(content, InlineContent)


def field_octets(name: str, value: str) -> bytes:
    """One field, folded where the value has line ends, ended by CRLF.

    :raise ValueError: if the name is none.
    """
    lines = _LINE_END.split(value.replace("\0", " "))
    # A line that does not begin with white space would be a field of its own (RFC 5322, 2.2.3),
    # and one of white space alone could look like the end of the header section.
    folded = [line if line[0] in " \t" else f"\t{line}" for line in lines[1:] if line.strip()]
    first = lines[0]
    text = "\r\n".join([f"{_checked(name)}:{'' if first[:1] in (' ', chr(9)) else ' '}{first}", *folded])
    return text.encode("utf-8", "surrogateescape") + b"\r\n"


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r:.100} is no name of a header field")
    return name


def _address(text: str) -> str:
    try:
        return str(parse_address(text))
    except AddressError as error:
        raise ValueError(f"{text!r:.100} is no address: {error}") from None


def _plain(address: str) -> str:
    """Two spellings of one address compare equal; the case of the local part counts for nobody."""
    try:
        return str(parse_address(address)).lower()
    except AddressError:
        return address.lower()
