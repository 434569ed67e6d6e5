"""Files of contacts in a whole server."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.e2e.test_contacts import FORM, ContactCase

IMPORT = "/v1/contacts/import"


class ImportTests(ContactCase):
    async def take(self, content: str | bytes, query: str = "", media: str = "text/csv") -> Any:
        """Import a file, and wait until it is read."""
        octets = content if isinstance(content, bytes) else content.encode()
        begun = await self.ask("POST", f"{IMPORT}?{query}", octets, media=media, status=202)
        done = lambda answer: answer["state"] != "running"  # noqa: E731
        return await self.until(done, "GET", f"/v1/imports/{begun['id']}")

    async def told(self, action: str, count: int) -> list[Any]:
        """Wait until the journal tells so many of something that was done; all that it tells."""
        for _ in range(6000):
            found = await self.events("shop")
            if sum(event.action == action for event in found) >= count:
                return found
            await deferLater(reactor, 0.01)
        raise AssertionError([event.action for event in found])

    async def test_thousand_lines_and_ten_broken(self) -> None:
        """Each broken line is told with its number; a second time nothing changes."""
        await self.served()
        lines = ["email;name;plan;attributes.age:number"]
        for number in range(1000):
            lines.append(f"n{number}@far.example;Nö {number};pro;{number}")
        broken = dict.fromkeys(range(5, 1000, 100))
        for number in broken:
            lines[number] = f"broken {number};;;"
        content = "\r\n".join(lines).encode("cp1252")
        found = await self.take(content)
        self.assertEqual(("done", ""), (found["state"], found["trouble"]))
        counts = {name: value for name, value in found["counts"].items() if value}
        self.assertEqual({"created": 990, "wrong": 10}, counts)
        self.assertEqual(
            ("cp1252", ";"), (found["plan"]["plan"]["encoding"], found["plan"]["plan"]["delimiter"])
        )
        self.assertEqual([number + 1 for number in broken], [one["line"] for one in found["problems"]])
        self.assertTrue(all("address" in one["detail"] for one in found["problems"]))
        page = await self.ask("GET", f"/v1/imports/{found['id']}/problems?limit=4")
        rest = await self.ask("GET", f"/v1/imports/{found['id']}/problems?cursor={page['next']}")
        self.assertEqual(found["problems"], page["problems"] + rest["problems"])
        one = await self.ask("GET", "/v1/contacts/n7@far.example")
        self.assertEqual(("Nö 7", {"plan": "pro", "age": 7}), (one["name"], one["attributes"]))
        counts = {name: value for name, value in (await self.take(content))["counts"].items() if value}
        self.assertEqual({"unchanged": 990, "wrong": 10}, counts)
        told = await self.told("imported", 2)
        self.assertEqual(["import begun", "imported"] * 2, [event.action for event in told])
        self.assertEqual(990, told[1].count)
        self.assertEqual([], list((self.api.state / "imports").iterdir()))
        self.assertEqual(2, len((await self.ask("GET", "/v1/imports"))["imports"]))

    async def test_updates(self) -> None:
        """What becomes of contacts that are there is the tenant's choice."""
        await self.served()
        await self.take("email,name,plan\nann@far.example,Ann,pro\n")
        for policy, name, attributes in (
            ("skip", "Ann", {"plan": "pro"}),
            ("merge", "Ann", {"plan": "pro", "age": "5"}),
            ("replace", "", {"age": "5"}),
        ):
            await self.take("email,name,age\nann@far.example,,5\n", f"update={policy}")
            one = await self.ask("GET", "/v1/contacts/ann@far.example")
            self.assertEqual((name, attributes), (one["name"], one["attributes"]), policy)

    async def test_lists(self) -> None:
        """Who has left, is suppressed or erased stays so; who must confirm is asked."""
        await self.served(audience={"confirm_pause": 0})
        await self.ask("PUT", "/v1/lists/news", {}, status=201)
        await self.ask("PUT", "/v1/lists/double", {"opt_in": "double"}, status=201)
        for name in ("left", "erased"):
            await self.ask("POST", "/v1/lists/news/members", {"address": f"{name}@far.example"})
        await self.ask("DELETE", "/v1/lists/news/members/left@far.example", status=204)
        await self.ask("DELETE", "/v1/contacts/erased@far.example?for_good=true", status=204)
        await self.ask(
            "POST", "/v1/suppressions", {"addresses": ["complained@far.example"], "reason": "complaint"}
        )
        file = "email\nann@far.example\nleft@far.example\nerased@far.example\ncomplained@far.example\n"
        found = await self.take(file, "list=news&list=double")
        wanted = {"created": 2, "unchanged": 1, "wrong": 1, "joined": 5, "unsubscribed": 1, "suppressed": 1}
        counts = {name: value for name, value in found["counts"].items() if value}
        self.assertEqual(wanted, counts)
        self.assertIn("erased", found["problems"][0]["detail"])
        self.assertNotIn("erased@", json.dumps(found))
        members = (await self.ask("GET", "/v1/lists/news/members"))["members"]
        states = {one["address"].partition("@")[0]: one["state"] for one in members}
        self.assertEqual({"left": "unsubscribed", "ann": "subscribed", "complained": "subscribed"}, states)
        counts = await self.ask("GET", "/v1/lists/double")
        self.assertEqual((3, 0), (counts["pending"], counts["subscribed"]))
        # Two are asked; who has complained gets nothing.
        told = await self.told("asked", 3)
        asked = {event.recipient: event.reason for event in told if event.action == "asked"}
        self.assertEqual(
            {"ann@far.example": "", "left@far.example": "", "complained@far.example": "suppressed"}, asked
        )
        self.assertEqual(2, len(await self.mails()))
        found = await self.take(file, "list=double&confirm=done")
        counts = await self.ask("GET", "/v1/lists/double")
        self.assertEqual((0, 3), (counts["pending"], counts["subscribed"]))

    async def test_mistakes(self) -> None:
        """A file that cannot be read is told at once, and kept nowhere."""
        await self.served()
        for words, content, query in (
            ("nothing in it", b"", ""),
            ("no column is the address", b"name,plan\nAnn,pro\n", ""),
            ("no text", b"PK\x03\x04\x00\x00\x00", ""),
            ("no encoding", b"email\na@far.example\n", "encoding=klingon"),
            ("no list", b"email\na@far.example\n", "list=none"),
            ("JSON object", b"email\na@far.example\n", "columns=x"),
            ("may go to", b"email\na@far.example\n", "columns=" + quote('{"email": "x"}')),
        ):
            answer = await self.ask("POST", f"{IMPORT}?{query}", content, media="text/csv", status=422)
            self.assertIn(words, answer["detail"])
        directory = self.api.state / "imports"
        self.assertEqual([], list(directory.iterdir()) if directory.exists() else [])
        await self.ask("POST", IMPORT, b"x", media="image/png", status=415)

    async def test_dry_run(self) -> None:
        """How a file would be read is shown, and nothing is kept."""
        await self.served()
        content = b"E-Mail\tAge\nann@far.example\t5\nnobody\t6\n"
        columns = quote('{"Age": "attributes.age:number"}')
        found = await self.ask("POST", f"{IMPORT}?dry_run=true&columns={columns}", content, media="text/csv")
        self.assertEqual(("dry", "\t"), (found["state"], found["plan"]["plan"]["delimiter"]))
        self.assertEqual([{"age": 5}], [one["attributes"] for one in found["contacts"]])
        self.assertEqual([3], [one["line"] for one in found["problems"]])
        self.assertEqual(["address", "attributes.age"], [one["target"] for one in found["plan"]["found"]])
        self.assertEqual([], (await self.ask("GET", "/v1/contacts"))["contacts"])
        self.assertEqual([], (await self.ask("GET", "/v1/imports"))["imports"])

    async def test_export(self) -> None:
        """What is exported can be imported by another tenant, and nobody sees another's."""
        await self.served()
        await self.ask("PUT", "/v1/lists/news", {}, status=201)
        lines = [f"n{number:04}@far.example,=1+{number},{number % 2}" for number in range(2500)]
        await self.take("email,name,odd\n" + "\n".join(lines), "list=news")
        await self.ask("DELETE", "/v1/lists/news/members/n0001@far.example", status=204)
        await self.ask("PUT", "/v1/segments/odd", {"condition": {"attribute": "odd", "is": "1"}}, status=201)
        for query, count in (
            ("", 2500),
            ("list=news", 2499),
            ("segment=odd", 1250),
            ("list=news&segment=odd", 1249),
        ):
            for form, head in (("csv", 1), ("ndjson", 0)):
                answer = await self.ask("GET", f"/v1/contacts/export?format={form}&{query}")
                self.assertEqual(count + head, len(answer.content.splitlines()), f"{form} {query}")
        self.assertNotIn(b",=1+", (await self.ask("GET", "/v1/contacts/export")).content)
        other = await self.api.key("default")
        empty = await self.ask("GET", "/v1/contacts/export?format=ndjson", key=other)
        self.assertEqual(b"", empty.content)
        await self.ask("GET", "/v1/contacts/export?list=none", status=404)
        exported = (await self.ask("GET", "/v1/contacts/export")).content
        self.key = other
        found = await self.take(exported)
        self.assertEqual((2500, 0), (found["counts"]["created"], found["counts"]["wrong"]))
        one = await self.ask("GET", "/v1/contacts/n0003@far.example")
        self.assertEqual(("=1+3", {"odd": "1"}), (one["name"], one["attributes"]))

    async def test_form(self) -> None:
        """What browsers call a form is no file."""
        await self.served()
        await self.ask("POST", IMPORT, b"a=b", media=FORM, status=415)
