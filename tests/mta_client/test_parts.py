"""Contacts, sequences, campaigns and statistics of the client: what it asks, and that both kinds can it."""

from __future__ import annotations

import inspect
import json

from twisted.trial.unittest import SynchronousTestCase

from mta_client import (
    Contact,
    Happening,
    MailingList,
    NewCampaign,
    Variant,
    asynchronous_parts,
    contacts,
    parts,
)
from mta_client.calls import Call
from tests.mta_client.test_client import ClientCase

KINDS = ("Contacts", "Lists", "Segments", "Sequences", "Campaigns", "Statistics")


class AskedTests(ClientCase):
    def asked_of(self) -> list[tuple[str, str, object]]:
        return [
            (one.method, one.url.raw_path.decode(), json.loads(one.content) if one.content else None)
            for one in self.asked
        ]

    def test_contacts(self) -> None:
        answer = {"address": "a@x.example", "name": "A", "lists": [{"list": "news", "state": "pending"}]}
        client = self.asking(
            answer, answer, {"contacts": [answer], "next": "c"}, {"contacts": [], "next": None}
        )
        kept = client.contacts.put(Contact(address="a@x.example", lists=["news"]), replace=True)
        # What was answered can be sent again, with nothing in it that is the server's.
        client.contacts.put(kept)
        self.assertEqual(["a@x.example"], [one.address for one in client.contacts.all(address="@x")])
        asked = self.asked_of()
        body = {"address": "a@x.example", "lists": ["news"]}
        self.assertEqual(("POST", "/v1/contacts", {**body, "replace": True}), asked[0])
        self.assertEqual(("POST", "/v1/contacts", {**body, "name": "A"}), asked[1])
        self.assertEqual("/v1/contacts?address=%40x&cursor=c", asked[3][1])

    def test_files(self) -> None:
        answer = {"id": "i", "state": "running", "line": 0, "trouble": ""}
        answer |= {"counts": {}, "plan": {}, "problems": []}
        client = self.asking(answer)
        client.contacts.bring(b"a@x.example\n", lists=["news"], dry_run="true")
        (request,) = self.asked
        self.assertEqual((b"a@x.example\n", "text/csv"), (request.content, request.headers["content-type"]))
        self.assertEqual("/v1/contacts/import?list=news&dry_run=true", request.url.raw_path.decode())
        call = contacts.export("csv", "news", "")
        self.assertEqual(b"a,b", call.answer(200, b"a,b", {}))

    def test_others(self) -> None:
        client = self.asking(
            {"taken": 1, "known": 0, "problems": []},
            {"name": "a/b"},
            {"enrolled": 0, "contacts": []},
        )
        client.contacts.tell([Happening(id="1", name="bought", address="a@x.example")], create=False)
        client.lists.put(MailingList(name="a/b", opt_in="double"))
        client.sequences.enrol("welcome", ["a@x.example"], {"plan": "pro"})
        event = {"id": "1", "name": "bought", "address": "a@x.example"}
        self.assertEqual(
            [
                ("POST", "/v1/events", {"events": [event], "create": False}),
                ("PUT", "/v1/lists/a%2Fb", {"opt_in": "double"}),
                (
                    "POST",
                    "/v1/sequences/welcome/enrolments",
                    {"addresses": ["a@x.example"], "properties": {"plan": "pro"}},
                ),
            ],
            self.asked_of(),
        )

    def test_campaign(self) -> None:
        one = NewCampaign(
            name="spring",
            sender="a@x.example",
            lists=["news"],
            variants=[Variant(subject="S", text="T")],
            unsubscribe="",
            more={"spread": 60},
        )
        self.assertEqual(
            {
                "from": "a@x.example",
                "audience": {"lists": ["news"]},
                "variants": [{"subject": "S", "text": "T"}],
                "unsubscribe": "",
                "spread": 60,
            },
            one.encode(),
        )


class BothTests(SynchronousTestCase):
    def test_nothing_is_missing(self) -> None:
        """What one has, the other has, with the same arguments."""
        for kind in KINDS:
            found = []
            for module in (parts, asynchronous_parts):
                methods = inspect.getmembers(getattr(module, kind), inspect.isfunction)
                found.append({name: str(inspect.signature(one)).partition("->")[0] for name, one in methods})
            self.assertEqual(*found, kind)
            self.assertGreater(len(found[0]), 2)

    def test_what_may_be_sent_again(self) -> None:
        """What would be done twice is not."""
        self.assertFalse(contacts.bring(b"", "text/csv", [], {}).safe)
        known: Call[object] = Call("GET", "/", lambda value: value)
        self.assertTrue(known.safe)
