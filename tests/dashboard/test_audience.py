"""Pages of contacts, lists, segments and imports, by a browser without scripts."""

from __future__ import annotations

from typing import Any, BinaryIO

from mta.audience.contact import Contact
from mta.audience.imports import Import
from mta.audience.lists import MailingList
from mta.audience.segments import Segment
from mta.dashboard.contacts import ContactPages
from mta.dashboard.imports import ImportPages
from mta.dashboard.lists import ListPages
from mta.dashboard.page import Live
from mta.dashboard.segments import SegmentPages
from mta.dashboard.visit import Visit
from mta.registry.database import finished
from tests.audience.base import AudienceCase
from tests.dashboard.desk import Desk

XSS = "<script>alert(1)</script>"
PLACE = "/dashboard/contacts"


class Suppressions:
    """Nobody is suppressed."""

    async def of(self, tenant: str, address: str) -> list[Any]:
        """None."""
        return []


class Joining:
    """Remembers who is put on lists."""

    def __init__(self) -> None:
        self.left: list[Any] = []

    async def leave(self, tenant: str, name: str, contact: int, *, who: str, now: float) -> bool:
        """Remember it."""
        self.left.append((tenant, name, contact, who))
        return True


class Files:
    """Takes files."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    async def take(self, visit: Visit, file: BinaryIO, how: Any) -> str:
        """Remember it."""
        content = file.read()
        if content == b"nothing":
            raise ValueError("the file: it is no text")
        self.taken.append((visit.tenant, content, how))
        return "im_1"

    async def export(self, visit: Visit, how: Any) -> Live:
        """There is nothing."""
        raise ValueError("there is no list of this name")

    def stopped(self, visit: Visit, identifier: str) -> None:
        """Remember it."""
        self.taken.append((visit.tenant, "stopped", identifier))


class PageTests(AudienceCase):
    """See the module."""

    def setUp(self) -> None:
        super().setUp()
        self.noted: list[Any] = []
        self.joining: Any = Joining()
        self.files: Any = Files()
        nobody: Any = Suppressions()
        note = self.noted.append
        self.desk = Desk(
            [
                *ContactPages(self.audience, nobody, self.joining, note).pages(),
                *ListPages(self.audience, self.joining, note).pages(),
                *SegmentPages(self.audience, note).pages(),
                *ImportPages(self.audience, self.files).pages(),
            ]
        )
        self.tina = self.desk.visitor("tenant")

    def page(self, path: str) -> str:
        answer = self.tina.get(path)
        self.assertEqual(200, answer.status, answer.content)
        return answer.content.decode()

    def test_contact(self) -> None:
        self.assertIn("No contacts yet", self.page(PLACE))
        fields = {"address": "Ann@Example.net", "name": XSS, "attributes": '{"say": "<b>"}'}
        answer = self.tina.post(f"{PLACE}/new", **fields)
        self.assertEqual(f"{PLACE}/at/ann%40example.net", answer.headers["location"])
        text = self.page(answer.headers["location"])
        self.assertNotIn(XSS, text)
        self.assertNotIn('"<b>"', text)
        again = self.tina.post(f"{PLACE}/new", **fields)
        self.assertIn(b"There is a contact of this address already.", again.content)
        self.tina.post(f"{PLACE}/at/ann%40example.net/edit", address="ann@example.net", name="Ann")
        found = finished(self.audience.contacts.find("acme", "ann@example.net"))
        assert found is not None
        self.assertEqual(("Ann", {}), (found.name, found.attributes))
        self.assertEqual(["created", "changed"], [one.action for one in self.noted])
        erased = {"address": "ann@example.net", "for_good": "on"}
        self.assertIn(b"A hash is kept", self.tina.post(f"{PLACE}/erase", **erased).content)
        self.tina.post(f"{PLACE}/erase", confirmed="yes", **erased)
        self.assertIsNone(finished(self.audience.contacts.find("acme", "ann@example.net")))
        self.assertEqual("", self.noted[-1].recipient)
        refused = self.tina.post(f"{PLACE}/new", address="ann@example.net")
        self.assertEqual(422, refused.status)

    def test_mistakes_stand_beside_their_fields(self) -> None:
        for field, value in (
            ("address", "nobody"),
            ("attributes", "[]"),
            ("time_zone", "Nowhere/Land"),
            ("webhook", "ftp://x"),
        ):
            answer = self.tina.post(f"{PLACE}/new", **{"address": "a@example.net", field: value})
            self.assertIn(f'id="field-{field}-wrong"'.encode(), answer.content, field)
        self.assertEqual(0, finished(self.audience.contacts.count("acme")))

    def test_anothers(self) -> None:
        finished(self.audience.contacts.put("other", Contact("ann@example.net"), 1.0))
        finished(self.audience.lists.put("other", MailingList("news"), 1.0))
        finished(
            self.audience.segments.put("other", Segment("all", condition={"not": {"list": "news"}}), 1.0)
        )
        finished(self.audience.imports.begin(Import("im_2", "other", 0)))
        self.assertIn("No contacts yet", self.page(PLACE))
        for path in ("at/ann%40example.net", "lists/at/news", "segments/at/all", "imports/at/im_2"):
            self.assertEqual(404, self.tina.get(f"{PLACE}/{path}").status, path)
        for path, fields in (
            ("erase", {"address": "ann@example.net"}),
            ("leave", {"address": "ann@example.net", "list": "news"}),
            ("lists/remove", {"name": "news"}),
            ("segments/remove", {"name": "all"}),
            ("imports/stop", {"id": "im_2"}),
        ):
            answer = self.tina.post(f"{PLACE}/{path}", confirmed="yes", **fields)
            self.assertEqual(404, answer.status, path)

    def test_list(self) -> None:
        self.tina.post(f"{PLACE}/lists/new", name="news", title=XSS, opt_in="single", public="on")
        found = finished(self.audience.lists.find("acme", "news"))
        assert found is not None
        self.assertEqual(("single", True), (found.opt_in, found.public))
        for path in (f"{PLACE}/lists", f"{PLACE}/lists/at/news", f"{PLACE}/lists/at/news/edit"):
            self.assertNotIn(XSS, self.page(path))
        wrong = self.tina.post(f"{PLACE}/lists/new", name="News & More")
        self.assertIn(b'id="field-name-wrong"', wrong.content)
        wrong = self.tina.post(f"{PLACE}/lists/at/news/edit", name="news", sender="nobody")
        self.assertIn(b'id="field-sender-wrong"', wrong.content)
        self.assertIn(b"Remove the list", self.tina.post(f"{PLACE}/lists/remove", name="news").content)
        self.tina.post(f"{PLACE}/lists/remove", name="news", confirmed="yes")
        self.assertIsNone(finished(self.audience.lists.find("acme", "news")))

    def test_segment(self) -> None:
        finished(self.audience.contacts.put("acme", Contact("a@example.net", attributes={"n": 1}), 1.0))
        finished(self.audience.contacts.put("acme", Contact("b@example.net", attributes={"n": 2}), 1.0))
        fields = {"name": "one", "condition": '{"attribute": "n", "is": 1}'}
        tried = self.tina.post(f"{PLACE}/segments/new", try_out="yes", **fields).content
        self.assertIn(b"It holds for 1 contact<", tried)
        self.assertIsNone(finished(self.audience.segments.find("acme", "one")))
        self.tina.post(f"{PLACE}/segments/new", **fields)
        text = self.page(f"{PLACE}/segments/at/one")
        self.assertIn("a@example.net", text)
        self.assertNotIn("b@example.net", text)
        for condition in ("{", '{"attribute": "n"}', '{"segment": "none"}'):
            answer = self.tina.post(f"{PLACE}/segments/new", name="x", try_out="y", condition=condition)
            self.assertIn(b'id="field-condition-wrong"', answer.content, condition)

    def test_import(self) -> None:
        upload = f"{PLACE}/imports/new"
        answer = self.tina.upload(upload, "file", "x.csv", b"a@example.net\n", mailing="news", update="skip")
        self.assertEqual(f"{PLACE}/imports/at/im_1", answer.headers["location"])
        how = {"list": ["news"], "update": "skip", "confirm": "send"}
        self.assertEqual([("acme", b"a@example.net\n", how)], self.files.taken)
        self.assertIn(b"it is no text", self.tina.upload(upload, "file", "x", b"nothing").content)
        self.assertIn(b"Fill this in.", self.tina.upload(upload, "", "", b"").content)
        finished(self.audience.imports.begin(Import("im_3", "acme", 0, created=1.0, who=XSS)))
        self.assertNotIn(XSS, self.page(f"{PLACE}/imports/at/im_3"))
        self.tina.post(f"{PLACE}/imports/stop", id="im_3", confirmed="yes")
        self.assertEqual("stopped", finished(self.audience.imports.get("acme", "im_3")).state)
        self.assertEqual(("acme", "stopped", "im_3"), self.files.taken[-1])
        self.assertEqual(404, self.tina.get(f"{PLACE}/export?list=none").status)
