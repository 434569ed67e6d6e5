"""Numbers of a whole server: by the API, in files, for tenants apart, and for the operator."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from twisted.trial.unittest import TestCase

from tests.e2e.api import ServedApi


class StatisticsTests(TestCase):
    async def served(self) -> None:
        self.api = await ServedApi(self).started()
        for name in ("shop", "club"):
            await self.api.tenant(name, f"{name}.example")
        self.keys = {
            name: await self.api.key(name, ["messages:send", "statistics"]) for name in ("shop", "club")
        }
        self.keys["operator"] = await self.api.key("default")

    async def send(self, tenant: str, **more: Any) -> None:
        content = {} if "template" in more else {"subject": "x", "text": "x"}
        message = {"from": f"me@{tenant}.example", "to": ["postmaster@example.org"], **content, **more}
        answer = await self.api.ask("POST", "/v1/messages", message, key=self.keys[tenant])
        self.assertEqual(202, answer.status, answer)

    async def ask(self, path: str, who: str = "shop", status: int = 200, **headers: str) -> Any:
        answer = await self.api.ask("GET", f"/v1/statistics{path}", key=self.keys[who], headers=headers)
        self.assertEqual(status, answer.status, answer)
        return answer

    async def test_numbers(self) -> None:
        """Over time and by tag; each sees its own, and the operator all."""
        await self.served()
        await self.api.ask(
            "PUT", "/v1/templates/hello", {"subject": "x", "text": "x"}, key=await self.api.key("shop")
        )
        await self.send(
            "shop", tags=["news", "=1+1"], campaign="spring", template="hello", metadata={"variant": "b"}
        )
        await self.send("shop", tags=["news"])
        await self.send("club", tags=["party"])
        for path, who, count in (
            ("", "shop", 2),
            ("", "club", 1),
            ("?tenant=shop", "shop", 2),
            ("?tenant=*", "operator", 3),
            ("?tenant=club", "operator", 1),
            ("?by=tag&value=news", "shop", 2),
            ("?by=tag&value=news", "club", 0),
            ("?by=tag&value=news&tenant=*", "operator", 2),
        ):
            found = (await self.ask(path, who)).json
            self.assertEqual(count, found["total"]["counts"]["accepted"], (path, who))
            self.assertEqual(count, sum(one["counts"]["accepted"] for one in found["points"]), (path, who))
        found = (await self.ask("/breakdown?by=tag&compare=true")).json
        self.assertEqual({"news": 2, "=1+1": 1}, self.accepted(found["values"]))
        self.assertEqual(0, found["values"][0]["before"]["counts"]["accepted"])
        found = (await self.ask("/breakdown?by=tenant&tenant=*", "operator")).json
        self.assertEqual({"shop": 2, "club": 1}, self.accepted(found["values"]))
        found = (await self.ask("/campaign?campaign=spring")).json
        self.assertEqual(1, found["counts"]["accepted"])
        self.assertEqual(
            [("b", 1)], [(one["variant"], one["counts"]["accepted"]) for one in found["variants"]]
        )
        found = (await self.ask("/breakdown?by=template")).json
        self.assertEqual({"hello": 1}, self.accepted(found["values"]))
        await self.ask("/campaign?campaign=spring", "club", 404)
        for path in ("?tenant=club", "?tenant=*"):
            refused = await self.ask(path, status=403)
            self.assertIn("only the operator", refused.json["detail"])

    @staticmethod
    def accepted(values: list[dict[str, Any]]) -> dict[str, int]:
        return {one["value"]: one["counts"]["accepted"] for one in values}

    async def test_files(self) -> None:
        """CSV and NDJSON, by name or by Accept; nothing in a cell is a formula."""
        await self.served()
        await self.send("shop", tags=["=1+1"])
        for how in (
            {"path": "/breakdown?by=tag&format=csv"},
            {"path": "/breakdown?by=tag", "accept": "text/csv"},
        ):
            answer = await self.ask(**how)
            self.assertIn(b"text/csv", answer.octets)
            (row,) = csv.DictReader(io.StringIO(answer.content.decode()))
            self.assertEqual(("'=1+1", "1"), (row["value"], row["accepted"]))
        answer = await self.ask("?step=hour", accept="application/x-ndjson, application/json;q=0.5")
        lines = [json.loads(line) for line in answer.content.splitlines()]
        self.assertEqual(1, sum(line["counts"]["accepted"] for line in lines))

    async def test_pages(self) -> None:
        """Values in pages, in an order of choice."""
        await self.served()
        for number in range(5):
            await self.send("shop", tags=[f"t{n}" for n in range(number + 1)])
        path, seen = "/breakdown?by=tag&limit=2&sort=accepted", []
        where = path
        for _ in range(3):
            found = (await self.ask(where)).json
            self.assertEqual(5, found["total"])
            seen += [one["value"] for one in found["values"]]
            where = f"{path}&cursor={found['next']}"
        self.assertEqual(["t0", "t1", "t2", "t3", "t4"], seen)
        self.assertIsNone(found["next"])

    async def test_mistakes(self) -> None:
        """What cannot be asked is told."""
        await self.served()
        for path, words in (
            ("?since=2027-01-02T00:00:00Z&until=2027-01-01T00:00:00Z", "not before"),
            ("?since=2020-01-01T00:00:00Z&until=2027-01-01T00:00:00Z&step=hour", "steps"),
            ("?step=minute&by=tag&value=x", "by minute"),
            ("/breakdown", "by"),
            ("/breakdown?by=tag&sort=nonsense", "no measure or rate"),
            ("/breakdown?by=tag&cursor=nonsense", "cursor"),
            ("/breakdown?by=nonsense", "by"),
        ):
            answer = await self.ask(path, status=422)
            self.assertIn(words, json.dumps(answer.json), path)
