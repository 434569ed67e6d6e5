"""``mta contact``, ``mta list`` and ``mta segment``, as an operator types them, against a running server."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.scenario import Scenario
from tests.e2e.server import Server


class ContactCommandTests(Scenario):
    def test_as_typed(self) -> None:
        server = self.part(Server(self.place / "mta"))
        server.start()

        def mta(*words: str, fails: bool = False) -> str:
            return server.mta(*words, check=not fails)

        def told(*words: str) -> Any:
            return json.loads(mta(*words, "--json"))

        self.assertIn("news is kept", mta("list", "put", "news", "--title", "The news"))
        said = mta(
            "contact",
            "put",
            "ann@example.net",
            "--name",
            "Ann",
            "--set",
            "plan=pro",
            "--set",
            "age=30",
            "--list",
            "news",
        )
        self.assertIn("ann@example.net is kept, on the lists news (subscribed)", said)
        file = self.place / "people.csv"
        file.write_text("email,age:number\nbob@example.net,5\nnobody,6\n")
        said = mta("contact", "import", str(file), "--list", "news", "--dry-run", fails=True)
        self.assertIn("bob@example.net", said)
        said = mta("contact", "import", str(file), "--list", "news", fails=True)
        self.assertIn(f"{file}:3: address: ", said)
        self.assertIn("1 created, 1 wrong, 1 joined", said)
        self.assertEqual(1, len(told("contact", "imports")))
        self.assertEqual(
            ["ann@example.net", "bob@example.net"], [one["address"] for one in told("contact", "list")]
        )
        condition = '{"attribute": "age", "more": 10}'
        self.assertIn("1 contacts", mta("segment", "preview", condition))
        (self.place / "old.toml").write_text('attribute = "age"\nmore = 10\n')
        mta("segment", "put", "old", f"@{self.place / 'old.toml'}")
        self.assertEqual(["ann@example.net"], [one["address"] for one in told("segment", "members", "old")])
        self.assertIn("all[0]", mta("segment", "preview", '{"all": [{}]}', fails=True))
        exported = mta("contact", "export", "--segment", "old", "--format", "ndjson")
        self.assertEqual({"plan": "pro", "age": 30}, json.loads(exported)["attributes"])
        mta("list", "leave", "news", "ann@example.net")
        self.assertIn("unsubscribed", mta("list", "join", "news", "ann@example.net"))
        shown = mta("contact", "show", "ann@example.net")
        for words in ('plan         "pro"', "news  unsubscribed", "how it came there"):
            self.assertIn(words, shown)
        counts = told("list", "show", "news")
        self.assertEqual((1, 1), (counts["subscribed"], counts["unsubscribed"]))
        mta("contact", "erase", "ann@example.net", "--for-good")
        self.assertIn("erased", mta("contact", "put", "ann@example.net", fails=True))
        mta("contact", "readmit", "ann@example.net")
        self.assertIn("import", mta("trace", "default"))
