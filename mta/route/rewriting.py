"""Addresses that stand for others, whatever their domain: ``[[rewrite]]``, as virtual(5).

The right side has one or several addresses; ``@example.org`` keeps the local
part of what came.  In the address of an expression ``$1`` stands for its first
group.

What is about one address (it itself, or an expression) counts before aliases
and mailboxes; what is about a domain (``@example.net``, ``@.example.net``,
``@*``) only for addresses that nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mta.model.address import Address, AddressError
from mta.route.address_map import AddressMap, Entry, Hit, Key, Layers, parse_key
from mta.route.alias_syntax import MAX_TARGETS, key_of, split_items, target_address
from mta.route.domain_name import domain_name
from mta.route.file_problem import Wrong
from mta.route.pattern import check_references, insert


@dataclass(frozen=True, slots=True)
class RewriteTarget:
    """One item of the right side.

    :ivar text: as it was written.
    :ivar address: where it is an address as it stands.
    :ivar domain: where it is ``@domain``.
    """

    text: str
    address: Address | None = None
    domain: str = ""


#: All items of the right side.
Targets = tuple[RewriteTarget, ...]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What an address stands for.

    :ivar place: ``file:line``.
    """

    targets: tuple[Address, ...]
    place: str


@dataclass(frozen=True, slots=True)
class Rewrites:
    """The map, in use."""

    map: Layers[Targets]

    def __bool__(self) -> bool:
        return bool(self.map)

    def has(self, address: Address) -> bool:
        """Whether an address of a domain that is not ours stands for others."""
        return self.map.find_address(address, "+") is not None or self._domain(address, False) is not None

    def of_address(self, address: Address, separator: str) -> Rewritten | None:
        """What counts before aliases and mailboxes.

        :param separator: between user and detail; ``""`` for none.
        :raise AddressError: if an expression makes what is no address.
        """
        hit = self.map.find_address(address, separator)
        return None if hit is None else _rewritten(hit, address, separator)

    def of_domain(self, address: Address, ours: bool = True) -> Rewritten | None:
        """What counts for an address that nobody knows.

        :param ours: whether its domain is ours: ``@*`` is for these alone, or it would
            take everything that goes out.
        :raise AddressError: as :meth:`of_address`.
        """
        hit = self._domain(address, ours)
        return None if hit is None else _rewritten(hit, address, "")

    def _domain(self, address: Address, ours: bool) -> Hit[Targets] | None:
        hit = self.map.find_domain(address.domain)
        return None if hit is None or (hit.entry.key.kind == "any" and not ours) else hit


def rewrite_key(text: str) -> Key:
    """The left side; it holds an ``@``, so that a line of another map is not taken for one of this.

    :raise Wrong: if it is none.
    """
    if not text.startswith("/") and "@" not in text:
        raise Wrong(
            f"{text} has no @",
            f"write a whole address, or @{text} for a domain; a domain is made ours by "
            f'[domains."{text}"] in mta.toml',
        )
    return parse_key(text)


def rewrite_targets(key: Key, text: str) -> Targets:
    """The right side.

    :raise Wrong: if it leads nowhere, or an item is no address.
    """
    items = [item for part in split_items(text) for item in _words(part)]
    if not items:
        raise Wrong("it leads nowhere", "write one or several addresses, with commas between them")
    if len(items) > MAX_TARGETS:
        raise Wrong(f"more than {MAX_TARGETS} targets", "split the list into several")
    return tuple(dict.fromkeys(_target(key, item) for item in items))


def find_circles(entries: AddressMap[Targets]) -> Iterator[tuple[Entry[Targets], str, str]]:
    """Entries of one map that lead back to themselves and to nobody else."""
    done: set[str] = set()
    for entry in entries:
        way: list[Entry[Targets]] = []
        on: Entry[Targets] | None = entry
        while on is not None and on.key.text not in done:
            done.add(on.key.text)
            way.append(on)
            on = _only_next(entries, on)
        if on is not None and on in way and len(way) > 1:
            circle = [one.key.text for one in way[way.index(on) :]]
            names = " → ".join([*circle, circle[0]])
            yield on, f"a circle: {names}", "let one of them lead to a mailbox"


def _only_next(entries: AddressMap[Targets], entry: Entry[Targets]) -> Entry[Targets] | None:
    """The entry that the only target of this one has in the same map."""
    if len(entry.value) != 1 or entry.key.kind == "pattern":
        return None
    [target] = entry.value
    if target.domain:
        return entries.domains.get(target.domain) if entry.key.kind == "domain" else None
    return entries.exact.get(key_of(target.address)) if target.address is not None else None


def _words(item: str) -> list[str]:
    # virtual(5) takes blanks for commas.
    return [item] if '"' in item else item.split()


def _target(key: Key, text: str) -> RewriteTarget:
    if key.pattern is not None and "$" in text:
        check_references(text, key.groups)
        return RewriteTarget(text)
    if text.startswith("@"):
        try:
            return RewriteTarget(text, None, domain_name(text[1:]))
        except ValueError as error:
            raise Wrong(str(error), "write @example.org, or an address") from None
    try:
        address = target_address(text)
    except AddressError as error:
        raise Wrong(str(error), "write a whole address, or @example.org to keep the local part") from None
    if not address.domain:
        raise Wrong(f"{text} has no domain", "write a whole address")
    return RewriteTarget(text, address)


def _rewritten(hit: Hit[Targets], address: Address, separator: str) -> Rewritten:
    found: dict[Address, None] = {}
    for target in hit.entry.value:
        made = target.address
        if made is not None and hit.detail:
            # What virtual(5) calls an unmatched extension goes on with the address.
            made = target_address(str(Address(f"{made.local}{separator}{hit.detail}", made.domain)))
        if target.domain:
            made = Address(address.local, target.domain)
        elif made is None:
            text = insert(target.text, hit.groups)
            made = target_address(f"{_local(address)}{text}" if text.startswith("@") else text)
            if not made.domain:
                raise AddressError(f"{text!r}: an address is local-part@domain")
        found[made] = None
    return Rewritten(tuple(found), hit.entry.place)


def _local(address: Address) -> str:
    """The local part, in quotes where it needs them."""
    return str(Address(address.local, ""))
