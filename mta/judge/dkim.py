"""``kind = "dkim"``: the signatures of a message are verified (RFC 6376).

Judged is mail that comes from others, as with :mod:`mta.judge.spf.judge`; nothing is refused for
a signature that fails, which says no more than that there is none (6.1).  Later judges, above all
DMARC, find a result for each signature.  It stands before content filters, which change messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

from pydantic import Field
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Duration, Table
from mta.dkim.header_fields import Canonicalization
from mta.dkim.verification import MOST_SIGNATURES, SignatureResult, Verification
from mta.interfaces import Answer, Facts, IJudge, IKind, IResolver, PluginContext
from mta.judge.dkim_keys import KeyLookup
from mta.model.authentication import AuthenticationResult
from mta.model.catalogue import REPLIES
from mta.model.verdict import PASS, Stage, Verdict

#: Characters of ``b=`` that tell signatures of a message apart (RFC 6008).
_ENOUGH = 8
#: What nearly every signature wants: with it the body need not be read again for a seal.
_USUAL: tuple[Canonicalization, ...] = ("relaxed",)
_NONE = Verdict(authentication=(AuthenticationResult("dkim", "none"),))


class DkimSettings(Table):
    """Settings of ``kind = "dkim"``.

    ``signatures`` are looked at, from the top; ``temperror`` says what becomes of a message of
    which no signature passes and a key cannot be asked for.  ``timeout`` is for all keys together.
    """

    signatures: int = Field(MOST_SIGNATURES, ge=1, le=50)
    temperror: Literal["defer", "mark"] = "mark"
    timeout: Duration = 20.0


@implementer(IJudge)
class DkimJudge:
    """See the module.

    :param reactor: gives time and timers.
    :param resolver: asks the DNS.
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`.
    """

    def __init__(
        self,
        settings: DkimSettings,
        reactor: Any,
        resolver: IResolver,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        self._keys = KeyLookup(reactor, resolver, settings.timeout, run_in_thread)

    def judge(self, stage: Stage, facts: Facts) -> Answer[Verdict]:
        """See :class:`~mta.interfaces.IJudge`."""
        if stage != "message" or facts.client.role != "mx" or facts.trusted:
            return PASS
        verification = Verification(facts.header, self._reactor.seconds(), self._settings.signatures)
        if not verification.count:
            return _NONE
        return self._judge(facts, verification)

    async def _judge(self, facts: Facts, verification: Verification) -> Verdict:
        ways = (*verification.ways, *_USUAL) if verification.ways else ()
        keys, bodies = await self._keys.with_bodies(verification.questions, facts, ways)
        results = verification.results(keys, bodies)
        told: dict[str, Any] = {
            "evidence": {"signatures": [_words(one) for one in results]},
            "authentication": tuple(_result(one) for one in results),
        }
        trouble = _trouble(results)
        if trouble and self._settings.temperror == "defer":
            reply = REPLIES.reply("dkim-temporary", why=trouble, ref=facts.client.session)
            return Verdict("defer", "dkim.temperror", trouble, reply=reply, **told)
        return Verdict(**told)


def _trouble(results: Sequence[SignatureResult]) -> str:
    """Why nobody knows whether a signature is good, if none is known to be."""
    if any(one.result == "pass" for one in results):
        return ""
    return next((one.reason for one in results if one.result == "temperror"), "")


def _result(one: SignatureResult) -> AuthenticationResult:
    """RFC 8601, 2.7.1, and RFC 6008."""
    properties = (
        ("header.d", one.domain),
        ("header.i", one.identity),
        ("header.s", one.selector),
        ("header.a", one.algorithm),
        ("header.b", one.text[:_ENOUGH]),
    )
    reason = one.reason or ("the domain is trying it out" if one.is_testing else "")
    return AuthenticationResult("dkim", one.result, tuple(item for item in properties if item[1]), reason)


def _words(one: SignatureResult) -> str:
    who = ", ".join(filter(None, (one.domain, one.selector, one.algorithm)))
    size = f", {one.bits} bits" if one.bits else ""
    trial = ", trying it out (t=y)" if one.is_testing else ""
    words = f"{one.result}: {who}{size}{trial}"
    return f"{words}: {one.reason}" if one.reason else words


@implementer(IPlugin, IKind)
class DkimKind:
    """Makes :class:`DkimJudge`."""

    seam = IJudge
    kind = "dkim"
    settings = DkimSettings

    def build(self, settings: DkimSettings, context: PluginContext) -> DkimJudge:
        """See :class:`~mta.interfaces.IKind`."""
        return DkimJudge(settings, context.reactor, context.resolver, context.run_in_thread)


DKIM = DkimKind()
