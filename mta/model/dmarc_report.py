"""A DMARC aggregate report as XML (RFC 9990): what we write, and what strangers send us; pure.

Written is version 2.0 of the namespace.  Read is that and the older one of RFC 7489, whatever the
namespace and the order of elements, which reporters get wrong: strict are types, counts and sizes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree  # Writes; strangers' XML is read by defusedxml.

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

NAMESPACE = "urn:ietf:params:xml:ns:dmarc-2.0"
#: Elements, and rows, of one report at the most.
_MOST_ELEMENTS = 1_000_000
MOST_ROWS = 50_000
#: Signatures of one row (RFC 9990, 2.1.3).
MOST_SIGNATURES = 100
#: Characters of a text that are kept.
_LONGEST = 1000
#: What XML 1.0 (2.2) has no way to write.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class BadDmarcReport(ValueError):
    """It is no aggregate report, for a reason in words."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the policy was not followed (2.1.6)."""

    type: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """What became of a DKIM signature."""

    domain: str
    selector: str
    result: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """What SPF says of the domain of MAIL."""

    domain: str
    result: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Messages of which all of this is the same.

    :ivar source: IP address that they came from.
    :ivar disposition: what was done: ``none``, ``pass``, ``quarantine``, ``reject``.
    :ivar dkim: whether a signature stands for the author's domain.
    :ivar spf: whether the sender's domain does.
    :ivar author: domain in From.
    :ivar sender: domain in MAIL; ``""`` for the null reverse-path.
    """

    source: str
    disposition: str
    dkim: bool
    spf: bool
    author: str
    sender: str = ""
    reasons: tuple[Reason, ...] = ()
    signatures: tuple[Signature, ...] = ()
    senders: tuple[Sender, ...] = ()
    count: int = 1

    @property
    def passes(self) -> bool:
        """Whether DMARC passes."""
        return self.dkim or self.spf


@dataclass(frozen=True, slots=True)
class Published:
    """The policy that held (2.1.1.4)."""

    domain: str
    policy: str = "none"
    subdomains: str = ""
    nonexistent: str = ""
    dkim: str = "r"
    spf: str = "r"
    fo: str = ""
    testing: str = ""
    discovery: str = ""


@dataclass(frozen=True, slots=True)
class DmarcReport:
    """The whole report.

    :ivar begins: of the time that it is about, in seconds since 1970.
    :ivar error: what the reporter found wrong with the record, or with the report.
    """

    organization: str
    contact: str
    report: str
    begins: float
    ends: float
    published: Published
    rows: tuple[Row, ...]
    error: str = ""
    generator: str = ""

    @property
    def messages(self) -> int:
        """How many messages it is about."""
        return sum(row.count for row in self.rows)

    @property
    def failures(self) -> int:
        """How many of them fail."""
        return sum(row.count for row in self.rows if not row.passes)

    @classmethod
    def read(cls, data: bytes) -> DmarcReport:
        """The report in an XML document.

        :raise BadDmarcReport: saying what is wrong.
        """
        if data.count(b"<") > _MOST_ELEMENTS:
            raise BadDmarcReport("it has more elements than any report needs")
        try:
            root = fromstring(data, forbid_dtd=True)
        except DefusedXmlException:
            raise BadDmarcReport("its XML defines entities, or has a DTD, which no report needs") from None
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise BadDmarcReport(f"it is no XML: {_cut(str(error))[:200]}") from None
        except RecursionError:
            raise BadDmarcReport("its XML is nested deeper than any report") from None
        return _report(root)

    def written(self) -> bytes:
        """As XML."""
        root = ElementTree.Element("feedback", {"xmlns": NAMESPACE})
        _add(root, "version", "1.0")
        about = _add(root, "report_metadata")
        _add(about, "org_name", self.organization)
        _add(about, "email", self.contact)
        _add(about, "report_id", self.report)
        time = _add(about, "date_range")
        _add(time, "begin", str(int(self.begins)))
        _add(time, "end", str(int(self.ends)))
        _optional(about, error=self.error, generator=self.generator)
        policy, published = _add(root, "policy_published"), self.published
        _add(policy, "domain", published.domain)
        _add(policy, "p", published.policy)
        _optional(
            policy,
            sp=published.subdomains,
            np=published.nonexistent,
            adkim=published.dkim,
            aspf=published.spf,
            discovery_method=published.discovery,
            fo=published.fo,
            testing=published.testing,
        )
        for row in self.rows:
            _write(_add(root, "record"), row)
        ElementTree.indent(root, " ")
        text: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
        return text + b"\n"


# --- writing -------------------------------------------------------------------


def _write(record: ElementTree.Element, row: Row) -> None:
    one = _add(record, "row")
    _add(one, "source_ip", row.source)
    _add(one, "count", str(row.count))
    evaluated = _add(one, "policy_evaluated")
    _add(evaluated, "disposition", row.disposition)
    _add(evaluated, "dkim", "pass" if row.dkim else "fail")
    _add(evaluated, "spf", "pass" if row.spf else "fail")
    for reason in row.reasons:
        why = _add(evaluated, "reason")
        _add(why, "type", reason.type)
        _optional(why, comment=reason.comment)
    who = _add(record, "identifiers")
    _add(who, "header_from", row.author)
    _add(who, "envelope_from", row.sender)
    results = _add(record, "auth_results")
    for signature in row.signatures[:MOST_SIGNATURES]:
        found = _add(results, "dkim")
        _add(found, "domain", signature.domain)
        _add(found, "selector", signature.selector)
        _add(found, "result", signature.result)
        _optional(found, human_result=signature.words)
    for sender in row.senders[:1]:
        found = _add(results, "spf")
        _add(found, "domain", sender.domain)
        _add(found, "scope", "mfrom")
        _add(found, "result", sender.result)
        _optional(found, human_result=sender.words)


def _add(parent: ElementTree.Element, name: str, text: str = "") -> ElementTree.Element:
    element = ElementTree.SubElement(parent, name)
    element.text = _FORBIDDEN.sub("?", text) or None
    return element


def _optional(parent: ElementTree.Element, **texts: str) -> None:
    for name, text in texts.items():
        if text:
            _add(parent, name, text)


# --- reading -------------------------------------------------------------------


def _report(root: Any) -> DmarcReport:
    if _name(root) != "feedback":
        raise BadDmarcReport(f"its outermost element is {_cut(_name(root))[:40]!r}, not 'feedback'")
    about, policy = _one(root, "report_metadata"), _one(root, "policy_published")
    time = _one(about, "date_range")
    begins, ends = _number(time, "begin"), _number(time, "end")
    if ends < begins:
        raise BadDmarcReport("date_range ends before it begins")
    records = list(_all(root, "record"))
    if len(records) > MOST_ROWS:
        raise BadDmarcReport(f"it has more than {MOST_ROWS} records")
    if not _text(policy, "domain"):
        raise BadDmarcReport("policy_published names no domain")
    return DmarcReport(
        organization=_text(about, "org_name"),
        contact=_text(about, "email"),
        report=_text(about, "report_id"),
        begins=begins,
        ends=ends,
        published=Published(
            domain=_domain(policy, "domain"),
            policy=_text(policy, "p") or "none",
            subdomains=_text(policy, "sp"),
            nonexistent=_text(policy, "np"),
            dkim=_text(policy, "adkim") or "r",
            spf=_text(policy, "aspf") or "r",
            fo=_text(policy, "fo"),
            testing=_text(policy, "testing"),
            discovery=_text(policy, "discovery_method"),
        ),
        rows=tuple(_row(record) for record in records),
        error="; ".join(filter(None, (_cut(one.text) for one in _all(about, "error"))))[:_LONGEST],
        generator=_text(about, "generator"),
    )


def _row(record: Any) -> Row:
    row, who = _one(record, "row"), _one(record, "identifiers")
    evaluated = _one(row, "policy_evaluated")
    results = next(_all(record, "auth_results"), None)
    return Row(
        source=_text(row, "source_ip"),
        disposition=_text(evaluated, "disposition").lower() or "none",
        dkim=_text(evaluated, "dkim").lower() == "pass",
        spf=_text(evaluated, "spf").lower() == "pass",
        author=_domain(who, "header_from"),
        sender=_domain(who, "envelope_from"),
        reasons=tuple(
            Reason(_text(one, "type"), _text(one, "comment")) for one in _some(evaluated, "reason")
        ),
        signatures=tuple(
            Signature(
                _domain(one, "domain"),
                _text(one, "selector"),
                _text(one, "result").lower(),
                _text(one, "human_result"),
            )
            for one in _some(results, "dkim")
        ),
        senders=tuple(
            Sender(_domain(one, "domain"), _text(one, "result").lower(), _text(one, "human_result"))
            for one in _some(results, "spf")
        ),
        count=int(_number(row, "count")),
    )


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _all(parent: Any, name: str) -> Iterator[Any]:
    return (one for one in parent if _name(one) == name)


def _some(parent: Any, name: str) -> Sequence[Any]:
    return [] if parent is None else list(_all(parent, name))[:MOST_SIGNATURES]


def _one(parent: Any, name: str) -> Any:
    found = next(_all(parent, name), None)
    if found is None:
        raise BadDmarcReport(f"{_name(parent)} has no {name}")
    return found


def _text(parent: Any, name: str) -> str:
    return _cut(next((one.text for one in _all(parent, name)), ""))


def _domain(parent: Any, name: str) -> str:
    return _text(parent, name).lower().removesuffix(".")[:255]


def _number(parent: Any, name: str) -> float:
    text = _text(parent, name)
    # Some write seconds with a fraction.
    if not re.fullmatch(r"[0-9]{1,15}(?:\.[0-9]{1,9})?", text, re.ASCII):
        raise BadDmarcReport(f"{_name(parent)} has no number as {name}: {text[:40]!r}")
    return float(text)


def _cut(text: str | None) -> str:
    """Texts of strangers, without what a terminal obeys, and not too long."""
    return "".join(c if c.isprintable() else " " for c in (text or "")[:_LONGEST]).strip()
