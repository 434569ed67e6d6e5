"""``kind = "dmarc"``: what SPF and DKIM have found is held against the author's domain (RFC 9989).

It stands behind those two in the order of judges, and behind ``arc``: a message that fails here
only because a forwarder has changed it is not refused, if a sealer that is trusted says that the
author's domain stood behind it before.  Judged is mail that comes from others, as with
:mod:`mta.judge.spf.judge`.  The record that holds, what it asks for and what was done stand in the
journal, from which reports to the domain are made (:mod:`mta.dmarc_report`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Literal

from pydantic import Field
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.asking import asked
from mta.bounded import Overdue
from mta.config.settings import Duration, Network, Table
from mta.dkim.arc import RESULT, ArcJudged
from mta.dmarc.author import Authors, authors_of
from mta.dmarc.discovery import Tree
from mta.dmarc.evaluation import Finding, Identifier, evaluate
from mta.dmarc.questions import answer_from
from mta.dmarc.record import POLICIES, Policy
from mta.interfaces import (
    Answer,
    Facts,
    IJudge,
    IKind,
    IResolver,
    PluginContext,
)
from mta.model.authentication import AuthenticationResult
from mta.model.catalogue import REPLIES
from mta.model.junk import JUNK_FIELD
from mta.model.network import is_within
from mta.model.verdict import PASS, Stage, Verdict

#: What may become of a message.
Handling = Literal["reject", "hold", "junk", "mark"]

#: Fields that say that a message came through a mailing list (RFC 2919, RFC 2369).
_LIST = re.compile(rb"^(?:list-id|list-post|list-unsubscribe)[ \t]*:", re.IGNORECASE | re.MULTILINE)


#: What that is in the words of a report (RFC 9990, 2.1.1.7).
_APPLIED: dict[Handling, Policy] = {
    "reject": "reject",
    "hold": "quarantine",
    "junk": "quarantine",
    "mark": "none",
}


class DmarcSettings(Table):
    """Settings of ``kind = "dmarc"``.

    ``reject`` and ``quarantine`` say what becomes of mail that fails where the author's domain
    asks for that; ``lists``: of what came through a mailing list and would be rejected, because
    lists break what DMARC goes by.  ``several``: of mail whose author cannot be told, since there
    are several From fields, or one with several domains of which one fails.  ``forwarders``:
    servers that pass on to us what others send.
    """

    reject: Handling = "reject"
    quarantine: Handling = "junk"
    lists: Handling = "junk"
    several: Literal["reject", "mark"] = "reject"
    temperror: Literal["defer", "mark"] = "mark"
    forwarders: list[Network] = Field([])
    timeout: Duration = 20.0


@implementer(IJudge)
class DmarcJudge:
    """See the module.

    :param reactor: gives timers.
    :param resolver: asks the DNS.
    """

    def __init__(self, settings: DmarcSettings, reactor: Any, resolver: IResolver) -> None:
        self._settings = settings
        self._reactor = reactor
        self._resolver = resolver

    def judge(self, stage: Stage, facts: Facts) -> Answer[Verdict]:
        """See :class:`~mta.interfaces.IJudge`."""
        client = facts.client
        if stage != "message" or client.role != "mx" or facts.trusted:
            return PASS
        if is_within(client.address, self._settings.forwarders):
            return PASS
        return self._judge(facts)

    async def _judge(self, facts: Facts) -> Verdict:
        authors = authors_of(facts.header)
        ref = facts.client.session
        if authors.fields != 1 and self._settings.several == "reject":
            # RFC 5322, 3.6: there is exactly one.
            reply = REPLIES.reply("dmarc-author", why=authors.trouble, ref=ref)
            evidence = {"result": "permerror", "why": authors.trouble, "authors": list(authors.domains)}
            return Verdict("reject", "dmarc.several", authors.trouble, evidence, reply)
        identifiers = identifiers_of(facts.authentication)
        tree = Tree()
        found = [await self._evaluate(author, identifiers, tree) for author in authors.domains]
        finding = _strictest(found)
        if finding is None:
            result = AuthenticationResult("dmarc", "permerror", (), authors.trouble)
            return Verdict(evidence={"result": "permerror", "why": authors.trouble}, authentication=(result,))
        forwarders = await self._forwarders(finding, facts, tree)
        verdict = self._verdict(finding, facts, forwarders)
        if verdict.action == "pass" and len(found) > 1:
            verdict = self._several(authors, found, verdict, ref)
        return verdict

    def _several(self, authors: Authors, found: Sequence[Finding], verdict: Verdict, ref: str) -> Verdict:
        """Several authors, none of whose domains asks for anything: not all of them may be forged."""
        failed = [one.author for one in found if one.result == "fail"]
        if not failed or self._settings.several != "reject":
            return verdict
        why = f"{authors.trouble}, and nothing authenticates {', '.join(failed)}"
        reply = REPLIES.reply("dmarc-author", why=why, ref=ref)
        return Verdict("reject", "dmarc.several", why, verdict.evidence, reply)

    async def _forwarders(self, finding: Finding, facts: Facts, tree: Tree) -> tuple[str, ...]:
        """Trusted sealers who have passed on what the author's domain stood behind when they got it."""
        arc = facts.results.get(RESULT)
        if finding.result != "fail" or not isinstance(arc, ArcJudged) or arc.believed is None:
            return ()
        results = arc.believed.results
        for one in results:
            author = one.get("header.from").removesuffix(".").lower()
            if one.method == "dmarc" and one.result == "pass" and author in ("", finding.author):
                return arc.believed.sealers
        before = await self._evaluate(finding.author, identifiers_of(results), tree)
        return arc.believed.sealers if before.result == "pass" else ()

    def _verdict(self, finding: Finding, facts: Facts, forwarders: tuple[str, ...] = ()) -> Verdict:
        """What becomes of it.

        :param forwarders: that changed it, and may.
        """
        ref = facts.client.session
        handling, rule = self._handling(finding, facts.header)
        if forwarders:
            handling, rule = "mark", "dmarc.arc"
        told: dict[str, Any] = {
            "evidence": _evidence(finding, handling, rule, forwarders),
            "authentication": (_result(finding, handling, rule, forwarders),),
        }
        values = {"domain": finding.author, "ref": ref}
        if finding.result == "temperror" and self._settings.temperror == "defer":
            reply = REPLIES.reply("dmarc-temporary", why=finding.reason, **values)
            return Verdict("defer", "dmarc.temperror", finding.reason, reply=reply, **told)
        if handling == "reject":
            reply = REPLIES.reply("dmarc-fail", policy=finding.disposition, **values)
            return Verdict("reject", rule, finding.reason, reply=reply, **told)
        if handling == "hold":
            return Verdict("hold", rule, finding.reason, **told)
        if handling == "junk":
            return Verdict("tag", rule, finding.reason, fields=(JUNK_FIELD,), **told)
        return Verdict(**told)

    def _handling(self, finding: Finding, header: bytes) -> tuple[Handling, str]:
        """What the settings make of it, and which of them did."""
        if finding.disposition == "none":
            return "mark", ""
        if finding.disposition == "quarantine":
            return self._settings.quarantine, "dmarc.quarantine"
        if self._settings.reject == "reject" and _LIST.search(header):
            return self._settings.lists, "dmarc.lists"
        return self._settings.reject, "dmarc.reject"

    # --- asking ------------------------------------------------------------------

    async def _evaluate(self, author: str, identifiers: Sequence[Identifier], tree: Tree) -> Finding:
        """Run an evaluation, for so long at the most."""
        try:
            return await asked(
                self._reactor,
                evaluate(author, identifiers, tree),
                partial(answer_from, self._resolver),
                self._settings.timeout,
            )
        except Overdue as overdue:
            return Finding("temperror", str(overdue), author)


def identifiers_of(results: Iterable[AuthenticationResult]) -> list[Identifier]:
    """The domains that SPF (for MAIL) and DKIM have authenticated."""
    found = []
    for result in results:
        if result.result != "pass":
            continue
        if result.method == "spf":
            domain = result.get("smtp.mailfrom").rpartition("@")[2].removesuffix(".").lower()
            if domain:
                found.append(Identifier("spf", domain))
        elif result.method == "dkim":
            domain = result.get("header.d").removesuffix(".").lower()
            if domain:
                found.append(Identifier("dkim", domain))
    return found


def _strictest(found: Sequence[Finding]) -> Finding | None:
    """That which asks for most; of equals, the one that failed."""
    order = ("pass", "none", "permerror", "temperror", "fail")
    return max(
        found,
        key=lambda one: (POLICIES.index(one.disposition), order.index(one.result)),
        default=None,
    )


def _result(
    finding: Finding, handling: Handling, rule: str, forwarders: Sequence[str]
) -> AuthenticationResult:
    """RFC 9989, 9.1 and 9.2."""
    properties = [("header.from", finding.author)]
    if finding.record is not None:
        properties.append(("policy.dmarc", finding.policy))
    reason = "" if finding.result in ("pass", "none") else finding.reason
    if forwarders:
        reason += f"; it was good when {forwarders[-1]} had it, which is trusted"
    detail = _detail(finding, handling, rule, forwarders)
    return AuthenticationResult("dmarc", finding.result, tuple(properties), reason, detail)


def _detail(finding: Finding, handling: Handling, rule: str, forwarders: Sequence[str]) -> dict[str, Any]:
    """What a report to the domain needs (RFC 9990, 2.1.1); nothing where there is nobody to report to."""
    record = finding.record
    if record is None or not record.is_applicable:
        return {}
    applied: str = _APPLIED[handling]
    reasons: list[tuple[str, str]] = []
    if finding.result == "pass":
        asked_for = record.asks(finding.domain != finding.author, exists=True)
        applied = "none" if asked_for == "none" else "pass"
    elif finding.result == "temperror":
        reasons.append(("other", finding.reason))
    elif forwarders:
        reasons.append(("trusted_forwarder", f"arc=pass, sealed by {', '.join(forwarders)}"))
    else:
        if finding.disposition != finding.policy:
            reasons.append(("policy_test_mode", ""))
        if applied != finding.disposition:
            reasons.append(("mailing_list", "") if rule == "dmarc.lists" else ("local_policy", rule))
    return {
        "domain": finding.domain,
        "record": record.text,
        "disposition": applied,
        "dkim": finding.is_aligned("dkim"),
        "spf": finding.is_aligned("spf"),
        "reasons": [list(reason) for reason in reasons],
    }


def _evidence(finding: Finding, handling: Handling, rule: str, forwarders: Sequence[str]) -> dict[str, Any]:
    """For the journal: what was found, and what it rests on."""
    told: dict[str, Any] = {
        "result": f"{finding.result}: {finding.reason}",
        "author": finding.author,
    }
    if finding.record is not None:
        told |= {
            "record": f"{finding.domain}: {finding.record.text}",
            "dkim_aligned": finding.is_aligned("dkim"),
            "spf_aligned": finding.is_aligned("spf"),
            "policy": finding.policy,
            "disposition": finding.disposition,
        }
    if finding.record is not None and finding.record.faults:
        told["faults"] = list(finding.record.faults)
    if forwarders:
        told["forwarded"] = f"it was good when {forwarders[-1]} had it; trusted: {', '.join(forwarders)}"
    if rule:
        told["handling"] = f"{handling} ({rule})"
    return told


@implementer(IPlugin, IKind)
class DmarcKind:
    """Makes :class:`DmarcJudge`."""

    seam = IJudge
    kind = "dmarc"
    settings = DmarcSettings

    def build(self, settings: DmarcSettings, context: PluginContext) -> DmarcJudge:
        """See :class:`~mta.interfaces.IKind`."""
        return DmarcJudge(settings, context.reactor, context.resolver)


DMARC = DmarcKind()
