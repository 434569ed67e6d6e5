"""What subscribers of live events see."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from mta.model.event import Completed, Server
from mta.tracking import subscriber as module
from mta.tracking.pages import About
from mta.tracking.subscriber import Interest, Subscriber, Telling

MESSAGE = "0CA1F3QZK8W2R"


class TellingTests(SynchronousTestCase):
    """The same event for many."""

    def show(self, telling: Telling, *tenants: str) -> list[bytes]:
        written: list[bytes] = []
        for tenant in tenants:
            one = Subscriber(Interest(tenant), written.append, lambda: None, {0: 6, 1: 3})
            one.show(telling, 1.0)
            one.flush(1.0)
        return written

    def test_encoded_once(self) -> None:
        calls: list[Any] = []
        real = module.told

        def counted(*arguments: Any) -> Any:
            calls.append(arguments)
            return real(*arguments)

        telling = Telling(0, 7, Completed(at=1.0, message=MESSAGE), About("shop", "b", "", ("t",)))
        with patch.object(module, "told", counted):
            written = self.show(telling, "shop", "shop", "shop")
        self.assertEqual(1, len(calls))
        self.assertEqual(3, len(written))
        self.assertEqual(written[0], written[2])
        self.assertTrue(written[0].startswith(b"id: 0.7-1.3\nevent: completed\ndata: {"), written[0])
        self.assertIn(b'"batch":"b","tags":["t"]', written[0])

    def test_for_nobody(self) -> None:
        about = About("shop", "", "", ())
        with patch.object(module, "told") as told:
            self.assertEqual([], self.show(Telling(0, 7, Completed(at=1.0, message=MESSAGE), about), "other"))
            self.assertEqual([], self.show(Telling(0, 8, Server(at=1.0, what="x"), about), "shop"))
        told.assert_not_called()
