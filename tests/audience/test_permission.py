"""Who may be sent something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mta.audience import memberships
from mta.audience.permission import Permission
from mta.registry.suppressions import Suppression
from tests.audience.base import NOW, AudienceCase


class Suppressed:
    """Suppresses bob everywhere, and cid on the list news."""

    def find(self, tenant: str, addresses: Iterable[str], mailing: str = "") -> Mapping[str, Suppression]:
        known = {"bob@example.org": Suppression("bob@example.org", "complaint")}
        if mailing == "news":
            known["cid@example.org"] = Suppression("cid@example.org", "unsubscribe", "news")
        return {address: known[address] for address in addresses if address in known}


class PermissionTests(AudienceCase):
    def test_suppression_wins(self) -> None:
        """Whatever a list says, who is suppressed gets nothing; and a list only goes to who is on it."""
        news = self.list("news")
        people = [self.contact(f"{name}@example.org") for name in ("ann", "bob", "cid", "dan", "eve", "fay")]
        ann, bob, cid, dan, eve, fay = people

        def work(base: object) -> None:
            for one in (ann, bob, cid, dan, eve):
                memberships.join(base, "shop", news, one.id, "key", NOW)  # type: ignore[arg-type]
            memberships.leave(base, "shop", news, dan.id, "key", NOW)  # type: ignore[arg-type]
            memberships.ask_again(base, news, eve.id, "key", NOW)  # type: ignore[arg-type]

        self.do(work)
        permission = Permission(self.audience, Suppressed())
        barred = self.done(permission.barred("shop", people, "news"))
        self.assertEqual({bob.id, cid.id, dan.id, eve.id, fay.id}, set(barred))
        self.assertIn("complained", barred[bob.id])
        self.assertIn("unsubscribed", barred[cid.id])
        self.assertIn("left the list news", barred[dan.id])
        self.assertIn("not confirmed", barred[eve.id])
        self.assertIn("not on the list", barred[fay.id])
        self.assertEqual({bob.id}, set(self.done(permission.barred("shop", people))))
        self.assertEqual(6, len(self.done(permission.barred("shop", people, "nothing"))))
