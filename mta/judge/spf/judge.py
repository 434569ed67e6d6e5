"""``kind = "spf"``: what HELO and MAIL say is held against what the domains publish (RFC 7208).

Judged is mail that comes from others: not what people and programs submit, nor what networks of
``access.relay_from`` send, nor what comes by LMTP.  Whoever decides later finds the results as
:class:`~mta.model.authentication.AuthenticationResult`\\ s: ``smtp.mailfrom`` is a property of the
result for MAIL, which with the null reverse-path is about ``postmaster@`` the name of HELO (2.4);
the one for HELO has ``smtp.helo`` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from pydantic import Field
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.asking import asked
from mta.bounded import Overdue
from mta.config.settings import Duration, Network, Table
from mta.interfaces import (
    Answer,
    Facts,
    IJudge,
    IKind,
    IResolver,
    PluginContext,
)
from mta.judge.spf.evaluation import Finding, Identity, check_host, is_name
from mta.judge.spf.questions import answer_from
from mta.judge.spf.received_spf import NAME, received_spf
from mta.model.a_labels import a_labels
from mta.model.authentication import AuthenticationResult
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client
from mta.model.network import is_within, parsed
from mta.model.reply import Reply
from mta.model.verdict import PASS, Action, Stage, Verdict

#: Characters of what a domain explains: a line of a reply has 512 octets (RFC 5321, 4.5.3.1.5).
_EXPLANATION = 400
#: Results of which nothing need be said, because the properties say it all.
_PLAIN = frozenset({"pass", "none"})


class SpfSettings(Table):
    """Settings of ``kind = "spf"``.

    ``fail``, ``helo_fail``, ``softfail``, ``temperror`` and ``permerror`` say what becomes of
    mail with that result; ``mark``: it is only told on.  ``forwarders`` are not judged: networks
    of servers that pass on to us what others send.  ``timeout`` is for each of the two names.
    """

    fail: Literal["reject", "mark"] = "reject"
    helo_fail: Literal["reject", "mark"] = "reject"
    softfail: Literal["reject", "mark"] = "mark"
    temperror: Literal["defer", "mark"] = "mark"
    permerror: Literal["reject", "mark"] = "mark"
    received_spf: bool = False
    forwarders: list[Network] = Field([])
    timeout: Duration = 20.0


@dataclass(frozen=True, slots=True)
class _Checked:
    """One of the two names, and what was found about it; ``both``: MAIL named nobody, so HELO counts."""

    kind: Literal["helo", "mailfrom"]
    identity: Identity
    finding: Finding
    both: bool = False


@implementer(IJudge)
class SpfJudge:
    """See the module.

    :param reactor: gives the time.
    :param resolver: asks the DNS.
    :param hostname: our name.
    """

    def __init__(self, settings: SpfSettings, reactor: Any, resolver: IResolver, hostname: str) -> None:
        self._settings = settings
        self._reactor = reactor
        self._resolver = resolver
        self._hostname = hostname

    def judge(self, stage: Stage, facts: Facts) -> Answer[Verdict]:
        """See :class:`~mta.interfaces.IJudge`."""
        client, envelope = facts.client, facts.envelope
        if stage != "mail" or envelope is None or client.role != "mx" or facts.trusted:
            return PASS
        address = parsed(client.address)
        if address is None or is_within(client.address, self._settings.forwarders):
            return PASS
        return self._judge(client, str(address), envelope.reverse_path)

    async def _judge(self, client: Client, address: str, reverse_path: str) -> Verdict:
        helo = client.helo.removesuffix(".")
        domain, now = _ascii(helo), int(self._reactor.seconds())
        name = Identity(address, domain, f"postmaster@{domain}", helo, self._hostname, now)
        done: list[_Checked] = []
        if reverse_path and _is_domain(domain):
            found = await self._check(name)
            if found.result != "none":
                done.append(_Checked("helo", name, found))
        refusal = self._refusal(done, client.session)
        if refusal is None:
            done.append(await self._sender(name, reverse_path))
            refusal = self._refusal(done, client.session)
        told: dict[str, Any] = {"evidence": _evidence(done), "authentication": _results(done)}
        if refusal is not None:
            rule, reply = refusal
            action: Action = "reject" if reply.is_permanent else "defer"
            return Verdict(action, rule, done[-1].finding.reason, reply=reply, **told)
        if not self._settings.received_spf:
            return Verdict(**told)
        fields = tuple((NAME, received_spf(one.kind, one.identity, one.finding)) for one in done)
        return Verdict("tag", fields=fields, **told)

    async def _sender(self, name: Identity, reverse_path: str) -> _Checked:
        """What MAIL says (2.4)."""
        if not reverse_path:
            return _Checked("mailfrom", name, await self._check(name), both=True)
        local, _, domain = reverse_path.rpartition("@")
        domain = _ascii(domain)
        identity = replace(name, domain=domain, sender=f"{local}@{domain}")
        return _Checked("mailfrom", identity, await self._check(identity))

    async def _check(self, identity: Identity) -> Finding:
        """Run an evaluation, for so long at the most (4.6.4)."""
        try:
            answer = partial(answer_from, self._resolver)
            return await asked(self._reactor, check_host(identity), answer, self._settings.timeout)
        except Overdue as overdue:
            return Finding("temperror", str(overdue))

    def _refusal(self, done: Sequence[_Checked], session: str) -> tuple[str, Reply] | None:
        """The rule and the reply, if what was found last is to be refused (8)."""
        if not done:
            return None
        last, settings = done[-1], self._settings
        finding, domain = last.finding, last.identity.domain
        values = {"client": last.identity.client, "domain": domain, "ref": session}
        match finding.result:
            case "fail" if last.kind == "helo" and settings.helo_fail == "reject":
                return "spf.helo_fail", _explained(REPLIES.reply("spf-helo-fail", **values), domain, finding)
            case "fail" if last.kind == "mailfrom" and settings.fail == "reject":
                return "spf.fail", _explained(REPLIES.reply("spf-fail", **values), domain, finding)
            case "softfail" if last.kind == "mailfrom" and settings.softfail == "reject":
                return "spf.softfail", REPLIES.reply("spf-fail", **values)
            case "temperror" if last.kind == "mailfrom" and settings.temperror == "defer":
                return "spf.temperror", REPLIES.reply("spf-temporary", why=finding.reason, **values)
            case "permerror" if last.kind == "mailfrom" and settings.permerror == "reject":
                return "spf.permerror", REPLIES.reply("spf-broken", why=finding.reason, **values)
        return None


def _explained(reply: Reply, domain: str, finding: Finding) -> Reply:
    """With what the domain says, and that it is the domain that says so (6.2)."""
    if not finding.explanation:
        return reply
    said = f"{domain} explains: {finding.explanation}"[:_EXPLANATION]
    return replace(reply, lines=(*reply.lines, said))


def _results(done: Sequence[_Checked]) -> tuple[AuthenticationResult, ...]:
    """RFC 8601, 2.7.2."""
    results = []
    for one in done:
        found, identity = one.finding, one.identity
        properties: tuple[tuple[str, str], ...] = (("smtp.helo", identity.helo),)
        if one.kind == "mailfrom":
            properties = (("smtp.mailfrom", identity.sender), *(properties if one.both else ()))
        reason = "" if found.result in _PLAIN else found.reason
        results.append(AuthenticationResult("spf", found.result, properties, reason))
    return tuple(results)


def _evidence(done: Sequence[_Checked]) -> dict[str, Any]:
    """For the journal: what was found, and the records that it rests on."""
    found: dict[str, Any] = {}
    for one in done:
        found[one.kind] = f"{one.finding.result}: {one.finding.reason}"
    steps = dict.fromkeys(step for one in done for step in one.finding.chain)
    if steps:
        found["records"] = [f"{step.domain}: {step.record}" for step in steps]
        found["lookups"] = sum(one.finding.lookups for one in done)
    return found


def _is_domain(text: str) -> bool:
    """Whether HELO said the name of a domain, not an address, nor a single word (2.3)."""
    if "." not in text or not is_name(text):
        return False
    return not text.rpartition(".")[2].isdigit() and not text.startswith("[")


def _ascii(domain: str) -> str:
    """In the form of the DNS, if it can be (4.3)."""
    if not domain.isascii():
        with suppress(UnicodeError):
            return a_labels(domain)
    return domain


@implementer(IPlugin, IKind)
class SpfKind:
    """Makes :class:`SpfJudge`."""

    seam = IJudge
    kind = "spf"
    settings = SpfSettings

    def build(self, settings: SpfSettings, context: PluginContext) -> SpfJudge:
        """See :class:`~mta.interfaces.IKind`."""
        return SpfJudge(settings, context.reactor, context.resolver, context.hostname)


SPF = SpfKind()
