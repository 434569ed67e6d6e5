"""Pass or fail, and what the domain asks for (RFC 9989, 5.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mta.dmarc.discovery import Asking, Discovery, DnsTrouble, Tree
from mta.dmarc.record import Policy, Record, milder

Result: TypeAlias = Literal["pass", "fail", "none", "permerror", "temperror"]

#: Domains with a passing signature that are held against the author's.
MOST_IDENTIFIERS = 10


@dataclass(frozen=True, slots=True)
class Identifier:
    """A domain that SPF or DKIM has authenticated.

    :ivar method: which of them.
    :ivar domain: in the form of the DNS.
    """

    method: Literal["spf", "dkim"]
    domain: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of it.

    :ivar result: one of RFC 9989, 9.2.
    :ivar reason: why, in words.
    :ivar author: the author's domain.
    :ivar domain: who publishes the record; ``""`` without one.
    :ivar record: what holds; ``None`` without one.
    :ivar policy: what the domain asks for, should it fail.
    :ivar disposition: the same after ``t=y``; ``none`` unless it fails.
    :ivar aligned: the identifiers that stand for the author.
    :ivar exists: whether the author's domain is in the DNS, as far as it was asked.
    :ivar asked: questions to the DNS.
    """

    result: Result
    reason: str
    author: str
    domain: str = ""
    record: Record | None = None
    policy: Policy = "none"
    disposition: Policy = "none"
    aligned: tuple[Identifier, ...] = ()
    exists: bool = True
    asked: int = 0

    def is_aligned(self, method: str) -> bool:
        """Whether one of this method's identifiers stands for the author."""
        return any(identifier.method == method for identifier in self.aligned)


def evaluate(author: str, identifiers: Iterable[Identifier], tree: Tree | None = None) -> Asking[Finding]:
    """Hold what was authenticated against the author's domain.

    :param author: its domain, in the form of the DNS.
    :param tree: what is known of the DNS already.
    """
    tree = tree or Tree()
    try:
        found = yield from tree.policy(author)
    except DnsTrouble as trouble:
        return Finding("temperror", str(trouble), author, asked=tree.asked)
    if found is None:
        return Finding("none", f"{author} publishes no policy", author, asked=tree.asked)
    record = found.record
    if not record.is_applicable:
        words = "; ".join(record.faults) or "there is no p="
        reason = f"the record of {found.domain} says nothing that can be followed: {words}"
        return Finding("permerror", reason, author, found.domain, record, asked=tree.asked)
    aligned, trouble_words = yield from _aligned(author, identifiers, record, tree)
    if aligned:
        reason = ", ".join(f"{one.method} by {one.domain}" for one in aligned)
        return Finding("pass", reason, author, found.domain, record, aligned=aligned, asked=tree.asked)
    if trouble_words:
        return Finding("temperror", trouble_words, author, found.domain, record, asked=tree.asked)
    return (yield from _failed(author, found, tree))


def _failed(author: str, found: Discovery, tree: Tree) -> Asking[Finding]:
    """What the domain asks for."""
    record = found.record
    below, exists = found.domain != author, True
    if below and record.nonexistent is not None:
        try:
            exists = yield from tree.exists(author)
        except DnsTrouble as trouble:
            return Finding("temperror", str(trouble), author, found.domain, record, asked=tree.asked)
    policy = record.asks(below, exists)
    disposition = milder(policy) if record.is_testing else policy
    reason = f"neither SPF nor DKIM has authenticated {author}"
    return Finding("fail", reason, author, found.domain, record, policy, disposition, (), exists, tree.asked)


def _aligned(
    author: str, identifiers: Iterable[Identifier], record: Record, tree: Tree
) -> Asking[tuple[tuple[Identifier, ...], str]]:
    """The identifiers that stand for the author, and why of some nobody can tell (4.4)."""
    aligned: list[Identifier] = []
    trouble = ""
    top = author.rpartition(".")[2]
    for identifier in list(dict.fromkeys(identifiers))[:MOST_IDENTIFIERS]:
        domain = identifier.domain
        strict = record.strict_spf if identifier.method == "spf" else record.strict_dkim
        if domain == author:
            aligned.append(identifier)
        elif not strict and domain.rpartition(".")[2] == top:
            try:
                own = yield from tree.organization(domain)
                if own == (yield from tree.organization(author)):
                    aligned.append(identifier)
            except DnsTrouble as error:
                trouble = str(error)
    return tuple(aligned), trouble
