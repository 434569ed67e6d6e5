"""Verifies the DKIM signatures of a message (RFC 6376, 6), without I/O.

::

    verification = Verification(header, now)
    keys = {name: ask(name) for name in verification.questions}
    results = verification.results(keys, hashes_of_the_body(verification.ways))

Each signature has a result of its own (RFC 8601, 2.7.1):

``pass``
    It covers this message, and the key of its domain has made it.
``fail``
    The message, or the signature, is not what was signed.
``policy``
    We do not let it count: SHA-1 or an RSA key of less than 1024 bits (RFC 8301), a time that is
    over (``x=``), ``l=`` that leaves out a part of the body (8.2), a From field that it does not
    cover (8.15), or one signature too many.
``neutral``
    It is not written as the standard says.
``permerror``, ``temperror``
    There is no key, or it cannot be asked for now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mta.dkim.header_fields import Canonicalization, HeaderField, HeaderFields, signed_text, split_fields
from mta.dkim.key_record import LEAST_BITS, BadKey, KeyRecord, read_key
from mta.dkim.signature import Outcome, Signature, Unusable, parse_signature, tags_of

#: Signatures of one message that are looked at (6.1 leaves the number to us).
MOST_SIGNATURES = 10


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """What the DNS says about the name of a key.

    :ivar records: the TXT records.
    :ivar trouble: why there is no answer; ``""`` if there is one.
    """

    records: tuple[bytes, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class SignatureResult:
    """How one signature fared.

    :ivar result: see the module.
    :ivar reason: why, in words; ``""`` for a pass.
    :ivar domain: ``d=``; ``""`` if it cannot be read.
    :ivar selector: ``s=``.
    :ivar identity: ``i=``.
    :ivar algorithm: ``a=``.
    :ivar text: ``b=`` as it is written.
    :ivar bits: size of the key; 0 if there is none.
    :ivar is_testing: whether the domain says that it tries DKIM out.
    """

    result: Outcome
    reason: str = ""
    domain: str = ""
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    text: str = ""
    bits: int = 0
    is_testing: bool = False


#: For each canonicalization the hash of the body, and how many octets it is of.
BodyDigests = Mapping[Canonicalization, tuple[bytes, int]]


class Verification:
    """The signatures of one message.

    :param header: its header section.
    :param now: seconds since 1970.
    :param limit: signatures that are looked at.
    :ivar count: how many there are.
    :ivar questions: names of the key records that are needed.
    :ivar ways: canonicalizations under which the body is to be hashed.
    """

    def __init__(self, header: bytes, now: float, limit: int = MOST_SIGNATURES) -> None:
        self._fields = HeaderFields(split_fields(header))
        self._now = now
        own = [field for field in self._fields.all if field.name == "dkim-signature"]
        self._found: list[Signature | SignatureResult] = [self._parsed(field) for field in own[:limit]]
        if len(own) > limit:
            # One result for all of them: nobody makes ours longer than it need be.
            reason = f"{len(own) - limit} signatures were not looked at, as there are more than {limit}"
            self._found.append(SignatureResult("policy", reason))
        self.count = len(own)
        usable = [one for one in self._found if isinstance(one, Signature)]
        self.questions = tuple(dict.fromkeys(one.key_name for one in usable))
        self.ways: frozenset[Canonicalization] = frozenset(one.body_way for one in usable)

    def results(self, keys: Mapping[str, KeyAnswer], bodies: BodyDigests) -> list[SignatureResult]:
        """A result for each signature, from the top, and one for those that nobody has looked at.

        :param keys: an answer to each question.
        :param bodies: the hash of the body for each of ``ways``.
        """
        return [
            self._verified(one, keys[one.key_name], bodies[one.body_way])
            if isinstance(one, Signature)
            else one
            for one in self._found
        ]

    def _parsed(self, field: HeaderField) -> Signature | SignatureResult:
        try:
            signature = parse_signature(field, tags_of(field))
            covers_from(signature, self._fields)
            not_expired(signature, self._now)
        except Unusable as error:
            return _refused(field, error.result, str(error))
        return signature

    def _verified(self, signature: Signature, answer: KeyAnswer, body: tuple[bytes, int]) -> SignatureResult:
        record: KeyRecord | None = None
        result: Outcome = "pass"
        reason = ""
        try:
            record = key_of(signature, answer)
            at = signature.identity.rfind("@")
            if record.is_strict and signature.identity[at + 1 :] != signature.domain:
                raise Unusable("permerror", "the key is for no domain below its own (t=s)")
            covers_body(signature, body)
            covers_header(signature, self._fields, record)
        except Unusable as error:
            result, reason = error.result, str(error)
        return SignatureResult(
            result=result,
            reason=reason,
            domain=signature.domain,
            selector=signature.selector,
            identity=signature.identity,
            algorithm=signature.algorithm,
            text=signature.text,
            bits=record.bits if record is not None else 0,
            is_testing=record is not None and record.is_testing,
        )


def covers_from(signature: Signature, fields: HeaderFields) -> None:
    """See to it that each From field is signed.

    :raise Unusable: if one is not.
    """
    signed = signature.names.count("from")
    if not signed:
        raise Unusable("permerror", "the From field is not signed")
    if fields.count("from") > signed:
        raise Unusable("policy", "there is a From field that is not signed")


def not_expired(signature: Signature, now: float) -> None:
    """See to it that its time is not over.

    :raise Unusable: if it is.
    """
    if signature.expires is not None and signature.expires < now:
        raise Unusable("policy", "the signature has expired")


def key_of(signature: Signature, answer: KeyAnswer) -> KeyRecord:
    """The key of a signature.

    :raise Unusable: if there is none that counts.
    """
    if answer.trouble:
        raise Unusable("temperror", f"the key {signature.key_name} cannot be asked for: {answer.trouble}")
    if not answer.records:
        raise Unusable("permerror", f"there is no key at {signature.key_name}")
    try:
        record = read_key(answer.records, signature.key_type)
    except BadKey as error:
        raise Unusable("permerror", f"the key {signature.key_name} is unusable: {error}") from None
    if record.type == "rsa" and record.bits < LEAST_BITS:
        raise Unusable("policy", f"the key has {record.bits} bits, which is not safe any more (RFC 8301)")
    return record


def covers_body(signature: Signature, body: tuple[bytes, int]) -> None:
    """See to it that all of the body is what was signed.

    :param body: the hash of the body under the signature's canonicalization, and its length.
    :raise Unusable: if it is not.
    """
    digest, length = body
    if signature.length is not None:
        if signature.length < length:
            left = length - signature.length
            raise Unusable("policy", f"l= leaves out {left} octets of the body, which anybody may have added")
        if signature.length > length:
            raise Unusable("fail", "the body is shorter than l= says")
    if digest != signature.body_hash:
        raise Unusable("fail", "the body was changed: its hash is not that of bh=")


def covers_header(signature: Signature, fields: HeaderFields, key: KeyRecord) -> None:
    """See to it that the key has made the signature, of the fields that it names.

    :raise Unusable: if it has not.
    """
    # Its own field is not one of those.
    chosen = fields.select(signature.names, signature.field)
    if not key.verify(signature.octets, signed_text(chosen, signature.header_way, signature.field)):
        raise Unusable("fail", "the header was changed, or another key has signed it")


def _refused(field: HeaderField, result: Outcome, reason: str) -> SignatureResult:
    """A result for a signature of which only its tags are known, if they are."""
    try:
        tags = tags_of(field)
    except Unusable:
        tags = {}
    return SignatureResult(
        result=result,
        reason=reason,
        domain=_shown(tags, "d", 253).lower(),
        selector=_shown(tags, "s", 253),
        identity=_shown(tags, "i", 320),
        algorithm=_shown(tags, "a", 30),
        # The rest of b= is of no use to anybody.
        text="".join(_shown(tags, "b", 64).split()),
    )


def _shown(tags: Mapping[str, str], name: str, size: int) -> str:
    return "".join(c for c in tags.get(name, "")[:size] if c.isprintable())
