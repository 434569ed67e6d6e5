"""The commands of the sending API: with a server, and, as far as they only look, without one."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.cli.command import Result, call
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server


class Receiver:
    """Takes posts, and says yes.

    :ivar count: of them so far.
    """

    def __init__(self) -> None:
        self.count = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                receiver.count += 1
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class ApiCommandScenario(Scenario):
    """One server; what was seen while it ran is seen when it has stopped."""

    def setUp(self) -> None:
        super().setUp()
        self.receiver: Receiver = self.part(Receiver())
        self.server: Server = self.part(
            Server(
                self.place / "server",
                api={"url": "https://mail.example.org"},
                webhook={"allow": ["127.0.0.0/8"]},
                tracking={"bodies": "1h"},
            )
        )
        self.server.start()

    def mta(self, *arguments: str, status: int = os.EX_OK, stdin: str = "") -> Result:
        result = call("--config", str(self.server.file), *arguments, stdin=stdin)
        self.assertEqual(status, result.status, result)
        return result

    def json(self, *arguments: str, **options: Any) -> Any:
        return self.mta(*arguments, "--json", **options).json

    def test_all(self) -> None:
        self.webhooks()
        identifier = self.messages()
        batch = self.batches()
        self.domains()
        self.mistakes()
        looks = (
            ("webhook", "list"),
            ("webhook", "attempts", self.endpoint),
            ("domain", "list"),
            ("domain", "show", "news.example"),
            ("message", "list", "--tag", "t"),
            ("message", "show", identifier),
            ("message", "content", identifier),
            ("message", "counts"),
            ("batch", "show", batch),
            ("batch", "recipients", batch),
            ("template", "list"),
            ("api", "GET", "/v1/engagement"),
        )
        wait_for(self.posted, "not everything is posted")
        before = [self.json(*look) for look in looks]
        self.assertTrue(self.server.stop())
        for look, found in zip(looks, before, strict=True):
            self.assertEqual(found, self.json(*look), look)
            self.mta(*look)
        refused = self.mta("webhook", "remove", self.endpoint, status=os.EX_UNAVAILABLE)
        self.assertIn("the server is not running", refused.err)
        self.assertIn("no such endpoint", self.mta("webhook", "show", "we_x", status=os.EX_USAGE).err)
        self.assertIn("no tenant", self.mta("batch", "list", "--tenant", "x", status=os.EX_USAGE).err)

    def posted(self) -> bool:
        """Whether what happens to these messages has been posted: nothing more will be."""
        found = self.json("webhook", "attempts", self.endpoint)
        kinds = Counter(one["type"] for one in found if one["state"] == "delivered")
        return kinds == {"message.received": 3, "message.delivered": 2, "webhook.test": 1}

    def webhooks(self) -> None:
        url = f"http://127.0.0.1:{self.receiver.port}/hooks"
        made = self.json("webhook", "add", url, "--event", "message.*", "--description", "shop")
        self.endpoint = made["id"]
        self.assertTrue(made["secret"].startswith("whsec_"))
        self.assertNotIn("secret", self.json("webhook", "show", self.endpoint))
        self.assertIn(": 200 after", self.mta("webhook", "test", self.endpoint).out)
        (delivery,) = self.json("webhook", "attempts", self.endpoint, "--only", "delivered")
        self.assertEqual(("webhook.test", 1), (delivery["type"], delivery["attempts"]))
        self.mta("webhook", "redeliver", self.endpoint, delivery["id"])
        wait_for(lambda: self.receiver.count >= 2, "it is not posted once more")
        wait_for(
            lambda: len(self.json("webhook", "attempts", self.endpoint, delivery["id"])["log"]) == 2,
            "the second attempt is not told",
        )
        self.assertIn("200", self.mta("webhook", "attempts", self.endpoint, delivery["id"]).out)
        again = self.json("webhook", "redeliver", self.endpoint, "--since", "1h", "--delivered")
        self.assertEqual({"count": 1}, again)
        other = self.json("webhook", "rotate", self.endpoint, "--overlap", "1h")
        self.assertEqual((True, 2), (other["secret"] != made["secret"], other["secrets"]))
        changed = self.json("webhook", "change", self.endpoint, "--format", "postmark", "--tag", "t")
        self.assertEqual(
            ("postmark", ["t"], "shop"), (changed["format"], changed["tags"], changed["description"])
        )
        self.json("webhook", "change", self.endpoint, "--format", "standard", "--all-tags")
        second = self.json("webhook", "add", url)["id"]
        self.assertIn("disabled", self.mta("webhook", "change", second, "--disable").out)
        self.mta("webhook", "remove", second)
        self.assertEqual([self.endpoint], [one["id"] for one in self.json("webhook", "list")])
        wait_for(lambda: "webhook change by" in self.mta("trace", "default").out, "it is not told who did it")

    def messages(self) -> str:
        body = {
            "from": "a@example.org",
            "to": ["anna@example.org"],
            "subject": "Hi",
            "text": "x",
            "tags": ["t"],
        }
        sent = self.json("api", "POST", "/v1/messages", "--data", json.dumps(body))
        later = {**body, "send_at": "2090-01-01T00:00:00Z"}
        refused = self.mta(
            "api", "POST", "v1/messages", "--data", "@-", stdin=json.dumps(later), status=os.EX_DATAERR
        )
        self.assertIn("send_at", refused.err)
        self.server.wait_mail("anna@example.org")
        wait_for(
            lambda: self.json("message", "list", "--only", "delivered", "--subject", "hi"),
            "not delivered",
        )
        shown = self.mta("message", "show", sent["id"]).out
        self.assertIn("delivered", shown)
        self.assertIn("Subject: Hi", self.mta("message", "content", sent["id"]).out)
        soon = {**body, "send_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
        waits = self.json("api", "POST", "/v1/messages", "--data", json.dumps(soon))["id"]
        self.mta("message", "reschedule", waits, "--at", "2h")
        self.mta("message", "hold", waits, "--reason", "wait")
        self.mta("message", "release", waits)
        self.mta("message", "cancel", waits)
        self.assertIn("has left the queue", self.mta("message", "cancel", waits, status=os.EX_USAGE).err)
        return str(sent["id"])

    def batches(self) -> str:
        people = [{"email": "ben@example.org", "data": {"n": 1}}, {"email": "ben@example.org"}]
        body = {"from": "a@example.org", "subject": "{{ n }}", "text": "x", "recipients": people}
        taken = self.json("api", "POST", "/v1/batches", "--data", json.dumps(body))
        self.server.wait_mail("ben@example.org")
        self.assertIn(taken["id"], self.mta("batch", "list").out)
        self.assertIn("there is no variable 'n'", self.mta("batch", "show", taken["id"]).out)
        wait_for(
            lambda: self.json("batch", "show", taken["id"])["states"] == {"delivered": 1},
            "not delivered",
        )
        self.assertEqual(2, len(self.json("batch", "recipients", taken["id"])))
        return str(taken["id"])

    def domains(self) -> None:
        made = self.json("domain", "add", "News.example", "--tracking", "links.news.example")
        self.assertEqual(("news.example", False), (made["domain"], made["sending"]))
        zone = self.mta("domain", "show", "news.example", "--zone").out
        self.assertIn('_mta.news.example. IN TXT "mta-domain-verification=', zone)
        self.assertIn("links.news.example. IN CNAME", zone)
        not_yet = self.mta("domain", "verify", "news.example", status=os.EX_TEMPFAIL)
        self.assertIn("may not send from news.example yet", not_yet.out)
        self.assertIn("may send from example.org", self.mta("domain", "show", "example.org").out)
        self.mta("domain", "add", "old.example")
        self.mta("domain", "remove", "old.example")
        self.assertNotIn("old.example", self.mta("domain", "list").out)

    def mistakes(self) -> None:
        for words, status, arguments in (
            ("did you mean attempts?", os.EX_USAGE, ("webhook", "atempts", "x")),
            ("did you mean --tenant?", os.EX_USAGE, ("domain", "list", "--tennant", "x")),
            ("no URL that begins with https://", os.EX_DATAERR, ("webhook", "add", "ftp://x")),
            ("there is no tenant", os.EX_USAGE, ("message", "list", "--tenant", "nobody")),
            ("there is nothing to change", os.EX_USAGE, ("webhook", "change", self.endpoint)),
            ("name a delivery, or a time", os.EX_USAGE, ("webhook", "redeliver", self.endpoint)),
            ("is no JSON", os.EX_DATAERR, ("api", "POST", "/v1/messages", "--data", "{")),
            ("GET has no body", os.EX_USAGE, ("api", "GET", "/v1/messages", "--data", "{}")),
            ("is no domain", os.EX_DATAERR, ("domain", "add", "localhost")),
        ):
            err = self.mta(*arguments, status=status).err
            self.assertEqual(1, err.count(words), err)
