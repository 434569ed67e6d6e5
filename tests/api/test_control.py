"""The control socket, over a real UNIX socket, with a queue that only remembers."""

from __future__ import annotations

import getpass
import json
import shutil
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import httpx
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from mta.api.control import ControlApi
from mta.config.problem import ConfigurationError, Problem
from mta.daily_report.ledger import Task
from mta.interfaces import IQueue, TemporarilyUnavailable
from mta.journal.reader import JournalReader
from mta.model.event_report import DmarcReportReceived
from mta.model.supposition import Supposition
from mta.queue.reader import QueueReader
from tests.journal.shard import NOON, Shard, ids, queued
from tests.journal.test_text import DEFERRED, ID, REFUSED, received


@implementer(IQueue)
class RememberingQueue:
    """Remembers what was asked, and answers with a number."""

    def __init__(self) -> None:
        self.asked: list[Supposition] = []
        self.trouble: Exception | None = None

    def _ask(self, *what: Any) -> Deferred[int]:
        self.asked.append(what)
        if self.trouble is not None:
            raise self.trouble
        return succeed(len(what[1]) if len(what) > 2 else 5)

    def hold(self, ids: Sequence[str], by: str, reason: str = "") -> Deferred[int]:
        return self._ask("hold", ids, by, reason)

    def release(self, ids: Sequence[str], by: str, reason: str = "") -> Deferred[int]:
        return self._ask("release", ids, by, reason)

    def retry(self, ids: Sequence[str], by: str, reason: str = "") -> Deferred[int]:
        return self._ask("retry", ids, by, reason)

    def reschedule(self, ids: Sequence[str], by: str, at: float, reason: str = "") -> Deferred[int]:
        if at <= NOON:
            raise ValueError("this time has passed")
        return self._ask("reschedule", ids, by, at, reason)

    def sites(self, ways: Collection[tuple[str, str]]) -> Deferred[dict[tuple[str, str], Sequence[str]]]:
        """All domains have the same hosts; a host has none."""
        return succeed({way: () if ":" in way[1] else ("mx1.big.test", "mx2.big.test") for way in ways})

    def move(
        self, ids: Sequence[str], by: str, transport: str, next_hop: str, reason: str = ""
    ) -> Deferred[int]:
        if transport == "pigeon":
            raise ValueError("there is no transport 'pigeon'")
        return self._ask("move", ids, by, transport, next_hop, reason)

    def suspend(self, pattern: str, by: str, reason: str = "", until: float = 0.0) -> Deferred[int]:
        self.asked.append(("suspend", pattern, by, reason, until))
        return succeed(1)

    def resume(self, pattern: str, by: str, reason: str = "") -> Deferred[int]:
        self.asked.append(("resume", pattern, by, reason))
        return succeed(int(pattern != "nothing"))

    def bounce(self, ids: Sequence[str], by: str, reason: str) -> Deferred[int]:
        return self._ask("bounce", ids, by, reason)

    def flush(self, by: str) -> Deferred[int]:
        return self._ask("flush", by)

    def remove(self, ids: Sequence[str], by: str, reason: str = "", notify: bool = False) -> Deferred[int]:
        return self._ask("remove", ids, by, reason, notify)

    def status(self) -> dict[str, Any]:
        return {"window": 1}


#: As the manager tells of a busy site.
DESTINATION = {
    "transport": "relay",
    "next_hop": "example.net",
    "site": "mx1.example.net, mx2.example.net",
    "waiting": 12,
    "in_flight": 1,
    "in_flight_limit": 1,
    "rests_until": 4e9,
    "last_trouble": "451 4.4.1 No answer",
}


class RememberingBans:
    """Bans whatever begins with a digit."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    async def add(self, network: str, by: str, reason: str, seconds: float) -> str:
        if not network[0].isdigit():
            raise ValueError(f"{network!r} is no network")
        self.asked.append((network, reason, seconds))
        return network

    async def lift(self, network: str, by: str, reason: str) -> list[str]:
        if not network[0].isdigit():
            raise ValueError(f"{network!r} is no network")
        return [network] if any(network == one for one, *_ in self.asked) else []


class RememberingGuard:
    """Suspends one account."""

    def __init__(self) -> None:
        self.suspended: set[str] = set()

    async def suspend(self, account: str, by: str, reason: str) -> bool:
        fresh = account not in self.suspended
        self.suspended.add(account)
        return fresh

    async def resume(self, account: str, by: str, reason: str) -> bool:
        was = account in self.suspended
        self.suspended.discard(account)
        return was


class ControlServer:
    """A control API on a UNIX socket.

    :param state: the state directory; the socket is where the commands look for it.
    :param shard: already made.
    """

    def __init__(self, state: Path, shard: Shard, number: int = 0) -> None:
        self.queue = RememberingQueue()
        self.reader = QueueReader(shard.path.parent)
        self.tested: list[tuple[Any, ...]] = []
        self.reload_trouble: Exception | None = None
        self.socket = state / "run" / f"control-{number}.sock"
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        self.api = ControlApi(
            self.queue,
            self.reader,
            JournalReader([shard.path]),
            reload=self.reload,
            status=lambda: {"pid": 7, "sessions": {"mx": 2}, "queue": {"destinations": [DESTINATION]}},
            test=self.test,
            protection=self,
        )
        self.bans = RememberingBans()
        self.guard = RememberingGuard()
        self.port: Any = None

    async def reload(self) -> dict[str, Any]:
        if self.reload_trouble is not None:
            raise self.reload_trouble
        return {"reloaded": True, "notes": ["listen needs a restart"]}

    async def test(self, supposed: Supposition) -> dict[str, Any]:
        self.tested.append(supposed)
        accepted = not supposed.address.startswith("no")
        reply = "250 2.1.5 ok" if accepted else "550 5.1.1 no such mailbox"
        return {"address": supposed.address, "accepted": accepted, "reply": reply, "steps": ["One step."]}

    async def start(self) -> None:
        site = self.api.site()
        # One connection each: none is left behind at the end of a test.
        site.timeOut = None
        self.port = await UNIXServerEndpoint(reactor, str(self.socket)).listen(site)

    async def stop(self) -> None:
        await self.port.stopListening()
        self.reader.close()


class ServedCase(TestCase):
    """A state directory with one shard, and a server for it."""

    async def setUp(self) -> None:
        # Short: a UNIX socket's path has at most 107 octets.
        self.state = Path(tempfile.mkdtemp(prefix="mta"))
        self.addCleanup(shutil.rmtree, self.state)
        self.shard = Shard(self.state / "spool" / "0")
        self.addCleanup(self.shard.close)
        self.server = ControlServer(self.state, self.shard)
        await self.server.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.server.stop()))


class ControlTests(ServedCase):
    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        def ask() -> httpx.Response:
            transport = httpx.HTTPTransport(uds=str(self.server.socket))
            with httpx.Client(transport=transport, timeout=60) as client:
                if isinstance(body, bytes):
                    return client.request(method, f"http://mta{path}", content=body)
                return client.request(method, f"http://mta{path}", json=body)

        answer = await deferToThread(ask)
        self.assertEqual(status, answer.status_code, answer.text)
        kind = "application/json" if status == 200 else "application/problem+json"
        self.assertEqual(kind, answer.headers["content-type"])
        value = answer.json()
        if status != 200:
            self.assertEqual(status, value["status"])
        return value

    async def test_status(self) -> None:
        self.shard.admit(queued(ids(1)[0]))
        value = await self.ask("GET", "/v1/status")
        self.assertEqual((7, 1), (value["pid"], value["count"]["messages"]))

    async def test_pages(self) -> None:
        """Pages follow each other by `next`, and filters hold."""
        names = ids(5)
        for name in names:
            self.shard.admit(queued(name, recipient=f"{name[-1]}@example.net"))
        first = await self.ask("GET", "/v1/queue?limit=3")
        second = await self.ask("GET", f"/v1/queue?limit=3&after={first['next']}")
        self.assertEqual(names, [item["id"] for item in (*first["messages"], *second["messages"])])
        self.assertIsNone(second["next"])
        self.assertEqual(5, second["count"]["messages"])
        found = await self.ask("GET", f"/v1/queue?recipient={names[2][-1]}@example.net")
        self.assertEqual([names[2]], [item["id"] for item in found["messages"]])
        self.assertEqual([], (await self.ask("GET", "/v1/queue?state=held"))["messages"])

    async def test_quarantine(self) -> None:
        """What is held, its content, and its end; what is not held is not touched."""
        names = ids(3)
        for name, state in zip(names, ("held", "queued", "held"), strict=True):
            self.shard.admit(queued(name, state=state))
        first = await self.ask("GET", "/v1/quarantine?limit=1")
        self.assertEqual([names[0]], [item["id"] for item in first["messages"]])
        rest = await self.ask("GET", f"/v1/quarantine?after={first['next']}")
        self.assertEqual([names[2]], [item["id"] for item in rest["messages"]])
        self.assertIn("reason", rest["messages"][0])
        self.assertIn("content", await self.ask("GET", f"/v1/quarantine/{names[2]}"))
        problem = await self.ask("GET", f"/v1/quarantine/{names[1]}", status=404)
        self.assertIn("mta trace", problem["detail"])
        await self.ask("POST", "/v1/quarantine/release", {"ids": names[:1], "by": "ann"})
        await self.ask("POST", "/v1/quarantine/remove", {"ids": names, "by": "ann", "notify": True})
        nothing = await self.ask("POST", "/v1/quarantine/remove", {"ids": names[1:2], "by": "ann"})
        self.assertEqual(0, nothing["count"])
        acts = [(action, which) for action, which, *_ in self.server.queue.asked]
        self.assertEqual([("release", names[:1]), ("remove", [names[0], names[2]])], acts)

    async def test_choices(self) -> None:
        """Filters of every kind, over more than one page of the shard, and a summary."""
        names = ids(450)
        for number, name in enumerate(names):
            reply = "451 4.7.1 slow" if number == 449 else ""
            self.shard.admit(queued(name, recipient=f"r@d{number % 2}.test", last_reply=reply))
        found = await self.ask("GET", "/v1/queue?last_reply=SLOW&destination=relay:*.test&limit=1")
        self.assertEqual([names[449]], [item["id"] for item in found["messages"]])
        self.assertEqual(names[449], found["next"])
        answer = await self.ask("GET", "/v1/queue/summary?by=destination&limit=1")
        self.assertEqual(2, answer["all"])
        (group,) = answer["groups"]
        self.assertEqual(("relay:d0.test", 225), (group["key"], group["messages"]))
        answer = await self.ask("GET", "/v1/queue/summary?last_reply=(", status=400)
        self.assertIn("regular expression", answer["detail"])
        await self.ask("GET", "/v1/queue/summary?by=weather", status=400)

    async def test_one(self) -> None:
        self.shard.admit(queued(ID, last_reply="451 later"))
        value = await self.ask("GET", f"/v1/queue/{ID.upper()}")
        self.assertEqual("451 later", value["addressees"][0]["last_reply"])
        missing = ids(2)[1]
        self.assertIn("mta trace", (await self.ask("GET", f"/v1/queue/{missing}", status=404))["detail"])
        self.assertIn("13 characters", (await self.ask("GET", "/v1/queue/xyz", status=400))["detail"])

    async def test_acts(self) -> None:
        """Each act reaches the queue, with who did it as the kernel knows."""
        name, user = ids(1)[0], getpass.getuser()
        self.assertEqual(
            {"count": 1}, await self.ask("POST", "/v1/queue/hold", {"ids": [name], "reason": "odd"})
        )
        await self.ask("POST", "/v1/queue/release", {"ids": [name], "by": user})
        await self.ask("POST", "/v1/queue/retry", {"ids": [name], "by": "ann"})
        await self.ask("POST", "/v1/queue/remove", {"ids": [name], "reason": "spam", "notify": True})
        self.assertEqual({"count": 5}, await self.ask("POST", "/v1/queue/flush"))
        self.assertEqual(
            [
                ("hold", [name], user, "odd"),
                ("release", [name], user, ""),
                ("retry", [name], f"ann ({user})", ""),
                ("remove", [name], user, "spam", True),
                ("flush", user),
            ],
            self.server.queue.asked,
        )

    async def test_reschedule(self) -> None:
        user = getpass.getuser()
        value = await self.ask(
            "POST", "/v1/queue/reschedule", {"ids": [ID], "at": NOON + 60, "reason": "later"}
        )
        self.assertEqual({"count": 1}, value)
        self.assertEqual([("reschedule", [ID], user, NOON + 60, "later")], self.server.queue.asked)
        value = await self.ask("POST", "/v1/queue/reschedule", {"ids": [ID], "at": NOON - 1}, status=400)
        self.assertIn("has passed", value["detail"])
        for at in (None, 0, -1, 1e18, "soon"):
            await self.ask("POST", "/v1/queue/reschedule", {"ids": [ID], "at": at}, status=400)

    async def test_sites(self) -> None:
        """Chosen and summed up by the hosts, whatever the domains."""
        names = ids(3)
        for name, hop in zip(names, ("a.test", "b.test", "mx.far.test:25"), strict=True):
            message = queued(name)
            message.addressees[0].next_hop = hop
            self.shard.admit(message)
        found = (await self.ask("GET", "/v1/queue/sites"))["sites"]
        self.assertEqual(["a.test", "b.test", "mx.far.test:25"], [one["next_hop"] for one in found])
        for site, expected in (
            ("mx2.big.test", names[:2]),
            ("MX*.Big.Test.", names[:2]),
            ("mx.far.test:25", names[2:]),
            ("*", names),
            ("a.test", []),
        ):
            page = await self.ask("GET", f"/v1/queue?site={site}")
            self.assertEqual(expected, [one["id"] for one in page["messages"]], site)
        groups = (await self.ask("GET", "/v1/queue/summary?by=site"))["groups"]
        self.assertEqual(
            [("mx1.big.test mx2.big.test", 2), ("relay:mx.far.test:25", 1)],
            [(one["key"], one["messages"]) for one in groups],
        )

    async def test_bad_bodies(self) -> None:
        """What is wrong is named, and the queue is not asked."""
        cases: tuple[tuple[Any, str], ...] = (
            ({"ids": []}, "ids"),
            ({"ids": ["nonsense"]}, "13 characters"),
            ({"ids": [ID], "reson": "x"}, "reson"),
            (b"{not json", "JSON"),
            ([1], "object"),
            (None, "ids"),
        )
        for body, words in cases:
            value = await self.ask("POST", "/v1/queue/hold", body, status=400)
            self.assertIn(words, json.dumps(value))
        await self.ask("GET", "/v1/queue?limit=0", status=400)
        await self.ask("GET", "/v1/queue?state=lost", status=400)
        self.assertEqual([], self.server.queue.asked)

    async def test_elsewhere(self) -> None:
        await self.ask("GET", "/v2/queue", status=404)
        await self.ask("POST", "/v1/status", status=405)

    async def test_our_trouble(self) -> None:
        """What fails is told without a traceback, and logged with one."""
        self.server.queue.trouble = TemporarilyUnavailable("the disk is away")
        value = await self.ask("POST", "/v1/queue/flush", status=503)
        self.assertEqual("the disk is away", value["detail"])
        self.server.queue.trouble = ZeroDivisionError("secret detail")
        value = await self.ask("POST", "/v1/queue/flush", status=500)
        self.assertNotIn("secret detail", json.dumps(value))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    async def test_reload(self) -> None:
        self.assertTrue((await self.ask("POST", "/v1/reload"))["reloaded"])
        problem = Problem("mta.toml", 3, "queue.retyr", "unknown key", "did you mean 'retry'?")
        self.server.reload_trouble = ConfigurationError([problem])
        value = await self.ask("POST", "/v1/reload", status=422)
        self.assertEqual([problem.to_json()], value["problems"])

    async def test_bans(self) -> None:
        body = {"network": "192.0.2.1", "reason": "scanner"}
        self.assertEqual({"network": "192.0.2.1"}, await self.ask("POST", "/v1/ban", body))
        self.assertEqual([("192.0.2.1", "scanner", 0.0)], self.server.bans.asked)
        self.assertEqual({"lifted": ["192.0.2.1"]}, await self.ask("POST", "/v1/ban/lift", body))
        self.assertEqual({"lifted": []}, await self.ask("POST", "/v1/ban/lift", {"network": "192.0.2.2"}))
        for path in ("/v1/ban", "/v1/ban/lift"):
            value = await self.ask("POST", path, {"network": "x"}, 400)
            self.assertIn("no network", value["detail"])

    async def test_accounts(self) -> None:
        body = {"account": "ann@example.org"}
        for path, count in (("suspend", 1), ("suspend", 0), ("resume", 1), ("resume", 0)):
            self.assertEqual({"count": count}, await self.ask("POST", f"/v1/account/{path}", body))
        await self.ask("POST", "/v1/account/suspend", {"account": ""}, 400)

    async def test_daily_reports(self) -> None:
        """The first worker sends them; what is wrong with the day is said."""
        body = {"day": "2026-01-15", "domain": "far.test"}
        value = await self.ask("POST", "/v1/tls-reports/send", body, status=404)
        self.assertIn("control-0.sock", value["detail"])
        asked: list[tuple[str, str]] = []

        class Reporter:
            async def send(self, day: str, domain: str, by: str) -> list[Task]:
                self.by = by
                asked.append((day, domain))
                if day == "2026-13-01":
                    raise ValueError("there is no such day")
                return [Task(day, domain, "mailto:r@far.test", "sent", 1.0, 2.0)]

        reporter = Reporter()
        self.server.api._reporters = {"tls_report": reporter, "dmarc_report": Reporter()}
        value = await self.ask("POST", "/v1/tls-reports/send", body)
        self.assertEqual(
            ("mailto:r@far.test", "sent"), (value["reports"][0]["target"], value["reports"][0]["state"])
        )
        value = await self.ask("POST", "/v1/tls-reports/send", {"day": "2026-13-01"}, status=400)
        self.assertEqual("there is no such day", value["detail"])
        await self.ask("POST", "/v1/tls-reports/send", {"day": "soon"}, status=400)
        self.assertEqual([("2026-01-15", "far.test"), ("2026-13-01", "")], asked)
        self.assertEqual(getpass.getuser(), reporter.by)
        value = await self.ask("POST", "/v1/dmarc-reports/send", body)
        self.assertEqual("far.test", value["reports"][0]["domain"])

    async def test_dmarc_summary(self) -> None:
        """What others reported of mail in our name, added up."""
        rows = [{"source": "192.0.2.9", "author": "example.org", "count": 3, "disposition": "reject"}]
        facts = {"organization": "big.example", "report": "1", "domain": "example.org", "rows": rows}
        self.shard.write([DmarcReportReceived(at=NOON, **facts)])
        value = await self.ask("GET", "/v1/dmarc-reports/summary?domain=example.org&failed=true")
        [one] = value["sources"]
        self.assertEqual(("192.0.2.9", 3, {"reject": 3}), (one["source"], one["failed"], one["dispositions"]))
        self.assertEqual(0, (await self.ask("GET", "/v1/dmarc-reports/summary?domain=x.test"))["all"])
        await self.ask("GET", "/v1/dmarc-reports/summary?limit=0", status=400)

    async def test_rehearsal(self) -> None:
        body = {"address": "bob@example.net", "client_ip": "192.0.2.1"}
        self.assertTrue((await self.ask("POST", "/v1/test", body))["accepted"])
        self.assertEqual([Supposition("bob@example.net", client_ip="192.0.2.1")], self.server.tested)

    async def test_trace(self) -> None:
        self.shard.write([received(), DEFERRED, REFUSED])
        value = await self.ask("GET", f"/v1/trace?word={ID}")
        self.assertEqual("queued", value["state"])
        found = await self.ask("GET", "/v1/trace?word=no@example.org&rejected=true")
        self.assertEqual(["rejected"], [event["kind"] for event in found["events"]])
        newest = await self.ask("GET", f"/v1/trace?since={NOON}&limit=1")
        self.assertEqual(1, len(newest["events"]))
        await self.ask("GET", "/v1/trace?since=yesterday", status=400)
