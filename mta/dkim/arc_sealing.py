"""Adds an ARC set to a message that is passed on (RFC 8617, 5.1); pure but for the calculation."""

from __future__ import annotations

from collections.abc import Sequence

from mta.dkim.arc import MOST_SETS, ArcFinding, sealed_fields
from mta.dkim.header_fields import HeaderField, HeaderFields, split_fields
from mta.dkim.signing import Manner, SigningKey, signed_field
from mta.model.authentication_results import AuthenticationResults

#: What was signed before, so that it is known to be of those times; never what has a seal of its own
#: (4.1.2), and not Authentication-Results, which the next server takes out.
_BESIDES = frozenset({"dkim-signature"})


def why_not(finding: ArcFinding) -> str:
    """Why nothing is added to a chain, in words; ``""`` if something is."""
    if finding.is_ended:
        return "the chain was broken before, and has ended"
    if finding.is_temporary:
        # To call it broken would be for good.
        return f"the chain cannot be validated now: {finding.reason}"
    if finding.highest >= MOST_SETS:
        return f"the chain has {finding.highest} sets"
    return ""


def arc_set(
    header: bytes,
    body_hash: bytes,
    finding: ArcFinding,
    results: AuthenticationResults,
    key: SigningKey,
    manner: Manner,
    now: float,
) -> bytes:
    """The three fields for the top of a message, each with its CRLF.

    :param header: its header section.
    :param body_hash: of its body, relaxed.
    :param finding: what was found of the chain that there is.
    :param results: what was found out about the message.
    :param manner: which fields are signed.
    :param now: seconds since 1970.
    """
    fields = split_fields(header)
    instance = finding.highest + 1
    who = [("i", str(instance)), ("a", key.algorithm)]
    where = [("d", key.domain), ("s", key.selector), ("t", str(int(now)))]
    found = HeaderField(
        "arc-authentication-results",
        f"ARC-Authentication-Results: i={instance}; {results.value()}".encode("utf-8", "surrogateescape"),
    )
    how = Manner("relaxed", "relaxed", frozenset(manner.headers) | _BESIDES, tuple(manner.oversign))
    names = how.names(fields)
    covered = [field.canonical("relaxed") for field in HeaderFields(fields).select(names)]
    signature = signed_field(
        "ARC-Message-Signature",
        [*who, ("c", "relaxed/relaxed"), *where],
        names,
        body_hash,
        covered,
        key,
        "relaxed",
    )
    own = (found, *split_fields(signature.removesuffix(b"\r\n")))
    # The seal of a chain that is broken covers no more than its own set (5.1.2).
    before: Sequence[HeaderField] = []
    if finding.status == "pass":
        before = sealed_fields([item.fields for item in finding.sets])
    sealed = [field.canonical("relaxed") for field in (*before, *own)]
    seal = signed_field("ARC-Seal", [*who, ("cv", finding.status), *where], (), b"", sealed, key, "relaxed")
    return seal + signature + found.raw + b"\r\n"
