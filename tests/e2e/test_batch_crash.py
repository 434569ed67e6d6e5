"""A server that is killed in the midst of a batch: nobody's message twice, nobody's forgotten."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.scenario import Scenario, free_port, wait_for
from tests.e2e.server import Server

COUNT = 1500
#: Personalizations of a request as SendGrid takes it.
PERSONS = 600


class BatchCrashTests(Scenario):
    """One server, killed as by the kernel, and started again."""

    def accepted(self, server: Server) -> int:
        """Messages of which the journal says that they were accepted."""
        path = server.state / "spool" / "0" / "queue.db"
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
                (count,) = base.execute("SELECT count(*) FROM events WHERE kind = 'received'").fetchone()
                return int(count)
        except sqlite3.Error:
            return 0

    def arrived(self, server: Server) -> Counter[str]:
        """How many messages each mailbox has."""
        mail: Path = server.state / "mail" / "example.org"
        return Counter(path.parts[-3] for path in mail.glob("*/new/*"))

    def started(self, count: int) -> tuple[list[str], str, Server]:
        """A server with so many accounts: their addresses, where its API is, and itself."""
        users = {f"u{number}@example.org": "x" for number in range(count)}
        server: Server = self.part(Server(self.place / "mta", users))
        port = free_port()
        server.config["listen"]["http"] = [f"tcp:{port}:interface=127.0.0.1"]
        server.write()
        server.start()
        return list(users), f"http://127.0.0.1:{port}", server

    def killed(self, server: Server, count: int, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Kill it amid a request for so many messages, and send the request again; what is answered."""
        broken: list[Any] = []

        def sent() -> None:
            try:
                broken.append(send().status_code)
            except httpx.TransportError as error:
                broken.append(error)

        already = self.accepted(server)
        sending = threading.Thread(target=sent)
        sending.start()
        wait_for(lambda: self.accepted(server) > already, "no message was accepted")
        server.kill()
        sending.join()
        # What this is about: the process died in between, and the client knows nothing.
        self.assertIsInstance(broken[0], httpx.TransportError)
        self.assertLess(self.accepted(server) - already, count)
        server.start()
        return send()

    def test_killed_in_the_midst(self) -> None:
        people, where, server = self.started(COUNT)
        key = server.mta("key", "create", "--scope", "admin").split()[0]
        body = {
            "from": "shop@example.org",
            "subject": "{{ n }}",
            "text": "Order {{ n }}",
            "recipients": [{"email": address, "data": {"n": n}} for n, address in enumerate(people)],
        }
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "once"}
        again = self.killed(
            server, COUNT, lambda: httpx.post(f"{where}/v1/batches", json=body, headers=headers, timeout=120)
        )
        self.assertEqual(
            (202, COUNT, 0),
            (
                again.status_code,
                again.json().get("accepted"),
                again.json().get("waiting"),
            ),
        )
        wait_for(lambda: sum(self.arrived(server).values()) >= COUNT, "not all arrived", 120)
        self.assertEqual({1}, set(self.arrived(server).values()))
        self.assertEqual(COUNT, len(self.arrived(server)))
        self.assertEqual(COUNT, self.accepted(server))

    def test_as_sendgrid_takes_it(self) -> None:
        """Personalizations, whether the request has a key or is known by its octets."""
        people, where, server = self.started(PERSONS)
        key = server.mta("key", "create", "--scope", "messages:send").split()[0]
        body = {
            "personalizations": [
                {"to": [{"email": address}], "substitutions": {"-n-": str(n)}}
                for n, address in enumerate(people)
            ],
            "from": {"email": "shop@example.org"},
            "subject": "Order -n-",
            "content": [{"type": "text/plain", "value": "It is on its way."}],
        }
        headers = {"Authorization": f"Bearer {key}"}
        for round_, more in enumerate(({}, {"Idempotency-Key": "once"}), 1):
            send = partial(
                httpx.post, f"{where}/v3/mail/send", json=body, headers={**headers, **more}, timeout=120
            )
            again = self.killed(server, PERSONS, send)
            self.assertEqual((202, b""), (again.status_code, again.content))
            wanted = round_ * PERSONS
            wait_for(lambda: sum(self.arrived(server).values()) >= wanted, "not all arrived", 120)  # noqa: B023
            self.assertEqual({round_}, set(self.arrived(server).values()))
            self.assertEqual((PERSONS, wanted), (len(self.arrived(server)), self.accepted(server)))
        # Without a key the same content may be meant twice, once it has been answered; with one it may not.
        self.assertEqual(202, send().status_code)
        self.assertEqual(2 * PERSONS, self.accepted(server))
