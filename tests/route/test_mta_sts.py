"""Which MTA-STS policy counts when (RFC 8461), on a clock and with a cache on disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable, settle
from mta.model.mta_sts import StsPolicy
from mta.route.mta_sts import BELIEVED, RETRY, SWEEP, StsFound, StsPolicies
from mta.route.mta_sts_cache import AGAIN, FORGOTTEN, REFRESH, StsCache
from mta.route.mta_sts_fetch import NoPolicy

WEEK = 7 * 86400
ENFORCE = StsPolicy("enforce", WEEK, ("mx.far.test", "*.far.test"))
OTHER = StsPolicy("testing", WEEK, ("mx.far.test",))


class StsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.record: Any = b"v=STSv1; id=one;"
        self.served: Any = ENFORCE
        self.fetched: list[str] = []
        self.path = Path(self.mktemp())
        self.policies = self.make()

    def make(self) -> StsPolicies:
        """As after a start."""
        return StsPolicies(
            self.clock,
            cast(IResolver, self),
            self.fetch,
            StsCache(self.path),
            lambda function, *args: succeed(function(*args)),
        )

    async def text(self, name: str) -> list[bytes]:
        self.assertEqual("_mta-sts.far.test", name)
        if isinstance(self.record, Exception):
            raise self.record
        return [self.record] if self.record else []

    async def fetch(self, domain: str) -> StsPolicy:
        self.fetched.append(domain)
        answer = self.served
        if isinstance(answer, Deferred):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return cast(StsPolicy, answer)

    def find(self) -> StsFound:
        return self.successResultOf(Deferred.fromCoroutine(settle(self.policies.find("far.test"))))

    def refresh(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.policies.refresh()))


class FindTests(StsCase):
    def test_found_and_kept(self) -> None:
        self.assertEqual(StsFound(ENFORCE), self.find())
        self.clock.advance(3 * BELIEVED)
        self.assertEqual(ENFORCE, self.find().policy)
        self.assertEqual(1, len(self.fetched))

    def test_survives_a_restart(self) -> None:
        self.find()
        self.policies = self.make()
        self.served = NoPolicy("unplugged")
        for record in (b"v=STSv1; id=one;", b"v=STSv1; id=two;", b"", TemporarilyUnavailable("SERVFAIL")):
            self.record = record
            self.clock.advance(BELIEVED + RETRY)
            self.assertEqual(ENFORCE, self.find().policy, record)

    def test_runs_out(self) -> None:
        """Until its time is over it counts, and no longer."""
        self.find()
        self.record = NoSuchDomain("_mta-sts.far.test")
        self.clock.advance(WEEK - 1)
        self.assertEqual(ENFORCE, self.find().policy)
        self.clock.advance(BELIEVED + 1)
        self.assertIsNone(self.find().policy)

    def test_none(self) -> None:
        """A domain without a record is not asked for a policy, and that is no failure."""
        for record in (b"", b"v=spf1 -all", NoSuchDomain("x"), TemporarilyUnavailable("SERVFAIL")):
            self.record = record
            found = self.find()
            self.assertEqual((None, "success"), (found.policy, found.result))
            self.assertTrue(found.problem)
            self.clock.advance(BELIEVED)
        self.assertEqual([], self.fetched)

    def test_new_policy(self) -> None:
        self.find()
        self.record, self.served = b"v=STSv1; id=two;", OTHER
        self.clock.advance(BELIEVED)
        self.assertEqual(OTHER, self.find().policy)

    def test_withdrawn(self) -> None:
        self.find()
        self.record, self.served = b"v=STSv1; id=two;", StsPolicy("none", WEEK)
        self.clock.advance(BELIEVED)
        found = self.find()
        self.assertEqual((None, "success"), (found.policy, found.result))
        self.assertIn("withdrawn", found.problem)

    def test_cannot_be_had(self) -> None:
        """It is asked for again after five minutes (3.3), by every process; a new id at once."""
        self.served = NoPolicy("the policy of mta-sts.far.test is not valid", "sts-policy-invalid")
        for policies in (self.policies, self.make()):
            self.policies = policies
            found = self.find()
            self.assertEqual((None, "sts-policy-invalid"), (found.policy, found.result))
            self.assertIn("not valid", found.problem)
            self.clock.advance(BELIEVED)
        self.assertEqual(1, len(self.fetched))
        self.record = b"v=STSv1; id=two;"
        self.find()
        self.assertEqual(2, len(self.fetched))
        self.served = ENFORCE
        self.clock.advance(RETRY)
        self.assertEqual(ENFORCE, self.find().policy)

    def test_one_fetch_for_all(self) -> None:
        self.served = Deferred()
        waiting = [Deferred.fromCoroutine(settle(self.policies.find("far.test"))) for _ in range(5)]
        self.served, answer = ENFORCE, self.served
        answer.callback(ENFORCE)
        self.assertEqual([ENFORCE] * 5, [self.successResultOf(one).policy for one in waiting])
        self.assertEqual(1, len(self.fetched))

    def test_disk_fails(self) -> None:
        """What was fetched counts, kept or not."""
        self.path.mkdir()
        self.assertEqual(ENFORCE, self.find().policy)
        self.assertRaises(sqlite3.Error, StsCache(self.path).get, "far.test", 0.0)

    def test_our_trouble(self) -> None:
        self.served = ZeroDivisionError()
        self.assertEqual("sts-policy-fetch-error", self.find().result)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))


class RefreshTests(StsCase):
    def test_before_it_runs_out(self) -> None:
        """In use, it does not run out, though the record is gone and nobody asks."""
        self.find()
        self.record = b""
        for _ in range(20):
            self.clock.advance(REFRESH)
            self.refresh()
        self.assertEqual(21, len(self.fetched))
        self.assertEqual(ENFORCE, self.find().policy)

    def test_short_lived(self) -> None:
        self.served = StsPolicy("enforce", 3600, ("mx.far.test",))
        self.find()
        self.clock.advance(1800)
        self.refresh()
        self.assertEqual(2, len(self.fetched))

    def test_failing(self) -> None:
        """The policy stays, and is asked for again in an hour."""
        self.find()
        self.served = NoPolicy("unplugged")
        self.clock.advance(REFRESH)
        self.refresh()
        self.refresh()
        self.assertEqual(2, len(self.fetched))
        self.assertEqual(ENFORCE, self.find().policy)
        self.clock.advance(AGAIN)
        self.refresh()
        self.assertEqual(3, len(self.fetched))

    def test_one_worker(self) -> None:
        """Of two processes one refreshes."""
        self.find()
        self.clock.advance(REFRESH)
        self.refresh()
        self.policies = self.make()
        self.refresh()
        self.assertEqual(2, len(self.fetched))

    def test_unused(self) -> None:
        """A policy by which no mail went for a month is left to run out."""
        self.served = StsPolicy("enforce", int(3 * FORGOTTEN), ("mx.far.test",))
        self.find()
        self.clock.advance(FORGOTTEN)
        self.refresh()
        self.assertEqual(1, len(self.fetched))
        self.find()
        self.refresh()
        self.assertEqual(2, len(self.fetched))

    def test_by_itself(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.policies.start()))
        self.find()
        self.clock.pump([SWEEP] * int(REFRESH / SWEEP + 1))
        self.assertEqual(2, len(self.fetched))
        self.successResultOf(Deferred.fromCoroutine(self.policies.stop()))
        self.assertEqual([], self.clock.getDelayedCalls())
