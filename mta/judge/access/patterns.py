"""Patterns of names and of mail addresses, found quickly among many.

========================  ===========================================
``ann@example.org``       this address
``ann@``                  this local part, in any domain
``@example.org``          a domain; ``example.org`` likewise
``.example.org``          all domains below it
``*.dyn.example.net``     anything with a ``*`` in it
``/expression/``          as RE2 has it; case does not matter
``<>``                    the null reverse-path
``*``                     anything
========================  ===========================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import re2

_OPTIONS = re2.Options()
_OPTIONS.case_sensitive = False
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20


class WrongPattern(ValueError):
    """It is none; the text says why."""


class Patterns:
    """Patterns, each with a value; of several that fit, the most exact one counts, then the first.

    :param entries: pattern and value.
    :raise WrongPattern: if one of them is none.
    """

    def __init__(self, entries: Iterable[tuple[str, str]] = ()) -> None:
        self._exact: dict[str, str] = {}
        self._locals: dict[str, str] = {}
        self._domains: dict[str, str] = {}
        self._below: dict[str, str] = {}
        self._expressions: list[tuple[Any, str]] = []
        self._any: str | None = None
        self.count = 0
        for pattern, value in entries:
            self._add(pattern.strip(), value)
            self.count += 1

    def _add(self, pattern: str, value: str) -> None:
        text = pattern.lower()
        if not text:
            raise WrongPattern("a pattern is empty")
        if text.startswith("/"):
            if len(text) < 3 or not text.endswith("/"):
                raise WrongPattern(f"{pattern} does not end with a slash; write /EXPRESSION/")
            self._expressions.append((_compiled(pattern[1:-1], pattern), value))
        elif text == "*":
            self._any = value if self._any is None else self._any
        elif "*" in text:
            glob = ".*".join(re.escape(part) for part in text.split("*"))
            self._expressions.append((_compiled(f"^(?:{glob})$", pattern), value))
        elif text == "<>":
            self._exact.setdefault("", value)
        elif text.startswith("."):
            self._below.setdefault(text[1:].rstrip("."), value)
        elif text.startswith("@"):
            self._domains.setdefault(text[1:].rstrip("."), value)
        elif text.endswith("@"):
            self._locals.setdefault(text[:-1], value)
        elif "@" in text:
            self._exact.setdefault(text, value)
        else:
            self._domains.setdefault(text.rstrip("."), value)

    def find(self, text: str) -> str | None:
        """The value of the pattern that fits; ``None`` if none does.

        :param text: an address, a name, or ``""`` for the null reverse-path.
        """
        text = text.lower()
        if text in self._exact:
            return self._exact[text]
        local, at, domain = text.rpartition("@")
        domain = domain.rstrip(".")
        if at and local in self._locals:
            return self._locals[local]
        if domain:
            found = self._domains.get(domain)
            if found is not None:
                return found
            above = domain
            while self._below and "." in above:
                above = above.partition(".")[2]
                found = self._below.get(above)
                if found is not None:
                    return found
        for expression, value in self._expressions:
            try:
                if expression.search(text) is not None:
                    return str(value)
            except UnicodeEncodeError:
                break  # Octets that are no UTF-8 fit nothing that anybody has written.
        return self._any


def _compiled(text: str, pattern: str) -> Any:
    try:
        return re2.compile(text, _OPTIONS)
    except (re2.error, UnicodeEncodeError) as error:
        said = error.args[0] if error.args else ""
        why = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise WrongPattern(f"{pattern} is no regular expression: {why}") from None
