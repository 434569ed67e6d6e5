"""What SMTP clients are told of recipients who are on a suppression list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mta.config.settings import Submission
from mta.intake.suppressing import Suppressing
from mta.interfaces import TemporarilyUnavailable
from mta.model.event_suppression import SuppressedTo
from mta.registry.suppressions import Suppression
from tests.intake.test_reception import MAIL, ReceptionCase

ENTRY = Suppression("x@far.test", "bounce", "", 5.0, {"reply": "550 kein Postfach für x"}, "shop")


def found(tenant: str, addresses: Iterable[str]) -> Mapping[str, Suppression]:
    return {one: ENTRY for one in addresses if tenant == "shop" and one == "x@far.test"}


def down(tenant: str, addresses: Iterable[str]) -> Any:
    async def answer() -> Mapping[str, Suppression]:
        raise TemporarilyUnavailable("registry.db cannot be used")

    return answer()


class SuppressingTests(ReceptionCase):
    sender = "ann@shop.test"

    def submit(
        self, suppressing: Suppressing, *recipients: str, tenant: str = "", account: str = "ann@shop.test"
    ):
        labels = Submission(tenants={"@shop.test": "shop"}, tenant_field_from=["gate@far.test"])
        reception = self.reception(labels=labels, suppressing=suppressing)
        data = (f"X-MTA-Tenant: {tenant}\r\n".encode() if tenant else b"") + MAIL
        return self.send(reception, *recipients, role="submission", data=data, account=account)

    def test_refused_at_rcpt(self) -> None:
        replies = self.submit(Suppressing(found), "x@far.test", "ann@local.test")
        self.assertEqual([550, 250], [reply.code for reply in replies])
        self.assertEqual("5.7.1", replies[0].enhanced)
        self.assertRegex(str(replies[0]), r"came back for good: 550 kein Postfach f\?r x \[s1\]")
        self.assertEqual(("suppression", "shop"), (replies[0].rule, replies[0].evidence["list of"]))
        ((message, events),) = self.spool.admitted
        self.assertEqual((["ann@local.test"], 1), ([one.address for one in message.addressees], len(events)))

    def test_left_out_of_what_is_accepted(self) -> None:
        for suppressing, tenant, account in (
            (Suppressing(found, at_once=False), "", "ann@shop.test"),
            # Whose it is, only the header tells.
            (Suppressing(found), "shop", "gate@far.test"),
        ):
            replies = self.submit(suppressing, "x@far.test", "ann@local.test", tenant=tenant, account=account)
            self.assertEqual([250], [reply.code for reply in replies])
            message, (told, event) = self.spool.admitted[-1]
            self.assertEqual(["ann@local.test"], [one.address for one in message.addressees])
            self.assertEqual(["ann@local.test"], told.recipients)
            assert isinstance(event, SuppressedTo)
            self.assertEqual(
                (message.id, "x@far.test", "shop", "bounce", 5.0),
                (event.message, event.recipient, event.tenant, event.reason, event.since),
            )

    def test_nobody_is_left(self) -> None:
        replies = self.submit(Suppressing(found, at_once=False), "x@far.test")
        self.assertEqual(["recipient-suppressed"], [reply.name for reply in replies])
        self.assertEqual([], self.spool.admitted)

    def test_put_off_while_it_cannot_be_told(self) -> None:
        for at_once in (True, False):
            (reply,) = self.submit(Suppressing(down, at_once), "ann@local.test")
            self.assertEqual((451, "suppression"), (reply.code, reply.rule))
        self.assertEqual([], self.spool.admitted)

    def test_only_for_mail_of_a_tenant(self) -> None:
        replies = self.submit(Suppressing(found), "x@far.test", account="bob@other.test")
        self.assertEqual([250], [reply.code for reply in replies])
