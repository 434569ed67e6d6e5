"""Sequences in a real server: let in by events, mail and webhooks, killed in between, told in the journal."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import Counter
from typing import Any

import httpx

from tests.e2e.scenario import Scenario, free_port, wait_for
from tests.e2e.server import Server
from tests.e2e.test_tenant_webhooks import Receiver

COUNT = 200
WELCOME = """
title = "Welcome"
from = "Shop <shop@example.org>"

[[triggers]]
event = "signed_up"

[[exits]]
name = "bought"
when = { event = "purchase" }
goal = true

[[steps]]
id = "welcome"
do = "send"
template = "welcome"

[[steps]]
id = "tell"
do = "webhook"
endpoint = "ENDPOINT"
data = { from = "the sequence" }

[[steps]]
id = "pause"
do = "wait"
for = "1s"

[[steps]]
id = "plan"
do = "branch"
when = { attribute = "plan", is = "pro" }
then = "vip"
otherwise = "reaction"

[[steps]]
id = "reaction"
do = "wait_until"
when = { event = "replied" }
timeout = "30d"
then = "vip"

[[steps]]
id = "vip"
do = "notify"
template = "vip"
"""


class SequenceCase(Scenario):
    """One server; its mailboxes are those of contacts."""

    workers = 1

    def setUp(self) -> None:
        super().setUp()
        users = {f"u{number}@example.org": "x" for number in range(COUNT)}
        self.server = self.part(Server(self.place / "mta", users, workers=self.workers))
        port = free_port()
        self.server.config["listen"]["http"] = [f"tcp:{port}:interface=127.0.0.1"]
        self.server.config["webhook"] = {"allow": ["127.0.0.0/8"]}
        self.server.config["api"] = {"requests_per_second": 0}
        self.server.write()
        self.server.start()
        key = self.server.mta("key", "create", "--scope", "admin").split()[0]
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}, timeout=60
        )
        self.addCleanup(self.http.close)
        for name in ("welcome", "vip"):
            body = {"subject": f"{name} {{{{ name }}}}", "text": f"{name} to {{{{ name }}}}"}
            self.asked("PUT", f"/v1/templates/{name}", body)
        self.receiver = self.part(Receiver())
        made = self.asked(
            "POST",
            "/v1/webhooks",
            {"url": f"http://127.0.0.1:{self.receiver.port}/", "events": ["webhook.*"]},
        )
        self.receiver.secret = made["secret"]
        file = self.place / "welcome.toml"
        file.write_text(WELCOME.replace("ENDPOINT", made["id"]))
        self.assertIn("● welcome: send welcome", self.server.mta("sequence", "check", str(file)))
        self.assertIn("version 1", self.server.mta("sequence", "push", "welcome", str(file)))

    def asked(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, path, json=body)
        self.assertLess(answer.status_code, 300, f"{method} {path}: {answer.text}")
        return answer.json() if answer.content else None

    def events(self, name: str, numbers: Any, **more: Any) -> Any:
        events = [
            {"id": f"{name}-{number}", "name": name, "address": f"u{number}@example.org", **more}
            for number in numbers
        ]
        return self.asked("POST", "/v1/events", {"events": events})

    def arrived(self) -> dict[int, list[str]]:
        """The subjects that each mailbox has, in order."""
        found: dict[int, list[str]] = {}
        for path in sorted((self.server.state / "mail" / "example.org").glob("*/new/*")):
            subject = next(line for line in path.read_text().splitlines() if line.startswith("Subject:"))
            found.setdefault(int(path.parts[-3][1:]), []).append(subject.split()[1])
        return {number: sorted(subjects, reverse=True) for number, subjects in found.items()}

    def hook(self) -> Receiver:
        """The webhook of a person."""
        found = self.part(Receiver())
        found.secret = self.asked("GET", "/v1/notifications/secret")["secret"]
        self.assertEqual(found.secret, self.server.mta("notify", "--secret").strip())
        return found

    def received(self) -> int:
        """Messages of which the journals say that they were accepted."""
        count = 0
        for path in (self.server.state / "spool").glob("*/queue.db"):
            try:
                with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
                    query = "SELECT count(*) FROM events WHERE kind = 'received'"
                    count += int(base.execute(query).fetchone()[0])
            except sqlite3.Error:
                continue
        return count


class SequenceTests(SequenceCase):
    """From the file to the goal, and through crashes."""

    def test_from_event_to_goal(self) -> None:
        for number, plan in ((0, "pro"), (1, "free"), (2, "free"), (3, "free")):
            body = {"address": f"u{number}@example.org", "name": f"U{number}", "attributes": {"plan": plan}}
            self.asked("POST", "/v1/contacts", body)
        # The fourth wants to be told by a webhook of its own.
        hook = self.hook()
        url = f"http://127.0.0.1:{hook.port}/"
        self.asked("PATCH", "/v1/contacts/u3@example.org", {"channel": "webhook", "webhook": url})
        self.assertEqual({"taken": 4, "known": 0, "problems": []}, self.events("signed_up", range(4)))
        self.assertEqual({"taken": 0, "known": 4, "problems": []}, self.events("signed_up", range(4)))
        wait_for(lambda: self.arrived().get(0) == ["welcome", "vip"], "the pro did not get both")
        wait_for(
            lambda: len({identity for identity, _ in self.receiver.taken}) == 4,
            "the application was not told of all",
        )
        told = self.receiver.taken[0][1]
        self.assertEqual(
            ("sequence.webhook", "welcome", "tell", {"from": "the sequence"}),
            (told["type"], told["data"]["sequence"], told["data"]["step"], told["data"]["data"]),
        )
        # Two wait for a reply; one of them buys, one replies, and one unsubscribes.
        detail = wait_for(
            lambda: (
                (found := self.asked("GET", "/v1/sequences/welcome"))["steps"] == {"reaction": 3} and found
            ),
            "not three wait",
        )
        self.assertEqual({"finished": 1}, detail["ended"])
        self.events("purchase", [1])
        self.events("replied", [3])
        self.asked("POST", "/v1/suppressions", {"addresses": ["u2@example.org"], "reason": "unsubscribe"})
        self.events("replied", [2])
        wait_for(
            lambda: (
                self.asked("GET", "/v1/sequences/welcome")["ended"] == {"finished": 2, "goal": 1, "left": 1}
            ),
            "they did not leave as they should",
        )
        # The post to a person is signed with the tenant's secret.
        wait_for(lambda: hook.taken, "no notification was posted")
        self.assertEqual(([], []), (hook.forged, self.receiver.forged))
        everything = {0: ["welcome", "vip"], 1: ["welcome"], 2: ["welcome"], 3: ["welcome"]}
        wait_for(lambda: sum(map(len, self.arrived().values())) >= 5, "a message did not arrive")
        self.assertEqual(everything, self.arrived())
        shown = self.server.mta("sequence", "show", "welcome")
        self.assertIn("0 in it now; ended: 2 finished, 1 goal, 1 left", shown)
        why = self.server.mta("sequence", "why", "u1@example.org")
        self.assertIn("goal: bought", why)
        self.assertIn("decided by event signed_up", why)
        self.server.wait_trace(
            "u1@example.org",
            "leaves sequence welcome of tenant default, version 1, step reaction: goal, bought",
            "is sent a message by sequence welcome",
        )
        rehearsed = self.server.mta(
            "sequence", "rehearse", "welcome", "u1@example.org", "--event", "replied=2h"
        )
        self.assertIn("what it waited for has happened", rehearsed)
        # Who only looks needs no server.
        self.server.stop()
        self.assertEqual(shown, self.server.mta("sequence", "show", "welcome"))
        self.assertEqual(why, self.server.mta("sequence", "why", "u1@example.org"))

    def test_killed_in_the_midst(self) -> None:
        """Nobody gets a message twice, and nobody none."""
        self.events("signed_up", range(COUNT), attributes={"plan": "pro"})
        for wanted in (20, 120, 250):
            wait_for(lambda wanted=wanted: self.received() >= wanted, "no message was accepted", 60)
            self.server.kill()
            self.server.start()
        wait_for(lambda: sum(map(len, self.arrived().values())) >= 2 * COUNT, "not all arrived", 120)
        self.assertEqual({("welcome", "vip"): COUNT}, Counter(map(tuple, self.arrived().values())))
        wait_for(
            lambda: self.asked("GET", "/v1/sequences/welcome")["ended"] == {"finished": COUNT},
            "not all ended",
        )
        self.assertEqual(2 * COUNT, self.received())

    def test_notifications_killed_in_the_midst(self) -> None:
        """Of what was promised everybody gets it once, by mail or by a signed post."""
        hook = self.hook()
        for number in range(COUNT):
            body: dict[str, Any] = {"address": f"u{number}@example.org", "name": f"U{number}"}
            if number < 3:
                body |= {"channel": "webhook", "webhook": f"http://127.0.0.1:{hook.port}/"}
            self.asked("POST", "/v1/contacts", body)
        people = [f"u{number}@example.org" for number in range(COUNT)]
        body = {"to": people, "template": "welcome", "from": "shop@example.org"}
        made = self.asked("POST", "/v1/notifications", body)
        self.assertEqual(COUNT, made["accepted"])
        for wanted in (0, 20, 60):
            wait_for(lambda wanted=wanted: self.received() >= wanted, "no message was accepted", 60)
            self.server.kill()
            self.server.start()
        wait_for(lambda: len(self.arrived()) >= COUNT - 3, "not all arrived", 60)
        wait_for(lambda: len({identity for identity, _ in hook.taken}) == 3, "not all were posted", 60)
        self.assertEqual({("welcome",): COUNT - 3}, Counter(map(tuple, self.arrived().values())))
        self.assertEqual(COUNT - 3, self.received())
        self.assertEqual([], hook.forged)
        wait_for(
            lambda: (
                not any(
                    one["waits"] for one in self.asked("GET", f"/v1/notifications/{made['id']}")["recipients"]
                )
            ),
            "some wait still",
        )
        printed = self.server.mta(
            "notify", "vip", "u0@example.org", "u9@example.org", "--from", "shop@example.org", "--dry-run"
        )
        self.assertIn("u0@example.org", printed)
        self.assertIn("webhook", printed)
        trace = self.server.mta("trace", "u9@example.org")
        self.assertIn(f"notification/{made['id']}", trace)


class WorkersTests(SequenceCase):
    """Two workers: one moves sequences, and the other when that one dies."""

    workers = 2

    def told(self, numbers: range) -> bool:
        """Tell of events; again, if the worker that was asked is the one that died: they are the same."""
        try:
            answer = self.events("signed_up", numbers, attributes={"plan": "pro"})
        except httpx.TransportError:
            return False
        self.assertEqual(len(numbers), answer["taken"] + answer["known"])
        return True

    def test_taken_over(self) -> None:
        lock = self.server.state / "sequences.lock"
        holders = []
        for number in range(2):
            some = range(number * 60, number * 60 + 60)
            wait_for(lambda some=some: self.told(some), "nobody takes events", 60)
            wait_for(lambda number=number: self.received() >= 120 * number + 20, "nothing was sent", 60)
            holders.append(int(lock.read_text()))
            os.kill(holders[-1], signal.SIGKILL)
        wait_for(lambda: sum(map(len, self.arrived().values())) >= 240, "not all arrived", 90)
        self.assertEqual({("welcome", "vip"): 120}, Counter(map(tuple, self.arrived().values())))
        self.assertEqual(240, self.received())
        self.assertEqual(2, len(set(holders)))
