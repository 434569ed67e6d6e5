from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from mta.metrics.counts import Histogram, gauge
from mta.metrics.exposition import exposition
from mta.metrics.watch import Watch
from mta.model.event import (
    AuthenticationFailed,
    DeferredTo,
    DeliveredTo,
    Event,
    FailedTo,
    Received,
    Rejected,
)

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "metrics.rst"


def read(text: bytes) -> dict[tuple[str, ...], float]:
    """Values by name and labels, as Prometheus would read them."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


class WatchTests(SynchronousTestCase):
    def counted(self, *events: Event) -> dict[tuple[str, ...], float]:
        watch = Watch()
        watch.events(events)
        return read(exposition({"0": [one.sample() for one in watch.all()]}))

    def test_mail(self) -> None:
        about: dict[str, Any] = {"recipient": "a@x.example", "transport": "relay", "host": "mx [192.0.2.1]"}
        found = self.counted(
            Received(at=1.0, role="mx", recipients=["a", "b"], size=100, tls="TLSv1.3 X"),
            Rejected(at=1.0, stage="recipient", code=550, reply="no"),
            DeliveredTo(at=1.0, code=250, delay=0.2, **about),
            DeferredTo(at=1.0, code=451, bounce_class="greylisted", **about),
            FailedTo(at=1.0, code=550, bounce_class="bad-mailbox", **about),
            FailedTo(at=1.0, expired=True, **about),
            AuthenticationFailed(at=1.0, mechanism="INVENTED"),
        )
        for key, value in {
            ("mta_messages_received_total", "mx", "TLSv1.3", "0"): 1,
            ("mta_recipients_received_total", "mx", "0"): 2,
            ("mta_octets_received_total", "mx", "0"): 100,
            ("mta_rejections_total", "5xx", "recipient", "0"): 1,
            ("mta_deliveries_total", "delivered", "relay", "0"): 1,
            ("mta_deliveries_total", "expired", "relay", "0"): 1,
            ("mta_remote_replies_total", "4xx", "0"): 1,
            ("mta_bounces_total", "bad-mailbox", "0"): 1,
            ("mta_deferrals_total", "greylisted", "0"): 1,
            ("mta_delivery_delay_seconds_bucket", "0.3", "relay", "0"): 1,
            ("mta_delivery_delay_seconds_bucket", "0.1", "relay", "0"): 0,
            ("mta_delivery_delay_seconds_count", "relay", "0"): 1,
            ("mta_authentications_total", "other", "refused", "0"): 1,
            ("mta_journal_events_total", "failed", "0"): 2,
        }.items():
            self.assertEqual(value, found.get(key), f"{key}: {found}")

    def test_of_all_workers(self) -> None:
        times = Histogram("t_seconds", "time", (0.1, 1))
        times.observe(0.05)
        times.observe(5)
        found = read(
            exposition({"0": [times.sample(), gauge("g", "how much", {(): 3})], "1": [times.sample()]})
        )
        self.assertEqual(3, found[("g", "0")])
        for worker in ("0", "1"):
            self.assertEqual(1, found[("t_seconds_bucket", "0.1", worker)])
            self.assertEqual(2, found[("t_seconds_bucket", "+Inf", worker)])

    def test_guide(self) -> None:
        """The guide names every metric, and no other."""
        told = set(re.findall(r"^(mta_\w+) ", GUIDE.read_text("utf-8"), re.M))
        text = (GUIDE.parents[2] / "mta" / "measuring.py").read_text("utf-8")
        known = {one.name for one in Watch().all()} | set(re.findall(r'"(mta_\w+)"', text))
        self.assertEqual(known, told)
