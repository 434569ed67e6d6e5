"""The Authentication-Results field (RFC 8601): written, read, and taken out where it is forged.

Whoever reads a message here believes the field that bears our name, so nobody else's field
may bear it (5).  What the name is hidden behind, such as comments, quotes, folding or another
case, a reader undoes, and so do we.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

from mta.model.a_labels import a_labels
from mta.model.authentication import AuthenticationResult
from mta.model.header import header_section

NAME = b"Authentication-Results"

#: Characters of a value at the most: a line of a message has 998 octets (RFC 5322, 2.1.1).
_LONGEST = 600
#: Where a line is folded, if it can be.
_WIDTH = 78
# A token of RFC 2045 (5.1), and the ``[local-part]@domain`` that RFC 8601 (2.2) has beside it.
_ATOM = r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~\u0080-\U0010ffff]+"
_PLAIN = re.compile(rf"{_ATOM}(?:@{_ATOM})?\Z|@{_ATOM}\Z")
# The underscore is not in the grammar, and in many a field.
_KEYWORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
_VALUE = re.compile(rf"(?:{_ATOM})?(?:@{_ATOM})?")
_SPACE = re.compile(r"(?:\r\n[ \t]|[ \t])+")
_LOWER_NAME = NAME.lower()
_FIELD = re.compile(
    rb"^" + NAME + rb"[ \t]*:((?:[^\r\n]++|\r\n[ \t])*+)(?:\r\n)?", re.IGNORECASE | re.MULTILINE
)


class Unreadable(ValueError):
    """It is not what RFC 8601 (2.2) describes, for a reason in words."""


@dataclass(frozen=True, slots=True)
class AuthenticationResults:
    """One field.

    :ivar authserv_id: who has found it out (2.5).
    :ivar results: what; none if nothing was looked at.
    :ivar version: of the field's grammar.
    """

    authserv_id: str
    results: tuple[AuthenticationResult, ...] = ()
    version: int = 1

    def value(self) -> str:
        """The value, folded: a line for each result."""
        lines = [_value(self.authserv_id) + (f" {self.version}" if self.version != 1 else "")]
        if not self.results:
            return f"{lines[0]}; none"
        for result in self.results:
            lines[-1] += ";"
            line = f"\t{result.method}={result.result}"
            words = [f"{name}={_value(value)}" for name, value in result.properties]
            if result.reason:
                words.insert(0, f"reason={_quoted(result.reason)}")
            for word in words:
                if len(line) + len(word) < _WIDTH:
                    line += f" {word}"
                else:
                    lines.append(line)
                    line = f"\t {word}"
            lines.append(line)
        return "\r\n".join(lines)

    def field(self) -> bytes:
        """The field, ended by CRLF."""
        return NAME + b": " + self.value().encode("utf-8", "surrogateescape") + b"\r\n"

    @classmethod
    def parse(cls, value: bytes | str) -> AuthenticationResults:
        """Read a value, folded or not.

        :raise Unreadable: if it is none.
        """
        text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
        return _Scanner(text).field()


class _Scanner:
    """Reads a value from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def field(self) -> AuthenticationResults:
        self._space()
        name = self._word("the name of who has found it out")
        self._space()
        version = 1
        digits = re.compile(r"[0-9]{1,9}").match(self._text, self._at)
        if digits:
            version, self._at = int(digits[0]), digits.end()
            self._space()
        results: list[AuthenticationResult] = []
        while self._at < len(self._text):
            self._expect(";")
            self._space()
            if self._at == len(self._text) and results:
                break  # A semicolon too many is often there.
            method = self._keyword("a method")
            if method == "none" and not results and not self._peek("=/"):
                self._end()
                break
            results.append(self._result(method))
        else:
            if not results:
                raise Unreadable("there is no result in it")
        return AuthenticationResults(name, tuple(results), version)

    def _result(self, method: str) -> AuthenticationResult:
        self._space()
        if self._peek("/"):
            self._at += 1
            self._space()
            self._keyword("a version")
            self._space()
        self._expect("=")
        self._space()
        result = self._keyword("a result")
        reason = ""
        properties: list[tuple[str, str]] = []
        self._space()
        while self._at < len(self._text) and not self._peek(";"):
            name = self._keyword("a property")
            self._space()
            if name == "reason" and not self._peek("."):
                self._expect("=")
                self._space()
                reason = self._word("a reason")
            else:
                self._expect(".")
                self._space()
                name += "." + self._keyword("a property")
                self._space()
                self._expect("=")
                self._space()
                properties.append((name, self._word("a value")))
            self._space()
        return AuthenticationResult(method, result, tuple(properties), reason)

    def _peek(self, characters: str) -> bool:
        return self._at < len(self._text) and self._text[self._at] in characters

    def _expect(self, character: str) -> None:
        if not self._peek(character):
            raise Unreadable(f"{character!r} is missing at {self._text[self._at : self._at + 20]!r}")
        self._at += 1

    def _end(self) -> None:
        self._space()
        if self._at < len(self._text):
            raise Unreadable(f"{self._text[self._at : self._at + 20]!r} stands behind its end")

    def _keyword(self, what: str) -> str:
        match = _KEYWORD.match(self._text, self._at)
        if match is None:
            raise Unreadable(f"{what} is missing at {self._text[self._at : self._at + 20]!r}")
        self._at = match.end()
        return match[0].lower()

    def _word(self, what: str) -> str:
        """A value: a quoted string, a token, or an address."""
        if not self._peek('"'):
            match = _VALUE.match(self._text, self._at)
            if match is None or not match[0]:
                raise Unreadable(f"{what} is missing at {self._text[self._at : self._at + 20]!r}")
            self._at = match.end()
            return match[0]
        text = self._quoted_string()
        if self._peek("@"):
            # A local-part in quotes.
            match = _VALUE.match(self._text, self._at)
            assert match is not None
            self._at = match.end()
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"{match[0]}'
        return text

    def _quoted_string(self) -> str:
        text = ""
        self._at += 1
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character == '"':
                return text.replace("\r\n", "")
            if character == "\\":
                character = self._text[self._at : self._at + 1]
                self._at += 1
            text += character
        raise Unreadable("a quote has no end")

    def _space(self) -> None:
        """Pass white space, folding and comments (RFC 5322, 3.2.2)."""
        while True:
            match = _SPACE.match(self._text, self._at)
            if match is not None:
                self._at = match.end()
            elif self._peek("("):
                self._comment()
            else:
                return

    def _comment(self) -> None:
        depth = 0
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 2 if character == "\\" else 1
            depth += (character == "(") - (character == ")")
            if not depth:
                return
        raise Unreadable("a comment has no end")

    def names(self) -> list[str]:
        """The words before the first semicolon, whatever a careless reader might make of them."""
        found: list[str] = []
        while True:
            self._space()
            if self._at >= len(self._text) or self._peek(";"):
                return found
            if self._peek('"'):
                found.append(self._quoted_string())
                continue
            start = self._at
            while self._at < len(self._text) and not self._peek(' \t\r\n;("'):
                self._at += 1
            # A line ending that stands alone begins no word.
            self._at = max(self._at, start + 1)
            found.append(self._text[start : self._at])


def without_forged(data: bytes, authserv_id: str) -> bytes:
    """The message without Authentication-Results fields that bear our name, or might (5).

    :param data: the message, or so much of its start as holds the header section.
    :param authserv_id: our name.
    :return: ``data`` itself if there are none.
    """
    header = header_section(data)
    lower = header.lower()
    if b"\n" + _LOWER_NAME not in lower and not lower.startswith(_LOWER_NAME):
        return data
    kept = _FIELD.sub(lambda field: b"" if _is_ours(field[1], authserv_id) else field[0], header)
    return data if len(kept) == len(header) else kept + data[len(header) :]


def _is_ours(value: bytes, authserv_id: str) -> bool:
    """Whether somebody might take it for ours."""
    try:
        names = _Scanner(value.decode("utf-8", "replace")).names()
    except Unreadable:
        return True
    if not names or any("=?" in name or len(name) > _LONGEST for name in names):
        return True
    ours = _plain(authserv_id)
    return ours in [_plain(name) for name in (*names, "".join(names)[: 2 * _LONGEST])]


def _plain(name: str) -> str:
    """A name without what a comparison passes over: case, a final dot, invisible characters, U-labels."""
    text = "".join(character for character in name if character.isprintable() and character != " ")
    if not text.isascii():
        with suppress(UnicodeError):
            text = a_labels(text)
    return text.lower().rstrip(".")


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else " " for c in text)[:_LONGEST]


def _value(text: str) -> str:
    """A value as it may stand in the field: in quotes where it needs them."""
    clean = _clean(text)
    local, at, domain = clean.rpartition("@")
    if at and local.startswith('"') and local.endswith('"') and len(local) > 1 and _PLAIN.match(domain):
        # A quoted local-part is one as it is (RFC 8601, 2.2).
        inner = re.fullmatch(r"(?:[^\"\\]|\\.)*", local[1:-1])
        if inner:
            return clean
    return clean if _PLAIN.match(clean) else _quoted(text)


def _quoted(text: str) -> str:
    escaped = _clean(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
