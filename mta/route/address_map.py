"""From an address to what somebody wrote about it: the maps of ``mta.toml`` and its files.

A key is a whole address, ``/an expression/``, a domain (``example.org`` or
``@example.org``), all domains below one (``.example.org``), or ``*``.  The first
that fits wins, in this order: the address as it is written, the address without
its detail, expressions in the order of the file, the domain, the domains above
it from the nearest on, and ``*``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from mta.model.address import Address, AddressError
from mta.route.alias_syntax import key_of, target_address
from mta.route.domain_name import ascii_domain, domain_name
from mta.route.file_problem import Wrong
from mta.route.pattern import Pattern

T = TypeVar("T")
KeyKind = Literal["address", "pattern", "domain", "below", "any"]


@dataclass(frozen=True, slots=True)
class Key:
    """The left side of one entry.

    :ivar text: as it is looked up: in lower case, a domain as the DNS spells it.
    :ivar pattern: of the kind ``pattern``.
    """

    kind: KeyKind
    text: str
    pattern: Pattern | None = None

    @property
    def groups(self) -> int:
        """How many groups a value may refer to."""
        return self.pattern.groups if self.pattern is not None else 0


def parse_key(text: str) -> Key:
    """Read one.

    :raise Wrong: if it is none.
    """
    if text.startswith("/"):
        if len(text) < 3 or not text.endswith("/"):
            raise Wrong(
                f"{text} does not end with a slash",
                "write /EXPRESSION/; no flags are needed, upper and lower case are the same",
            )
        pattern = Pattern.parse(text[1:-1])
        return Key("pattern", text, pattern)
    if text in ("*", "@*"):
        return Key("any", "*")
    domain = text.removeprefix("@")
    if "@" in domain:
        try:
            return Key("address", key_of(target_address(text)))
        except AddressError as error:
            raise Wrong(str(error), "write local-part@domain") from None
    kind: KeyKind = "domain"
    if domain.startswith("."):
        kind, domain = "below", domain[1:]
    try:
        return Key(kind, domain_name(domain))
    except ValueError as error:
        raise Wrong(str(error), "write an address, @example.org, .example.org, /EXPRESSION/ or *") from None


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One line.

    :ivar key: its left side.
    :ivar value: what its right side says.
    :ivar place: ``file:line``.
    """

    key: Key
    value: T
    place: str


@dataclass(frozen=True, slots=True)
class Hit(Generic[T]):
    """An entry that fits an address.

    :ivar detail: of the address, where the entry has none.
    :ivar groups: what the expression found: the whole, then its groups.
    """

    entry: Entry[T]
    detail: str = ""
    groups: tuple[str, ...] = ()


@dataclass(slots=True)
class AddressMap(Generic[T]):
    """All entries of one map, in order; of two with the same key the first counts."""

    exact: dict[str, Entry[T]] = field(default_factory=dict)
    patterns: list[Entry[T]] = field(default_factory=list)
    domains: dict[str, Entry[T]] = field(default_factory=dict)
    below: dict[str, Entry[T]] = field(default_factory=dict)
    any: Entry[T] | None = None

    @classmethod
    def of(cls, entries: Iterable[Entry[T]]) -> AddressMap[T]:
        """Make one."""
        made: AddressMap[T] = cls()
        for entry in entries:
            made.add(entry)
        return made

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Entry[T]]:
        yield from self.exact.values()
        yield from self.patterns
        yield from self.domains.values()
        yield from self.below.values()
        if self.any is not None:
            yield self.any

    def add(self, entry: Entry[T]) -> None:
        """One more entry, behind the others."""
        key = entry.key
        if key.kind == "pattern":
            self.patterns.append(entry)
        elif key.kind == "any":
            self.any = self.any or entry
        else:
            table = {"address": self.exact, "domain": self.domains, "below": self.below}[key.kind]
            table.setdefault(key.text, entry)

    def find(self, address: Address, separator: str = "") -> Hit[T] | None:
        """The entry for an address."""
        return self.find_address(address, separator) or self.find_domain(address.domain)

    def find_address(self, address: Address, separator: str = "") -> Hit[T] | None:
        """The entry that is about this very address: it, it without detail, an expression.

        :param separator: between user and detail; ``""`` for none.
        """
        text = key_of(address)
        if self.exact:
            entry = self.exact.get(text)
            if entry is not None:
                return Hit(entry)
            plain, detail = address.without_detail(separator)
            if plain is not address:
                entry = self.exact.get(key_of(plain))
                if entry is not None:
                    return Hit(entry, detail)
        if self.patterns:
            written = str(address)
            for entry in self.patterns:
                assert entry.key.pattern is not None
                groups = entry.key.pattern.match(written)
                if groups is not None:
                    return Hit(entry, "", groups)
        return None

    def find_domain(self, domain: str) -> Hit[T] | None:
        """The entry that is about a domain, or about all."""
        if self.domains or self.below:
            name = ascii_domain(domain)
            entry = self.domains.get(name)
            if entry is not None:
                return Hit(entry)
            while name and self.below:
                name = name.partition(".")[2]
                entry = self.below.get(name)
                if entry is not None:
                    return Hit(entry)
        return Hit(self.any) if self.any is not None else None


@dataclass(slots=True)
class Layers(Generic[T]):
    """Several maps behind one another: tables of the configuration, and files that may change.

    :ivar layers: each gives its map as it is now.
    """

    layers: list[Callable[[], AddressMap[T]]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.layers)

    def find(self, address: Address, separator: str = "") -> Hit[T] | None:
        """As :meth:`AddressMap.find`: what is about the address counts more than its domain."""
        return self.find_address(address, separator) or self.find_domain(address.domain)

    def find_address(self, address: Address, separator: str = "") -> Hit[T] | None:
        """As :meth:`AddressMap.find_address`."""
        for layer in self.layers:
            hit = layer().find_address(address, separator)
            if hit is not None:
                return hit
        return None

    def find_text(self, text: str) -> Hit[T] | None:
        """The entry whose key is this text: one that no address looks like."""
        for layer in self.layers:
            entry = layer().exact.get(text)
            if entry is not None:
                return Hit(entry)
        return None

    def find_domain(self, domain: str) -> Hit[T] | None:
        """As :meth:`AddressMap.find_domain`; a domain counts more than ``*``."""
        last: Hit[T] | None = None
        for layer in self.layers:
            hit = layer().find_domain(domain)
            if hit is not None and hit.entry.key.kind != "any":
                return hit
            last = last or hit
        return last
