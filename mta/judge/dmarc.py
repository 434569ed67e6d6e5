"""``kind = "dmarc"``: what SPF and DKIM have found is held against the author's domain (RFC 9989).

It stands behind those two in the order of judges.  Judged is mail that comes from others, as
with :mod:`mta.judge.spf.judge`.  The record that holds, what it asks for and what was done
stand in the journal, from which reports to the domain are made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import Field
from twisted.internet.defer import CancelledError, Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Duration, Network, Table
from mta.dmarc.author import Authors, authors_of
from mta.dmarc.discovery import Answer as DnsAnswer
from mta.dmarc.discovery import Asking, Question, Tree
from mta.dmarc.evaluation import Finding, Identifier, evaluate
from mta.dmarc.record import POLICIES
from mta.interfaces import (
    Answer,
    Facts,
    IJudge,
    IKind,
    IResolver,
    NoSuchDomain,
    PluginContext,
    TemporarilyUnavailable,
)
from mta.judge.clients import is_listed
from mta.model.authentication import AuthenticationResult
from mta.model.catalogue import REPLIES
from mta.model.junk import JUNK_FIELD
from mta.model.verdict import PASS, Stage, Verdict

#: What may become of a message.
Handling = Literal["reject", "hold", "junk", "mark"]

#: Fields that say that a message came through a mailing list (RFC 2919, RFC 2369).
_LIST = re.compile(rb"^(?:list-id|list-post|list-unsubscribe)[ \t]*:", re.IGNORECASE | re.MULTILINE)


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
        if is_listed(client, self._settings.forwarders):
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
        found = await self._evaluate(authors.domains, identifiers)
        finding = _strictest(found)
        if finding is None:
            result = AuthenticationResult("dmarc", "permerror", (), authors.trouble)
            return Verdict(evidence={"result": "permerror", "why": authors.trouble}, authentication=(result,))
        verdict = self._verdict(finding, facts)
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

    def _verdict(self, finding: Finding, facts: Facts) -> Verdict:
        """What becomes of it."""
        ref = facts.client.session
        handling, rule = self._handling(finding, facts.header)
        told: dict[str, Any] = {
            "evidence": _evidence(finding, handling, rule),
            "authentication": (_result(finding),),
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

    async def _evaluate(self, domains: Iterable[str], identifiers: Sequence[Identifier]) -> list[Finding]:
        tree = Tree()
        return [await self._bounded(author, evaluate(author, identifiers, tree)) for author in domains]

    async def _bounded(self, author: str, asking: Asking[Finding]) -> Finding:
        """Run an evaluation, for so long at the most."""
        work = Deferred.fromCoroutine(self._run(asking))
        overdue = False

        def expire() -> None:
            nonlocal overdue
            overdue = True
            work.cancel()

        timer = self._reactor.callLater(self._settings.timeout, expire)
        try:
            return await work
        except CancelledError:
            if not overdue:
                raise
            words = f"the DNS did not answer all questions in {self._settings.timeout:g} seconds"
            return Finding("temperror", words, author)
        finally:
            if timer.active():
                timer.cancel()

    async def _run(self, asking: Asking[Finding]) -> Finding:
        try:
            question = next(asking)
            while True:
                question = asking.send(await self._answer(question))
        except StopIteration as end:
            finding: Finding = end.value
            return finding

    async def _answer(self, question: Question) -> DnsAnswer:
        try:
            if question.kind == "TXT":
                return DnsAnswer(tuple(await self._resolver.text(question.name)))
            await self._resolver.addresses(question.name)
            return DnsAnswer()
        except NoSuchDomain:
            return DnsAnswer(exists=False)
        except TemporarilyUnavailable as trouble:
            return DnsAnswer(trouble=str(trouble) or "nobody answers")


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


def _result(finding: Finding) -> AuthenticationResult:
    """RFC 9989, 9.1 and 9.2."""
    properties = [("header.from", finding.author)]
    if finding.record is not None:
        properties.append(("policy.dmarc", finding.policy))
    reason = "" if finding.result in ("pass", "none") else finding.reason
    return AuthenticationResult("dmarc", finding.result, tuple(properties), reason)


def _evidence(finding: Finding, handling: Handling, rule: str) -> dict[str, Any]:
    """For the journal: what was found, what it rests on, and what is needed for a report."""
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
