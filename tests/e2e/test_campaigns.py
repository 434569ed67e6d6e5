"""Campaigns through a whole server: lists, templates, real mailboxes, and results that are the journal's."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from mta.journal.reader import JournalReader
from mta.model.event import Complained, Event, Received
from mta.model.event_campaign import CampaignChanged
from mta.model.event_engagement import Clicked
from mta.model.event_suppression import SuppressedTo
from tests.e2e.test_batches import BatchCase

CAMPAIGN: dict[str, Any] = {
    "audience": {"lists": ["news"]},
    "from": {"email": "shop@example.org", "name": "The Shop"},
    "variants": [
        {"subject": "Hi {{ name }}", "text": "Plan {{ attributes.plan }}\n%unsubscribe_url%\n"},
    ],
}
TWO: dict[str, Any] = {
    "variants": [
        {"name": "A", "subject": "A", "html": '<a href="https://example.org/a">a</a> %unsubscribe_url%'},
        {"name": "B", "subject": "B", "html": '<a href="https://example.org/b">b</a> %unsubscribe_url%'},
    ],
    "track": {"clicks": True, "opens": True},
}


class CampaignTests(BatchCase):
    """One server; its contacts have their mailboxes on it."""

    async def begun(self, count: int = 50, **settings: Any) -> None:
        settings.setdefault("api", {})["url"] = "https://links.example.org"
        await self.served(**settings)
        # As a server does when everything runs.
        self.api.server.api.campaigning.start()
        self.assertEqual(201, (await self.do("PUT", "/v1/lists/news", {"title": "News"})).status)
        for number in range(count):
            await self.join(number)

    async def join(self, number: int) -> None:
        body = {
            "address": f"u{number}@example.org",
            "name": f"U{number}",
            "attributes": {"plan": "pro"},
        }
        answer = await self.do("POST", "/v1/lists/news/members", body)
        self.assertIn(answer.status, (200, 201, 202), answer.json)

    async def do(self, method: str, path: str, body: Any = None) -> Any:
        return await self.api.ask(method, path, body, key=self.key)

    async def made(self, name: str = "spring", **more: Any) -> None:
        answer = await self.do("POST", "/v1/campaigns", {"name": name, **CAMPAIGN, **more})
        self.assertEqual(201, answer.status, answer.json)

    async def act(self, act: str, name: str = "spring", status: int = 200, **body: Any) -> Any:
        answer = await self.do("POST", f"/v1/campaigns/{name}/{act}", body)
        self.assertEqual(status, answer.status, answer.json)
        return answer.json

    async def until(self, what: Any, name: str = "spring", seconds: float = 60.0) -> Any:
        """Wait for something of a campaign."""
        for _ in range(int(seconds / 0.1)):
            found = await self.get(f"/v1/campaigns/{name}")
            if what(found):
                return found
            await deferLater(reactor, 0.1)
        raise AssertionError(found)

    async def done(self, name: str = "spring") -> Any:
        return await self.until(lambda one: one["state"] == "done", name)

    async def told(self, kind: type[Event]) -> list[Any]:
        """What the journal tells, the oldest first."""
        await self.api.journaled()
        reader = JournalReader(sorted((self.api.state / "spool").glob("*/queue.db")))
        found = reader.recent(kinds=[kind.kind], limit=10_000)
        return [one.event for one in reversed(found)]

    async def test_from_draft_to_result(self) -> None:
        """Checked, tried, sent once to everybody who may have it, and told as the journal has it."""
        await self.begun(40)
        await self.do("POST", "/v1/suppressions", {"addresses": ["u1@example.org"]})
        await self.made()
        report = (await self.do("POST", "/v1/campaigns/spring/check")).json
        self.assertEqual((True, 40, 1), (report["fit"], report["size"], report["suppressed"]), report)
        tried = await self.act("test", to=[{"email": "u599@example.org"}])
        self.assertIn("id", tried["messages"][0], tried)
        await self.act("start", reason="agreed")
        found = await self.done()
        progress = found["progress"]
        self.assertEqual((40, 39, 1, 0), tuple(map(progress.get, ("total", "sent", "suppressed", "waiting"))))
        await self.until(lambda one: all(len(self.mailbox(n)) == (n != 1) for n in range(40)))
        message = self.mailbox(7)[0]
        self.assertEqual("Hi U7", message["subject"])
        self.assertIn("Plan pro\nhttps://links.example.org/u/", message.get_content())
        self.assertIn("links.example.org/u/", message["list-unsubscribe"])
        taken = [one for one in await self.told(Received) if one.campaign == "spring"]
        self.assertEqual(39, len(taken))
        result = await self.until_result(lambda one: one["variants"][0]["counts"]["delivered"] == 39)
        self.assertEqual(39, result["variants"][0]["counts"]["recipients"])
        people = await self.get("/v1/campaigns/spring/recipients?state=suppressed")
        self.assertEqual(["u1@example.org"], [one["email"] for one in people["recipients"]])
        acts = [(one.action, one.by) for one in await self.until_told("finish")]
        self.assertEqual(["created", "tested", "start", "finish"], [one for one, _ in acts])
        self.assertTrue(acts[2][1].startswith("key "), acts)
        self.assertEqual(409, (await self.do("DELETE", "/v1/campaigns/spring")).status)

    async def until_told(self, action: str) -> list[Any]:
        """Wait until the journal tells that a campaign was acted on so; all that it tells of campaigns."""
        for _ in range(600):
            found = await self.told(CampaignChanged)
            if action in {one.action for one in found}:
                return found
            await deferLater(reactor, 0.1)
        raise AssertionError(found)

    async def until_result(self, what: Any, name: str = "spring") -> Any:
        for _ in range(600):
            found = await self.get(f"/v1/campaigns/{name}/result")
            if what(found):
                return found
            await deferLater(reactor, 0.1)
        raise AssertionError(found)

    async def test_pause_and_resume(self) -> None:
        """Paused at once, in the queue too; nobody gets it twice; who leaves meanwhile gets nothing."""
        await self.begun(60)
        await self.made(throttle={"count": 600, "per": "minute"})
        await self.act("start")
        # However late that is seen: what has been let go meanwhile is never the whole of it.
        await self.until(lambda one: one["progress"]["sent"] >= 3)
        paused = await self.act("pause", hold=True)
        self.assertEqual("paused", paused["state"])
        # What was under way is counted.
        runner = self.api.server.api.campaigning.runner
        while runner._busy:
            await deferLater(reactor, 0.02)
        sent = (await self.get("/v1/campaigns/spring"))["progress"]["sent"]
        await deferLater(reactor, 2.0)
        self.assertEqual(sent, (await self.get("/v1/campaigns/spring"))["progress"]["sent"])
        waiting = (await self.get("/v1/campaigns/spring/recipients?state=waiting"))["recipients"]
        gone = waiting[-1]["email"]
        left = await self.do("DELETE", f"/v1/lists/news/members/{gone}")
        self.assertIn(left.status, (200, 204))
        await self.act("resume")
        found = await self.done()
        # Whoever leaves a list is on the suppression list for it.
        progress = found["progress"]
        self.assertEqual((59, 1), (progress["sent"], progress["left"] + progress["suppressed"]))
        self.assertEqual(59, len(await self.told(Received)))
        self.assertEqual([gone], [one.recipient for one in await self.told(SuppressedTo)])

    async def test_holds_the_queue(self) -> None:
        """What waits in the queue is held with a pause, and released with a resumption."""
        await self.begun(0)
        for number in range(30):
            body = {"address": f"r{number}@elsewhere.example", "name": "R", "attributes": {"plan": "pro"}}
            await self.do("POST", "/v1/lists/news/members", body)
        await self.made(throttle={"count": 120, "per": "minute"})
        await self.act("start")
        await self.until(lambda one: one["progress"]["sent"] >= 3)
        await self.act("pause", hold=True)
        sent = (await self.get("/v1/campaigns/spring/recipients?state=sent"))["recipients"]

        async def states() -> set[str]:
            found = [await self.get(f"/v1/messages/{one['message'].partition('.')[0]}") for one in sent]
            return {person["state"] for one in found for person in one["recipients"]}

        async def until(wanted: bool) -> None:
            for _ in range(600):
                found = await states()
                if (found == {"held"}) if wanted else ("held" not in found):
                    return
                await deferLater(reactor, 0.1)
            raise AssertionError(found)

        await until(True)
        await self.act("resume")
        await until(False)
        await self.act("stop")

    async def test_pauses_by_itself(self) -> None:
        """People complain: it pauses, says why and what to do, and goes on when a person says so."""
        await self.begun(40)
        guard = {"complained": {"share": 0.1, "least": 3}}
        await self.made(throttle={"count": 100, "per": "minute"}, guard=guard)
        await self.act("start")
        await self.until(lambda one: one["progress"]["sent"] >= 4)
        sent = (await self.get("/v1/campaigns/spring/recipients?state=sent"))["recipients"]
        self.api.server.spool.note(
            Complained(
                at=reactor.seconds(),
                message=one["message"].partition(".")[0],
                recipient=one["email"],
            )
            for one in sent[:3]
        )
        found = await self.until(lambda one: one["state"] == "paused")
        self.assertEqual(("its guard", True), (found["by"], found["hold"]))
        self.assertIn("complained", found["reason"])
        self.assertEqual({"share": 0.1, "least": 3}, found["definition"]["guard"]["complained"])
        (event,) = [one for one in await self.until_told("halted") if one.action == "halted"]
        self.assertEqual((3, found["reason"]), (event.evidence["complained"], event.reason))
        found = await self.act("resume", reason="they were taken out")
        sent = found["progress"]["sent"]
        await self.until(lambda one: one["progress"]["sent"] > sent)

    async def test_stop_takes_back(self) -> None:
        """What is in the queue and was never attempted is taken out; the campaign is over for good."""
        await self.begun(20)
        await self.made()
        await self.act("start")
        await self.until(lambda one: one["progress"]["sent"] >= 1 or one["state"] == "done")
        await self.made("second", throttle={"count": 60, "per": "minute"})
        await self.act("start", "second")
        await self.until(lambda one: one["progress"]["sent"] >= 2, "second")
        await self.act("stop", "second", reason="wrong price")
        await self.act("resume", "second", 409)
        found = await self.get("/v1/campaigns/second")
        self.assertEqual(("stopped", "wrong price"), (found["state"], found["reason"]))
        await deferLater(reactor, 2.0)
        self.assertTrue((await self.get("/v1/campaigns/second"))["progress"]["sent"] < 20)

    async def test_not_fit(self) -> None:
        """What is missing is told with what to do, and nothing begins."""
        await self.begun(3)
        await self.made(audience={"lists": ["news"], "segments": ["gone"]})
        answer = await self.do("POST", "/v1/campaigns/spring/start", {})
        self.assertEqual(409, answer.status)
        self.assertIn("there is no segment gone", answer.json["detail"])
        await self.made("two", **{"from": "shop@elsewhere.example"})
        self.assertIn("elsewhere.example is no domain", (await self.act("start", "two", 409))["detail"])
        await self.made("three", variants=[{"subject": "x", "text": "{{ attributes.colour }}"}])
        report = await self.act("check", "three")
        self.assertFalse(report["fit"])
        self.assertIn("data", [one["code"] for one in report["findings"]])
        await self.made("four", variants=[{"template": "none"}])
        self.assertIn("none", (await self.act("start", "four", 409))["detail"])
        self.assertEqual("draft", (await self.get("/v1/campaigns/four"))["state"])
        self.assertEqual(204, (await self.do("DELETE", "/v1/campaigns/four")).status)

    async def test_variants(self) -> None:
        """Each person gets one, clicks are counted for theirs, and the result tells how sure it is."""
        await self.begun(60)
        await self.made(**TWO)
        await self.act("start")
        await self.done()
        await self.until(lambda one: all(len(self.mailbox(number)) == 1 for number in range(60)))
        got = {"A": 0, "B": 0}
        clicks = []
        for one in (await self.get("/v1/campaigns/spring/recipients"))["recipients"]:
            (message,) = self.mailbox(int(one["email"].partition("@")[0][1:]))
            self.assertEqual(one["variant"], message["subject"])
            self.assertIn("links.example.org/c/", message.get_body(("html",)).get_content())
            got[one["variant"]] += 1
            if one["variant"] == "B":
                # A link that is followed within seconds of the delivery is no person's.
                who = {"recipient": one["email"], "tenant": "default", "sort": "human"}
                clicks.append(Clicked(at=reactor.seconds(), message=one["message"].partition(".")[0], **who))
        self.api.server.spool.note(clicks)
        clicked = len(clicks)
        self.assertTrue(min(got.values()) > 10, got)
        result = await self.until_result(lambda one: one["variants"][1]["counts"]["clicked"] == clicked)
        self.assertEqual(got, {one["name"]: one["counts"]["recipients"] for one in result["variants"]})
        self.assertEqual("B", result["leader"])
        self.assertFalse(result["clear"])
        self.assertIn("Too few have had", result["words"])
        self.assertGreater(result["difference"]["low"], 0.5)

    async def test_winner(self) -> None:
        """The rest waits for the test; a person chooses where it shows nothing."""
        await self.begun(40)
        await self.made(**TWO, test={"share": 0.5, "wait": 60, "otherwise": "wait", "least": 5})
        await self.act("start")
        found = await self.until(lambda one: one["progress"]["waits"].startswith("the test has been sent"))
        tested = found["progress"]["sent"]
        self.assertTrue(5 < tested < 35, tested)
        await self.act("decide", variant="C", status=422)
        await self.act("decide", variant="B", reason="we like it")
        found = await self.done()
        self.assertEqual(("B", 40), (found["chosen"], found["progress"]["sent"]))
        self.assertIn("has chosen: the rest gets B", found["decision"])
