"""Webhooks of tenants: a real server, and a receiver that checks signatures with ``standardwebhooks``."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook

from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario, free_port, wait_for
from tests.e2e.server import Server


class Receiver:
    """Takes webhooks; what it answers can be changed.

    :ivar status: what it answers.
    :ivar taken: of what was answered with 2xx, ``webhook-id`` and content, in order.
    :ivar refused: ids of the rest.
    :ivar secret: by which signatures are checked.
    """

    def __init__(self) -> None:
        self.status = 204
        self.taken: list[tuple[str, Any]] = []
        self.refused: list[str] = []
        self.forged: list[str] = []
        self.secret = ""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    # Who sent it was killed in the midst.
                    self.close_connection = True
                    return
                identity = self.headers["webhook-id"]
                try:
                    content = Webhook(receiver.secret).verify(body, dict(self.headers))
                except Exception as error:
                    receiver.forged.append(f"{identity}: {error!r}")
                    self.answer(400)
                    return
                if 200 <= receiver.status < 300:
                    receiver.taken.append((identity, content))
                else:
                    receiver.refused.append(identity)
                self.answer(receiver.status)

            def answer(self, status: int) -> None:
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                if status != 204:
                    self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: Any) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # Connections of a server that is killed are reset.
        self._server.handle_error = lambda request, address: None  # type: ignore[method-assign]
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()

    def types(self) -> dict[str, list[str]]:
        """Types of what was taken, by message, each id once."""
        found: dict[str, list[str]] = defaultdict(list)
        seen = set()
        for identity, content in self.taken:
            if identity not in seen:
                seen.add(identity)
                found[content["data"].get("message", "")].append(content["type"])
        return found


class WebhookScenario(Scenario):
    def served(self, more: Mapping[str, Any] | None = None, **webhook: Any) -> None:
        self.receiver = self.part(Receiver())
        port = free_port()
        self.api = f"http://127.0.0.1:{port}"
        given = {"retry": ["1s"] * 20 + ["10s"] * 30, "allow": ["127.0.0.1/32"], **webhook}
        self.server = Server(self.place / "server", webhook=given, **(more or {}))
        self.server.config["listen"]["http"] = [f"tcp:{port}:interface=127.0.0.1"]
        self.server.write()
        self.part(self.server.start())
        made = self.server.mta("key", "create", "--scope", "admin", "--json")
        self.key = json.loads(made)["key"]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.api + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def endpoint(self, **more: Any) -> Any:
        made = self.ask("POST", "/v1/webhooks", {"url": f"http://127.0.0.1:{self.receiver.port}/", **more})
        self.receiver.secret = made["secret"]
        return made

    def send(self, number: int = 1) -> list[str]:
        return [
            self.ask(
                "POST",
                "/v1/messages",
                {
                    "from": "news@example.org",
                    "to": ["anna@example.org"],
                    "subject": f"Number {one}",
                    "text": "Hello",
                    "tags": ["news"],
                    "metadata": {"order": str(one)},
                },
            )["id"]
            for one in range(number)
        ]


class WebhookTests(WebhookScenario):
    def test_signed_and_told_what_the_application_knows(self) -> None:
        self.served()
        made = self.endpoint()
        (message,) = self.send()
        wait_for(lambda: len(self.receiver.taken) >= 2, "no events")
        self.assertEqual({message: ["message.received", "message.delivered"]}, self.receiver.types())
        data = self.receiver.taken[1][1]["data"]
        self.assertEqual(
            ("anna@example.org", ["news"], {"order": "0"}, "Number 0"),
            (data["recipient"], data["tags"], data["metadata"], data["subject"]),
        )
        # Another secret: the old one signs, too, until the overlap is over.
        old = self.receiver.secret
        new = self.ask("POST", f"/v1/webhooks/{made['id']}/rotate", {"overlap": 600})["secret"]
        self.assertNotEqual(old, new)
        for secret in (old, new):
            self.receiver.secret = secret
            count = len(self.receiver.taken)
            self.ask("POST", f"/v1/webhooks/{made['id']}/test")
            wait_for(lambda count=count: len(self.receiver.taken) > count, "no test")
        self.assertEqual([], self.receiver.forged)
        self.assertEqual("webhook.test", self.receiver.taken[-1][1]["type"])
        # Once more by hand, with the same id.
        identity = self.receiver.taken[0][0]
        place = f"/v1/webhooks/{made['id']}/deliveries/{identity}"
        self.ask("POST", f"{place}/redeliver")
        wait_for(lambda: [one for one, _ in self.receiver.taken].count(identity) == 2, "not again")
        wait_for(lambda: len(self.ask("GET", place)["log"]) == 2, "no log")
        self.assertEqual([204, 204], [one["status"] for one in self.ask("GET", place)["log"]])

    def test_killed_while_it_tries(self) -> None:
        """Nothing is forgotten; what comes twice has the same id; in order for a message."""
        self.served()
        self.endpoint()
        self.receiver.status = 503
        sent = self.send(5)
        wait_for(lambda: len(self.receiver.refused) >= 3, "nothing is tried")
        self.server.kill()
        self.server.start()
        sent += self.send(5)
        refused = len(self.receiver.refused)
        wait_for(lambda: len(self.receiver.refused) > refused, "nothing is tried again")
        self.server.kill()
        self.receiver.status = 204
        self.server.start()
        expected = {one: ["message.received", "message.delivered"] for one in sent}
        wait_for(lambda: self.receiver.types() == expected, "events are missing", 90)
        contents: dict[str, Any] = {}
        for identity, content in self.receiver.taken:
            self.assertEqual(contents.setdefault(identity, content), content)
        self.assertEqual([], self.receiver.forged)

    def test_a_dead_one_delays_nobody(self) -> None:
        self.served(timeout="60s")
        dead = free_port()
        for path in ("/a", "/b"):
            self.ask("POST", "/v1/webhooks", {"url": f"http://127.0.0.1:{dead}{path}"})
        self.ask("POST", "/v1/webhooks", {"url": f"https://127.0.0.1:{self.receiver.port}/"})
        self.endpoint()
        self.send(3)
        wait_for(lambda: len(self.receiver.taken) >= 6, "the live one waits for the dead ones")

    def test_nobody_is_led_anywhere(self) -> None:
        """No redirect is followed; nothing private is reached unless it is allowed; and why is told."""
        self.served(allow=["127.0.0.1/32", "127.0.0.2/32"])
        made = self.endpoint()
        self.receiver.status = 302
        inner = self.ask("POST", "/v1/webhooks", {"url": "https://127.0.0.2:1/"})
        self.server.change(webhook={"allow": ["127.0.0.1/32"]})
        self.server.write()
        self.server.mta("reload")
        for url in ("https://[::ffff:169.254.169.254]/", "https://127.0.0.2:1/"):
            with self.assertRaises(urllib.error.HTTPError) as caught:
                self.ask("POST", "/v1/webhooks", {"url": url})
            self.assertEqual(422, caught.exception.code)
            self.assertIn(b"not on the public internet", caught.exception.read())
        for one, words in (
            (made, "redirects are not followed"),
            (inner, "not on the public internet"),
        ):
            identity = self.ask("POST", f"/v1/webhooks/{one['id']}/test")["id"]
            place = f"/v1/webhooks/{one['id']}/deliveries/{identity}"
            wait_for(lambda place=place: self.ask("GET", place)["log"], "no attempt")
            self.assertIn(words, self.ask("GET", place)["log"][0]["reply"])
        self.assertEqual([], self.receiver.taken)

    def test_disabled_after_long_failure_with_an_event(self) -> None:
        self.served(disable_after="1m", retry=["1s"])
        made = self.endpoint()
        self.receiver.status = 410
        self.send()
        place = f"/v1/webhooks/{made['id']}"
        wait_for(lambda: not self.ask("GET", place)["enabled"], "it is enabled still")
        self.assertIn("410", self.ask("GET", place)["disabled"])
        self.server.wait_trace(made["id"], "disabled", "410 Gone")
        self.receiver.status = 204
        self.ask("PATCH", place, {"enabled": True})
        self.send()
        wait_for(lambda: len(self.receiver.taken) >= 2, "it gets nothing")

    def test_two_workers(self) -> None:
        """Each posts what happened to it; whoever is asked finds and repeats what the other has posted."""
        self.served({"workers": 2})
        made = self.endpoint()
        sent: list[str] = []

        def both() -> set[str]:
            """Which worker is given a request is a matter of chance."""
            sent.extend(self.send(5))
            found = {identity.split("_")[1] for identity, _ in self.receiver.taken}
            return found if found == {"0", "1"} else set()

        shards = wait_for(both, "one worker does everything")
        expected = {one: ["message.received", "message.delivered"] for one in sent}
        wait_for(lambda: self.receiver.types() == expected, "events are missing", 120)
        again: list[str] = []
        for shard in sorted(shards):
            identity = next(one for one, _ in self.receiver.taken if one.startswith(f"evt_{shard}_"))
            place = f"/v1/webhooks/{made['id']}/deliveries/{identity}"
            # It is written down a moment after it was taken.
            wait_for(lambda place=place: self.ask("GET", place)["state"] == "delivered", "not delivered")
            self.ask("POST", f"{place}/redeliver")
            again.append(identity)
        # Another worker than the one that was asked sees it with its next look.
        wait_for(
            lambda: [[one for one, _ in self.receiver.taken].count(each) for each in again] == [2, 2],
            "not delivered again",
        )


class BouncedTests(WebhookScenario):
    def test_a_bounce_is_suppressed_whatever_happens(self) -> None:
        """Told by a webhook, on the list also after ``kill -9``, and written to no more."""
        remote = self.part(Remote())
        remote.at["RCPT"] = b"550 5.1.1 no such user"
        self.served({"relay": {"smarthost": f"127.0.0.1:{remote.port}"}})
        self.endpoint(events=["message.failed", "suppression.*"])
        body = {"from": "news@example.org", "to": ["gone@remote.test"], "subject": "x", "text": "x"}
        message = self.ask("POST", "/v1/messages", body)["id"]
        self.server.wait_trace(message, "failed for")
        self.server.kill()
        self.server.start()
        wait_for(lambda: self.ask("GET", "/v1/suppressions")["suppressions"], "nobody is suppressed")
        (entry,) = self.ask("GET", "/v1/suppressions")["suppressions"]
        self.assertEqual(("gone@remote.test", "bounce"), (entry["address"], entry["reason"]))
        self.assertEqual((message, "bad-mailbox"), (entry["evidence"]["message"], entry["evidence"]["class"]))
        again = self.ask("POST", "/v1/messages", body)
        self.assertEqual("suppressed", again["recipients"][0]["state"])
        told = "on the suppression list of tenant default"
        self.server.wait_trace(again["id"], told)
        wait_for(
            lambda: (
                {"message.failed", "suppression.changed"} <= {one["type"] for _, one in self.receiver.taken}
            ),
            "the application is not told",
        )
        self.assertEqual(1, sum(one.startswith("RCPT") for one in remote.commands))
