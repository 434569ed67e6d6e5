"""Files of contacts: CSV of any dialect and encoding, or NDJSON; read line by line, and written; pure.

A line that cannot be used is told with its number and why, and the others are read: a quote that is never
closed takes nothing with it but its own line.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO

from mta.audience.contact import ATTRIBUTE, Contact, checked

#: Media types, by the name of the format.
FORMATS = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
DELIMITERS = ",;\t|"
#: Types that a column may have.
TYPES = ("text", "number", "boolean", "date", "list", "json")
FIELDS = ("address", "name", "time_zone", "locale", "channel", "webhook", "source", "consented")
#: How others call the columns.
_NAMES = {
    **{name: name for name in FIELDS},
    **dict.fromkeys(
        ("email", "e_mail", "email_address", "emailaddress", "mail", "e_mail_address"), "address"
    ),
    **dict.fromkeys(("full_name", "fullname"), "name"),
    **dict.fromkeys(("timezone", "tz"), "time_zone"),
    **dict.fromkeys(("language", "lang"), "locale"),
    **dict.fromkeys(("webhook_url",), "webhook"),
    **dict.fromkeys(("opt_in_time", "optin_time", "consent_time", "subscribed_at"), "consented"),
    **dict.fromkeys(("consent_source", "opt_in_source"), "source"),
    "attributes": "attributes",
    # Of our own exports: when a contact was made is not for others to say.
    "created": "",
    "changed": "",
}
#: Lines that one record may have, characters, and columns.
_MOST_LINES, _MOST_CHARACTERS, MOST_COLUMNS = 100, 64 * 1024, 500
#: What a spreadsheet takes for a formula (CWE-1236).
_FORMULA = "=+-@\t\r"
_CANONICAL = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,15})?(?:[eE][+-]?[0-9]{1,3})?")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


#: Encodings of files as people have them; others that Python knows are none of text, or slow.
_ENCODINGS = re.compile(
    r"(?:ascii|utf-8|utf-8-sig|utf-16|utf-16-le|utf-16-be|cp125\d|cp437|cp85\d|iso8859-\d{1,2}|koi8-[ru]|mac-roman"
    r"|shift_jis|cp932|euc_jp|euc_kr|cp949|gbk|gb2312|gb18030|big5)"
)


class FileError(ValueError):
    """The file as a whole cannot be used."""


class Utf8:
    """Finds out, octet by octet, whether something is UTF-8."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._good = True

    def feed(self, octets: bytes, final: bool = False) -> bool:
        """Whether it is so far."""
        if self._good:
            try:
                self._decoder.decode(octets, final)
            except UnicodeDecodeError:
                self._good = False
        return self._good


def encoding_of(head: bytes, is_utf8: bool) -> str:
    """What a file is encoded in: by its mark, UTF-8 if it can be that, or what Windows writes in the West.

    :param head: its first octets.
    :param is_utf8: whether all of it is UTF-8.
    """
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    return "utf-8" if is_utf8 else "cp1252"


def checked_encoding(name: str) -> str:
    """An encoding that somebody names.

    :raise FileError: if it is none.
    """
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        found = ""
    if not _ENCODINGS.fullmatch(found):
        raise FileError(f"there is no encoding {name!r:.40}; leave it out, and it is found out")
    return found


def dialect_of(head: str) -> tuple[str, str]:
    """The format, and what stands between cells (``""`` in NDJSON).

    :param head: the first characters.
    """
    if head.lstrip().startswith("{"):
        return "ndjson", ""
    lines = head.splitlines(keepends=True)[:50]
    best, found = 0.0, ","
    for delimiter in DELIMITERS:
        rows = []
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if any(row)]
        except csv.Error:
            continue
        if not rows or len(rows[0]) < 2:
            continue
        alike = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        score = alike * 100 + len(rows[0])
        if score > best:
            best, found = score, delimiter
    return "csv", found


@dataclass(frozen=True, slots=True)
class Column:
    """Where a cell goes.

    :ivar target: of :data:`FIELDS`, ``attributes``, ``attributes.NAME``, or ``""``: it is passed over.
    :ivar type: of :data:`TYPES`.
    """

    target: str
    type: str = "text"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file is read.

    :ivar form: of :data:`FORMATS`.
    :ivar encoding: such as ``utf-8``.
    :ivar delimiter: between cells.
    :ivar columns: what is known of columns, by their heading: ``attributes.age:number``; ``""``: pass over.
    :ivar heading: whether there is one; without it the first column is the address.
    """

    form: str = "csv"
    encoding: str = "utf-8"
    delimiter: str = ","
    columns: Mapping[str, str] = field(default_factory=dict)
    heading: bool = True


@dataclass(slots=True)
class Row:
    """What a line has.

    :ivar line: its number.
    :ivar contact: who it is; ``None``: it cannot be used.
    :ivar problem: why not.
    """

    line: int
    contact: Contact | None = None
    problem: str = ""


def column(heading: str, told: Mapping[str, str]) -> Column:
    """Where a column goes.

    :param told: by the heading, what was said of it.
    :raise FileError: if that cannot be.
    """
    said = told.get(heading)
    text = heading.strip() if said is None else said.strip()
    target, _, kind = text.partition(":")
    kind = kind.strip().lower() or "text"
    if kind not in TYPES:
        if said is None:
            target, kind = text, "text"
        else:
            raise FileError(f"columns: {heading!r:.80}: there is no type {kind!r:.40}: {', '.join(TYPES)}")
    name = re.sub(r"[^a-z0-9_]+", "_", target.strip().lower()).strip("_")
    if said is not None and not text:
        return Column("")
    if target.startswith("attributes."):
        return Column(f"attributes.{_attribute(target[11:], heading)}", kind)
    if name in _NAMES and (said is None or target.strip().lower() == name):
        return Column(_NAMES[name], "json" if name == "attributes" else kind)
    if said is not None:
        raise FileError(
            f"columns: {heading!r:.80} goes to {target!r:.80}, and may go to {', '.join(FIELDS)},"
            " attributes.NAME, or nowhere"
        )
    return Column(f"attributes.{name}" if ATTRIBUTE.fullmatch(name) else "", kind)


def _attribute(name: str, heading: str) -> str:
    if not ATTRIBUTE.fullmatch(name):
        raise FileError(f"columns: {heading!r:.80}: {name!r:.80} is no name of an attribute")
    return name


class Reading:
    """Reads a file; an iterator of :class:`Row`.

    :param source: octets.
    :param plan: how.
    :param skip: lines that were read before.
    :raise FileError: if its heading cannot be used.
    """

    def __init__(self, source: BinaryIO, plan: Plan, skip: int = 0) -> None:
        self._text = io.TextIOWrapper(source, plan.encoding, "replace", newline="")
        self._lines = _lines(self._text)
        self._plan = plan
        self.line = 0
        self._back: list[str] = []
        self._columns: list[Column] = []
        if plan.form == "csv":
            self._columns = self._heading()
        while self.line < skip and self._next() is not None:
            pass

    @property
    def columns(self) -> list[Column]:
        """Where the cells go; nothing in NDJSON."""
        return list(self._columns)

    def close(self) -> None:
        """Close the source."""
        self._text.close()

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        while True:
            line = self._next()
            if line is None:
                raise StopIteration
            if not line.strip(" \t\r\n\ufeff"):
                continue
            number = self.line
            try:
                if line.startswith("\0"):
                    raise ValueError(f"it has more than {_MOST_CHARACTERS} characters")
                found = _object(line) if self._plan.form == "ndjson" else self._cells(self._record(line))
                return Row(number, checked(_contact(found)))
            except ValueError as error:
                return Row(number, None, str(error)[:500])

    def _next(self) -> str | None:
        line = self._back.pop() if self._back else next(self._lines, None)
        if line is not None:
            self.line += 1
        return line

    def _heading(self) -> list[Column]:
        line = self._next()
        while line is not None and not line.strip(" \t\r\n\ufeff"):
            line = self._next()
        if line is None:
            raise FileError("there is nothing in it")
        try:
            cells = [cell.strip("\ufeff ") for cell in self._record(line)]
        except ValueError as error:
            raise FileError(f"its heading cannot be read: {error}") from None
        if not self._plan.heading or any("@" in cell for cell in cells):
            # Without a heading it is a list of addresses, with a name perhaps.
            self._back.append(line)
            self.line -= 1
            return [Column("address"), Column("name")][: len(cells)]
        if len(cells) > MOST_COLUMNS:
            raise FileError(f"it has {len(cells)} columns, and may have {MOST_COLUMNS}")
        unknown = sorted(set(self._plan.columns) - set(cells))
        if unknown:
            raise FileError(
                f"columns: it has no column {unknown[0]!r:.80}; there are {', '.join(cells)[:500]}"
            )
        columns = [column(cell, self._plan.columns) for cell in cells]
        targets = [one.target for one in columns if one.target]
        if "address" not in targets:
            raise FileError(
                f"no column is the address; there are {', '.join(cells)[:500]}, and `columns` says which"
            )
        twice = sorted({target for target in targets if targets.count(target) > 1})
        if twice:
            raise FileError(f"several columns go to {twice[0]}; `columns` says where they go")
        return columns

    def _record(self, line: str) -> list[str]:
        """A record from its first line on: a cell may have several."""
        lines = [line]
        while True:
            more: str | None = None
            try:
                return next(csv.reader(lines, delimiter=self._plan.delimiter, strict=True))
            except csv.Error as error:
                why = str(error)
                if "unexpected end of data" in why:
                    why = 'a quote (") is never closed'
                    if len(lines) < _MOST_LINES and sum(map(len, lines)) <= _MOST_CHARACTERS:
                        more = self._next()
            if more is None:
                # What comes after the quote may be good.
                self._back += reversed(lines[1:])
                self.line -= len(lines) - 1
                if len(lines) > 1:
                    why = 'a quote (") is never closed'
                raise ValueError(f"it is no CSV: {why}")
            lines.append(more)

    def _cells(self, cells: list[str]) -> dict[str, Any]:
        if any(cell.strip() for cell in cells[len(self._columns) :]):
            raise ValueError(f"it has {len(cells)} cells, and the heading {len(self._columns)}")
        found: dict[str, Any] = {}
        attributes: dict[str, Any] = {}
        for one, cell in zip(self._columns, cells, strict=False):
            text = cell.strip()
            if text[:1] == "'" and text[1:2] in tuple(_FORMULA):
                # As we write it ourselves, for spreadsheets.
                text = text[1:]
            if not one.target or not text:
                continue
            if one.target == "attributes":
                attributes.update(_attributes(text))
            elif one.target.startswith("attributes."):
                attributes[one.target[11:]] = typed(text, one.type, one.target)
            else:
                # A name may have gone over two lines.
                found[one.target] = " ".join(text.split())
        return {**found, "attributes": attributes}


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Lines, none of which takes all memory."""
    while line := text.readline(_MOST_CHARACTERS + 1):
        if len(line) > _MOST_CHARACTERS and not line.endswith("\n"):
            # Where it goes on belongs to the same line.
            while (rest := text.readline(_MOST_CHARACTERS)) and not rest.endswith("\n"):
                pass
            line = "\0" + line[:100]
        yield line


def _object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON object") from None
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    found: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for name, item in value.items():
        target = _NAMES.get(name.lower())
        if target == "attributes":
            if not isinstance(item, dict):
                raise ValueError("attributes: they are a JSON object")
            more.update(item)
        elif target is None:
            more[name] = item
        elif target and item not in (None, ""):
            if not isinstance(item, str | int | float) or isinstance(item, bool):
                raise ValueError(f"{target}: it is a text")
            found[target] = str(item)
    return {**found, "attributes": more}


def _attributes(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError("attributes: they are a JSON object")
    return value


def typed(text: str, kind: str, where: str) -> Any:
    """A cell as a JSON value.

    :param kind: of :data:`TYPES`.
    :raise ValueError: if it is none of that.
    """
    if kind == "number":
        number = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
        if not _CANONICAL.fullmatch(number):
            raise ValueError(f"{where}: {text!r:.80} is no number")
        return float(number) if any(mark in number for mark in ".eE") else int(number)
    if kind == "boolean":
        if text.lower() not in (*_TRUE, *_FALSE):
            raise ValueError(f"{where}: {text!r:.80} is neither true nor false")
        return text.lower() in _TRUE
    if kind == "date":
        return _time(text, where).isoformat().replace("+00:00", "Z") if "T" in text else _day(text, where)
    if kind == "list":
        return [part.strip() for part in re.split(r"[;|,]", text) if part.strip()]
    if kind == "json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError(f"{where}: {text!r:.80} is no JSON") from None
    return text


def _day(text: str, where: str) -> str:
    return _time(text, where).date().isoformat()


def _time(text: str, where: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{where}: {text!r:.80} is no time, such as 2027-01-31T08:00:00Z") from None


def _contact(found: Mapping[str, Any]) -> Contact:
    if not found.get("address"):
        raise ValueError("address: there is none")
    consented = found.get("consented", "")
    return Contact(
        address=found["address"],
        name=found.get("name", ""),
        attributes=found["attributes"],
        time_zone=found.get("time_zone", ""),
        locale=found.get("locale", ""),
        channel=found.get("channel", "mail").lower(),
        webhook=found.get("webhook", ""),
        source=found.get("source", ""),
        consented=_time(consented, "consented").timestamp() if consented else 0.0,
    )


# --- writing ---------------------------------------------------------------------


def heading(form: str) -> str:
    """What stands above all contacts of an export."""
    return ",".join((*FIELDS, "created", "attributes")) + "\r\n" if form == "csv" else ""


def written(contacts: Iterable[Contact], form: str) -> str:
    """Contacts of an export.

    :param form: of :data:`FORMATS`.
    """
    if form == "ndjson":
        return "".join(json.dumps(_told(one), ensure_ascii=False) + "\n" for one in contacts)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for one in contacts:
        told = _told(one)
        cells: Sequence[Any] = [told[name] for name in (*FIELDS, "created")]
        writer.writerow([*map(_harmless, cells), json.dumps(told["attributes"], ensure_ascii=False)])
    return out.getvalue()


def _told(one: Contact) -> dict[str, Any]:
    return {
        "address": one.address,
        "name": one.name,
        "time_zone": one.time_zone,
        "locale": one.locale,
        "channel": one.channel,
        "webhook": one.webhook,
        "source": one.source,
        "consented": _moment(one.consented),
        "created": _moment(one.created),
        "attributes": dict(one.attributes),
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else ""


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet computes."""
    return f"'{cell}" if cell.startswith(tuple(_FORMULA)) else cell
