"""The text of aliases(5), and what it says.

``name: target, target`` with continuation lines, ``#`` comments, quoted names
and ``:include:`` files.  A target is an address, a bare name of the same
domain, ``\\name`` for the mailbox without its alias, ``|transport`` for a
``[[transport]]`` of kind pipe, or ``/path/`` for a Maildir.  A command line or
a path of a file is an error that says what to write instead: no shell is ever
run for mail, and mbox files are not written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mta.model.address import Address, AddressError, parse_address
from mta.route.domain_name import domain_name
from mta.route.file_problem import FileError, FileProblem, Wrong
from mta.route.next_hop import literal_address

#: Targets of one alias at the most, include files counted in.
MAX_TARGETS = 10_000

TargetKind = Literal["address", "mailbox", "pipe", "maildir"]


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that an alias leads to.

    :ivar kind: ``address``; ``mailbox`` for an address whose alias is not
        looked at (``\\name``); ``pipe`` for a transport; ``maildir``.
    :ivar value: the address, the transport's name, or the path.
    :ivar address: the parsed address of the first two kinds.
    """

    kind: TargetKind
    value: str
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class AliasEntry:
    """One alias as a file has it.

    :ivar address: what it stands for, canonical, in lower case.
    :ivar targets: at least one.
    :ivar place: ``file:line``.
    :ivar owner: where bounces go, if the file has ``owner-NAME``; ``""`` without.
    """

    address: str
    targets: tuple[Target, ...]
    place: str
    owner: str = ""


def target_address(text: str) -> Address:
    """An address out of a file or directory, fit to be sent to another server.

    Those who keep a list of members must not be able to put further commands
    or half a line into an SMTP session of ours.

    :raise AddressError: if it is none, or holds control characters, or its
        domain is neither a domain name nor an address literal.
    """
    try:
        address = parse_address(text)
    except UnicodeError:
        raise AddressError(f"{text!r} is not valid Unicode") from None
    if not text.isprintable():
        raise AddressError(f"{text!r} has control characters in it")
    if address.is_literal:
        if literal_address(address.domain) is None:
            raise AddressError(f"{text!r}: {address.domain} is no IP address")
    elif address.domain:
        try:
            domain_name(address.domain)
        except ValueError as error:
            raise AddressError(str(error)) from None
    return address


def key_of(address: Address) -> str:
    """Under which an address is found: canonical, in lower case."""
    return str(address).lower()


class AliasParser:
    """Reads one file for one domain.

    :param file: its name, for messages.
    :param domain: completes bare names.
    :param read: gives the text of an include file by the path as written.
    :param pipes: names of the transports of kind pipe.
    """

    def __init__(
        self,
        file: str,
        domain: str,
        read: Callable[[str], str],
        pipes: frozenset[str] = frozenset(),
    ) -> None:
        self._file = file
        self._domain = domain
        self._read = read
        self._pipes = pipes
        self._problems: list[FileProblem] = []

    def parse(self, text: str) -> dict[str, AliasEntry]:
        """The entries, by :func:`key_of` their address.

        :raise FileError: with every problem of the file.
        """
        found: dict[str, tuple[int, tuple[Target, ...]]] = {}
        for number, line in logical_lines(text):
            try:
                key, value = self._name(line)
                if key in found:
                    raise Wrong(f"{key} stands here twice, first in line {found[key][0]}", "join the two")
                # Even with bad targets the name is taken: a second one is still an error.
                found[key] = (number, ())
                found[key] = (number, self._targets(value, number))
            except Wrong as wrong:
                self._problems.append(FileProblem(self._file, number, wrong.what, wrong.remedy))
        if self._problems:
            raise FileError(self._problems)
        return {
            key: AliasEntry(key, targets, f"{self._file}:{number}", owner if owner in found else "")
            for key, (number, targets) in found.items()
            for owner in (f'"owner-{key[1:]}' if key.startswith('"') else f"owner-{key}",)
        }

    def _name(self, line: str) -> tuple[str, str]:
        end = _outside_quotes(line, ":")
        if end < 0:
            raise Wrong("no colon behind the name", "write NAME: TARGET, TARGET")
        name = line[:end].strip()
        if not name:
            raise Wrong("no name in front of the colon", "write NAME: TARGET, TARGET")
        if name.startswith("@"):
            raise Wrong(f"{name} is no name", "for all other addresses of a domain, set its catch_all")
        return key_of(self._address(name)), line[end + 1 :]

    def _address(self, text: str) -> Address:
        whole = unquoted(text)
        try:
            if whole is not None:
                # "Ann Smith" is a name; "ann@example.org" is what some write for an address.
                return target_address(whole if "@" in whole else str(Address(whole, self._domain)))
            return target_address(text if "@" in text else f"{text}@{self._domain}")
        except AddressError as error:
            hint = "write a name or an address; a comment has a line of its own, commas part targets"
            if "<" in text:
                hint = "write the address alone, without a person's name and angle brackets"
            raise Wrong(str(error), hint) from None

    def _targets(self, text: str, number: int) -> tuple[Target, ...]:
        targets: dict[Target, None] = {}
        for item in split_items(text):
            if _plain(item).lower().startswith(":include:"):
                targets.update(dict.fromkeys(self._included(_plain(item)[9:].strip(), number)))
            else:
                targets[self._target(item)] = None
        if not targets:
            raise Wrong("the alias leads nowhere", "write at least one target behind the colon")
        if len(targets) > MAX_TARGETS:
            raise Wrong(f"more than {MAX_TARGETS} targets", "split the list into several")
        return tuple(targets)

    def _target(self, item: str) -> Target:
        plain = _plain(item)
        if plain.startswith("|"):
            return self._pipe(plain[1:].strip())
        if plain.startswith("/"):
            if plain.endswith("/") and ".." not in plain.split("/"):
                return Target("maildir", plain)
            if plain == "/dev/null":
                raise Wrong(
                    "/dev/null would lose mail that was accepted",
                    "name a mailbox, or leave the alias out so that senders are told",
                )
            raise Wrong(f"{plain} is a file", "end the path of a Maildir with a slash; mbox is not written")
        if plain.startswith("\\"):
            address = self._address(plain[1:])
            return Target("mailbox", str(address), address)
        if plain.startswith(":"):
            raise Wrong(f"{plain} is not known here", "of these only :include:PATH is")
        address = self._address(item)
        return Target("address", str(address), address)

    def _pipe(self, name: str) -> Target:
        if name in self._pipes:
            return Target("pipe", name)
        known = ", ".join(sorted(self._pipes)) or "there is none yet"
        raise Wrong(
            f"|{name[:100]} is no transport of kind pipe",
            f'add a [[transport]] with kind = "pipe", a name and the command, and write "|NAME" ({known})',
        )

    def _included(self, path: str, number: int) -> list[Target]:
        try:
            text = self._read(path)
        except (OSError, ValueError) as error:
            raise Wrong(f"{path} cannot be included: {error}", "mend the path or its permissions") from None
        found: list[Target] = []
        for inner, line in enumerate(text.split("\n"), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                for item in split_items(line):
                    target = self._target(item)
                    if target.kind in ("pipe", "maildir"):
                        # Those who keep a list's members need not be those who run the server.
                        raise Wrong(f"{item} stands in an include file", "write it into the alias itself")
                    found.append(target)
            except Wrong as wrong:
                self._problems.append(FileProblem(path, inner, wrong.what, wrong.remedy))
        return found


def logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines with their continuations, each with the number of its first line."""
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = line.rstrip("\r")
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if line[0] in " \t" and lines:
            first, start = lines[-1]
            lines[-1] = (first, f"{start} {bare}")
        else:
            lines.append((number, bare))
    return lines


_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|\\.|[^"\\]', re.S)


def _outside_quotes(text: str, character: str) -> int:
    """Where ``character`` first stands outside quotes; -1 if nowhere."""
    for piece in _PIECE.finditer(text):
        if piece[0] == character:
            return piece.start()
    return -1


def split_items(text: str) -> list[str]:
    """The items between commas outside quotes.

    :raise Wrong: if a quote has no end.
    """
    items = [""]
    end = 0
    for piece in _PIECE.finditer(text):
        if piece.start() != end:
            break
        end = piece.end()
        if piece[0] == ",":
            items.append("")
        else:
            items[-1] += piece[0]
    if end != len(text):
        raise Wrong("a quote has no end", 'close it with a second "')
    return [item.strip() for item in items if item.strip()]


def unquoted(item: str) -> str | None:
    """What is inside, if all of ``item`` is one quoted string."""
    piece = _PIECE.match(item)
    if piece is None or len(piece[0]) < 2 or piece[0] != item or item[0] != '"':
        return None
    return re.sub(r'\\(["\\])', r"\1", item[1:-1])


def _plain(item: str) -> str:
    """``item`` without the quotes around it, for what is no address."""
    whole = unquoted(item)
    return item if whole is None else whole.strip()
