"""Which record holds for a domain, and which domain is its organization's: the tree walk (RFC 9989, 4.10).

Generators of :class:`Question`\\ s, each answered by sending an :class:`Answer`.  What was
asked once is remembered for as long as the :class:`Tree` lives, which is one message.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from mta.dmarc.record import Record, policy_record

T = TypeVar("T")

#: Labels of the longest name that is asked about besides the domain itself (4.10).
_LABELS = 7
PREFIX = "_dmarc."


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the DNS.

    :ivar name: a domain's name.
    :ivar kind: ``TXT``, or ``A`` where it matters only whether there is such a name.
    """

    name: str
    kind: str = "TXT"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the DNS says.

    :ivar records: TXT records.
    :ivar exists: whether there is such a name, with or without records.
    :ivar trouble: why nobody knows (SERVFAIL, timeout); ``""``: the rest is true.
    """

    records: tuple[bytes, ...] = ()
    exists: bool = True
    trouble: str = ""


#: Asks, and returns something.
Asking: TypeAlias = Generator[Question, Answer, T]


class DnsTrouble(Exception):
    """The DNS does not answer, so nobody can tell."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found for an author's domain.

    :ivar domain: who publishes the record.
    :ivar record: what holds.
    """

    domain: str
    record: Record


class Tree:
    """What is known of the DNS.

    :ivar asked: how many questions there were.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._records: dict[str, Record | None] = {}
        self._organizations: dict[str, str] = {}

    def record(self, domain: str) -> Asking[Record | None]:
        """The policy record of one domain.

        :raise DnsTrouble: if nobody knows.
        """
        if domain not in self._records:
            answer = yield from self._ask(Question(PREFIX + domain))
            self._records[domain] = policy_record(answer.records)
        return self._records[domain]

    def exists(self, domain: str) -> Asking[bool]:
        """Whether there is such a domain (A.4).

        :raise DnsTrouble: if nobody knows.
        """
        answer = yield from self._ask(Question(domain, "A"))
        return answer.exists

    def walk(self, domain: str) -> Asking[list[tuple[str, Record]]]:
        """The records from the domain upwards, as far as one says that it is the end.

        :raise DnsTrouble: if nobody knows.
        """
        found: list[tuple[str, Record]] = []
        for name in path(domain):
            record = yield from self.record(name)
            if record is not None:
                found.append((name, record))
                if record.psd != "u":
                    break
        return found

    def organization(self, domain: str) -> Asking[str]:
        """The organizational domain of a domain (4.10.2).

        :raise DnsTrouble: if nobody knows.
        """
        known = self._organizations.get(domain)
        if known is None:
            known = domain
            for name, record in (yield from self.walk(domain)):
                known = name
                if record.psd == "y" and name != domain:
                    known = _below(domain, name)
            self._organizations[domain] = known
        return known

    def policy(self, author: str) -> Asking[Discovery | None]:
        """The record that holds for an author's domain (4.10.1).

        :raise DnsTrouble: if nobody knows.
        """
        record = yield from self.record(author)
        if record is not None:
            return Discovery(author, record)
        organization = yield from self.organization(author)
        record = yield from self.record(organization) if organization != author else _nothing()
        if record is not None:
            return Discovery(organization, record)
        # The walk has ended at a public suffix that speaks for whoever does not.
        for name, suffix in (yield from self.walk(author)):
            if suffix.psd == "y":
                return Discovery(name, suffix)
        return None

    def _ask(self, question: Question) -> Asking[Answer]:
        self.asked += 1
        answer = yield question
        if answer.trouble:
            raise DnsTrouble(f"{question.name}: {answer.trouble}")
        return answer


def path(domain: str) -> list[str]:
    """The names that are asked about, the domain first: eight at the most."""
    labels = domain.split(".")
    rest = labels[1:] if len(labels) <= _LABELS else labels[-_LABELS:]
    return [domain, *(".".join(rest[start:]) for start in range(len(rest)))]


def _below(domain: str, parent: str) -> str:
    """The name one label below a parent, on the way to a domain."""
    count = parent.count(".") + 2
    return ".".join(domain.split(".")[-count:])


def _nothing() -> Asking[None]:
    return None
    yield  # A generator without questions.
