"""Seals what comes from others and goes on to others (ARC, RFC 8617): forwarded mail.

Who forwards breaks SPF, and often signatures.  The seal tells the next server what was right when
the message came here; whether it believes us is its affair.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mta.dkim.arc import RESULT, ArcJudged
from mta.dkim.arc_sealing import arc_set, why_not
from mta.dkim.message_body import body_digests
from mta.dkim.signing import Manner, SigningKey
from mta.interfaces import Answer, Facts, settle
from mta.model.authentication_results import AuthenticationResults
from mta.model.signed import UNSIGNED, Signed


class Sealer:
    """See the module.

    :param key: seals.
    :param manner: which fields the signature in the seal covers.
    :param authserv_id: our name in Authentication-Results.
    :param relays: names of the transports that lead to other servers.
    :param calculate: see :class:`~mta.dkim.signer.Signer`.
    :param run_in_thread: likewise.
    """

    def __init__(
        self,
        key: SigningKey,
        manner: Manner,
        *,
        authserv_id: str,
        relays: frozenset[str],
        calculate: Callable[[Callable[[], bytes]], Awaitable[bytes]],
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._key = key
        self._manner = manner
        self._authserv_id = authserv_id
        self._relays = relays
        self._calculate = calculate
        self._run_in_thread = run_in_thread

    def seal(self, facts: Facts, header: bytes, now: float) -> Answer[Signed]:
        """The fields for the top of a message, if it goes on; without the judge ``arc`` none does.

        :param facts: as the last judge has seen it.
        :param header: its header section, with what stands on top by now.
        :param now: seconds since 1970.
        """
        judged = facts.results.get(RESULT)
        if not isinstance(judged, ArcJudged) or not self._goes_on(facts):
            return UNSIGNED
        reason = why_not(judged.finding)
        if reason:
            return Signed(evidence={"none": f"not sealed: {reason}"})
        return self._seal(facts, judged, header, now)

    def _goes_on(self, facts: Facts) -> bool:
        assert facts.envelope is not None
        recipients = facts.envelope.recipients
        return any(route.transport in self._relays for one in recipients for route in one.routes)

    async def _seal(self, facts: Facts, judged: ArcJudged, header: bytes, now: float) -> Signed:
        bodies = await settle(body_digests(facts, ("relaxed",), self._run_in_thread))
        digest, _ = bodies["relaxed"]
        results = AuthenticationResults(self._authserv_id, tuple(facts.authentication))
        key, manner, finding = self._key, self._manner, judged.finding
        fields = await self._calculate(lambda: arc_set(header, digest, finding, results, key, manner, now))
        seal = {
            "instance": finding.highest + 1,
            "cv": finding.status,
            "domain": key.domain,
            "key": key.selector,
        }
        return Signed(fields, {"seal": seal})
