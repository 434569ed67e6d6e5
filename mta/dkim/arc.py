"""Validates the ARC sets of a message (RFC 8617, 5.2), without I/O.

Each server that passes a message on may add a set of three fields: what it had found out about
the message (ARC-Authentication-Results), a signature of the message as it passed it on
(ARC-Message-Signature), and a seal over its set and all before it (ARC-Seal).  The chain says who
had the message in hand, and what they say of it; whether that is to be believed is another question
(:func:`believed`).

::

    validation = Chain(header)
    keys = {name: ask(name) for name in validation.questions}
    finding = validation.finding(keys, hashes_of_the_body(validation.ways))
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mta.dkim.header_fields import Canonicalization, HeaderField, HeaderFields, signed_text, split_fields
from mta.dkim.signature import Signature, Unusable, parse_common, tags_of
from mta.dkim.verification import (
    BodyDigests,
    KeyAnswer,
    covers_body,
    covers_from,
    covers_header,
    key_of,
    not_expired,
)
from mta.model.authentication import AuthenticationResult
from mta.model.authentication_results import AuthenticationResults, Unreadable

Status: TypeAlias = Literal["none", "pass", "fail"]

SEAL = "arc-seal"
SIGNATURE = "arc-message-signature"
RESULTS = "arc-authentication-results"
#: Under which name :class:`ArcJudged` stands in ``Facts.results``.
RESULT = "arc"
#: Sets of one message at the most (5.2).
MOST_SETS = 50
#: Sets that are looked at here: each costs two look-ups.
USUAL_SETS = 20
_INSTANCE = re.compile(r"[1-9][0-9]{0,2}\Z")
_AAR = re.compile(rb"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*([0-9]+)[ \t\r\n]*;")


@dataclass(frozen=True, slots=True)
class ArcSet:
    """What one server has added.

    :ivar instance: the number of the set, from 1.
    :ivar fields: its results, its signature and its seal.
    :ivar signature: the signature, read.
    :ivar seal: the seal, read.
    :ivar verdict: ``cv=``: what it had found of the chain before.
    """

    instance: int
    fields: tuple[HeaderField, HeaderField, HeaderField]
    signature: Signature
    seal: Signature
    verdict: str

    @property
    def domain(self) -> str:
        """Who has sealed it."""
        return self.seal.domain

    def results(self) -> AuthenticationResults | None:
        """What it had found out about the message; ``None`` if that cannot be read."""
        value = self.fields[0].value
        match = _AAR.match(value)
        with suppress(Unreadable):
            return AuthenticationResults.parse(value[match.end() :]) if match else None
        return None


@dataclass(frozen=True, slots=True)
class ArcFinding:
    """What was found of a chain.

    :ivar status: of the chain (4.4).
    :ivar reason: why it fails.
    :ivar sets: in the order of their instances, as far as they can be read.
    :ivar oldest_pass: the oldest set whose signature is good, as those of all after it are; 0: all
        are (5.2, 5).
    :ivar is_temporary: whether it only fails because the DNS does not answer.
    :ivar highest: the highest instance that there is, in whatever shape.
    :ivar is_ended: whether the last server has found the chain broken before; nothing is to be
        added to that.
    """

    status: Status
    reason: str = ""
    sets: tuple[ArcSet, ...] = ()
    oldest_pass: int = 0
    is_temporary: bool = False
    highest: int = 0
    is_ended: bool = False


@dataclass(frozen=True, slots=True)
class Believed:
    """What a trusted server had found out about a message, before it passed it on.

    :ivar sealers: who is trusted with it, the first one last.
    :ivar results: what the first one had found out.
    """

    sealers: tuple[str, ...]
    results: tuple[AuthenticationResult, ...] = ()


@dataclass(frozen=True, slots=True)
class ArcJudged:
    """What the judge ``arc`` leaves for later ones, and for whoever seals the message.

    :ivar finding: of the chain as it came.
    :ivar believed: what a trusted server had found out; ``None`` if nothing may be believed.
    """

    finding: ArcFinding
    believed: Believed | None = None


class Chain:
    """The ARC sets of one message.

    :param header: its header section.
    :param now: seconds since 1970.
    :param limit: sets that are looked at; more of them fail.
    :ivar count: how many ARC fields there are.
    :ivar questions: names of the key records that are needed.
    :ivar ways: canonicalizations under which the body is to be hashed.
    """

    def __init__(self, header: bytes, now: float, limit: int = USUAL_SETS) -> None:
        self._all = HeaderFields(split_fields(header))
        self._now = now
        own = [one for one in self._all.all if one.name in (SEAL, SIGNATURE, RESULTS)]
        self.count = len(own)
        self._sets: list[ArcSet] = []
        self._broken: ArcFinding | None = None
        highest, ended = 0, False
        try:
            grouped = _grouped(own)
            highest = max(grouped, default=0)
            ended = _is_ended(grouped.get(highest, {}))
            if ended:
                raise Unusable("fail", f"ARC-Seal {highest} says that the chain was broken before")
            self._sets = _read(grouped, limit)
        except Unusable as error:
            self._broken = ArcFinding("fail", str(error), highest=highest, is_ended=ended)
        signatures = [one for item in self._sets for one in (item.seal, item.signature)]
        self.questions = tuple(dict.fromkeys(one.key_name for one in signatures))
        self.ways: frozenset[Canonicalization] = frozenset(item.signature.body_way for item in self._sets)

    def finding(self, keys: Mapping[str, KeyAnswer], bodies: BodyDigests) -> ArcFinding:
        """What is found of the chain.

        :param keys: an answer to each question.
        :param bodies: the hash of the body for each of ``ways``.
        """
        if not self.count:
            return ArcFinding("none")
        if self._broken is not None:
            return self._broken
        sets = tuple(self._sets)
        last = sets[-1]
        problem = self._problem(self._signature, last, keys, bodies)
        if problem is not None:
            return _failed(f"ARC-Message-Signature {last.instance}", problem, sets)
        oldest = 0
        for item in reversed(sets[:-1]):
            if self._problem(self._signature, item, keys, bodies) is not None:
                oldest = item.instance + 1
                break
        for item in reversed(sets):
            problem = self._problem(self._seal, item, keys)
            if problem is not None:
                return _failed(f"ARC-Seal {item.instance}", problem, sets)
        return ArcFinding("pass", "", sets, oldest, highest=last.instance)

    @staticmethod
    def _problem(check: Callable[..., None], *what: object) -> Unusable | None:
        try:
            check(*what)
        except Unusable as error:
            return error
        return None

    def _signature(self, item: ArcSet, keys: Mapping[str, KeyAnswer], bodies: BodyDigests) -> None:
        signature = item.signature
        not_expired(signature, self._now)
        covers_from(signature, self._all)
        key = key_of(signature, keys[signature.key_name])
        covers_body(signature, bodies[signature.body_way])
        covers_header(signature, self._all, key)

    def _seal(self, item: ArcSet, keys: Mapping[str, KeyAnswer]) -> None:
        seal = item.seal
        key = key_of(seal, keys[seal.key_name])
        before = sealed_fields([one.fields for one in self._sets[: item.instance]])[:-1]
        if not key.verify(seal.octets, signed_text(before, "relaxed", seal.field)):
            raise Unusable("fail", "a set was changed, or another key has sealed it")


def _failed(what: str, problem: Unusable, sets: tuple[ArcSet, ...]) -> ArcFinding:
    temporary = problem.result == "temperror"
    return ArcFinding("fail", f"{what}: {problem}", sets, 0, temporary, len(sets))


def sealed_fields(sets: Sequence[tuple[HeaderField, HeaderField, HeaderField]]) -> list[HeaderField]:
    """What a seal covers: results, signature and seal of each set, the first one first (5.1.1)."""
    return [one for item in sets for one in item]


def believed(finding: ArcFinding, is_trusted: Callable[[str], bool]) -> Believed | None:
    """What may be believed of a chain, because every server that has had the message since is trusted.

    From the last server backwards, as far as all are trusted: what the first of these has found
    out, nobody else can have changed.

    :param is_trusted: whether a sealing domain is.
    :return: ``None`` if nothing may be believed.
    """
    if finding.status != "pass":
        return None
    sealers: list[str] = []
    first: ArcSet | None = None
    for item in reversed(finding.sets):
        if not is_trusted(item.domain):
            break
        first = item
        sealers.append(item.domain)
    if first is None:
        return None
    results = first.results()
    return Believed(tuple(sealers), results.results if results is not None else ())


def _grouped(fields: Sequence[HeaderField]) -> dict[int, dict[str, HeaderField]]:
    """The fields by instance and name.

    :raise Unusable: if one has no instance, or there are two of it.
    """
    found: dict[int, dict[str, HeaderField]] = {}
    for one in fields:
        instance = _instance(one)
        group = found.setdefault(instance, {})
        if one.name in group:
            raise Unusable("fail", f"there are two fields {_title(one.name)} {instance}")
        group[one.name] = one
    return found


def _instance(one: HeaderField) -> int:
    if one.name == RESULTS:
        match = _AAR.match(one.value)
        text = match[1].decode() if match else ""
    else:
        text = tags_of(one).get("i", "")
    if not _INSTANCE.match(text) or int(text) > MOST_SETS:
        raise Unusable("fail", f"{_title(one.name)} has no i= from 1 to {MOST_SETS}")
    return int(text)


def _is_ended(group: Mapping[str, HeaderField]) -> bool:
    seal = group.get(SEAL)
    with suppress(Unusable):
        return seal is not None and tags_of(seal).get("cv", "").lower() == "fail"
    return False


def _read(grouped: Mapping[int, Mapping[str, HeaderField]], limit: int) -> list[ArcSet]:
    """The sets, if there is nothing wrong with their shape (5.2, 3).

    :raise Unusable: if there is.
    """
    if len(grouped) > limit:
        raise Unusable("fail", f"there are {len(grouped)} sets, and more than {limit} are not looked at")
    sets = []
    for instance in range(1, len(grouped) + 1):
        group = grouped.get(instance, {})
        for name in (RESULTS, SIGNATURE, SEAL):
            if name not in group:
                raise Unusable("fail", f"{_title(name)} {instance} is missing")
        sets.append(_set(instance, (group[RESULTS], group[SIGNATURE], group[SEAL])))
    return sets


def _set(instance: int, fields: tuple[HeaderField, HeaderField, HeaderField]) -> ArcSet:
    _, message, sealing = fields
    try:
        tags = tags_of(message)
        # i= is not who has signed here.
        signature = parse_common(message, {k: v for k, v in tags.items() if k != "i"}, "simple/simple")
        if "bh" not in tags or "h" not in tags:
            raise Unusable("fail", "it lacks bh= or h=")
        if SEAL in signature.names:
            raise Unusable("fail", "it covers ARC-Seal, which it must not (RFC 8617, 4.1.2)")
    except Unusable as error:
        raise Unusable("fail", f"ARC-Message-Signature {instance}: {error}") from None
    try:
        tags = tags_of(sealing)
        if "h" in tags:
            raise Unusable("fail", "it has h=, which it must not (RFC 8617, 4.1.3)")
        seal = parse_common(sealing, {k: v for k, v in tags.items() if k not in ("i", "c", "l")}, "relaxed")
    except Unusable as error:
        raise Unusable("fail", f"ARC-Seal {instance}: {error}") from None
    verdict = tags.get("cv", "").lower()
    if verdict != ("none" if instance == 1 else "pass"):
        raise Unusable("fail", f"ARC-Seal {instance} says cv={verdict[:20]!a}, which cannot be")
    return ArcSet(instance, fields, signature, seal, verdict)


def _title(name: str) -> str:
    return "-".join("ARC" if part == "arc" else part.title() for part in name.split("-"))
