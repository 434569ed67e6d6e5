"""`mta tenant` and `mta key` while no server runs."""

from __future__ import annotations

import os
import shutil
import sqlite3

from mta.audience.audience import DATABASE, Audience, Beside
from mta.audience.audience import TABLES as AUDIENCE
from mta.audience.contact import Contact
from mta.audience.contacts import Contacts
from mta.campaign.campaigns import Campaigns
from mta.campaign.schema import TABLES as CAMPAIGNS
from mta.cli.control import user
from mta.registry.database import Direct, finished
from mta.sequence.definition import Definition
from mta.sequence.stores import TABLES as SEQUENCES
from mta.sequence.stores import Sequences
from tests.campaign.base import DEFINITION as CAMPAIGN
from tests.campaign.base import NOW
from tests.cli.test_setting_up import SettingUpCase


class TenantCommandTests(SettingUpCase):
    def setUp(self) -> None:
        super().setUp()
        self.init("--user", "ann")
        # As it was before there were keys.
        shutil.rmtree(self.place / "var")
        self.options = ("--config", str(self.file))

    def test_without_a_server(self) -> None:
        missing = self.mta("tenant", "list", *self.options, status=os.EX_NOINPUT)
        self.assertIn("start the server once", missing.err)
        (self.place / "var").mkdir()
        self.mta("tenant", "add", "shop", "--domain", "Shop.example", "--per-day", "5", *self.options)
        listed = self.mta("tenant", "list", "--json", *self.options).json
        self.assertEqual(
            [("default", ["example.org"], 0), ("shop", ["shop.example"], 5)],
            [(one["tenant"], one["domains"], one["per_day"]) for one in listed],
        )
        lines = self.mta(
            "key", "create", "--tenant", "shop", "--expires", "90d", *self.options
        ).out.splitlines()
        self.assertRegex(lines[0], r"\Amk_\w{12}_\w{43}\Z")
        self.assertIn("for messages:send of shop, until", lines[1])
        listed = self.mta("key", "list", "--tenant", "shop", *self.options).out
        self.assertNotIn(lines[0].split("_")[2], listed)
        identifier = lines[0].split("_")[1]
        self.assertIn(identifier, listed)
        self.mta("key", "rotate", identifier, "--tenant", "shop", "--overlap", "1h", *self.options)
        self.mta("key", "revoke", lines[0], "--tenant", "shop", *self.options)
        self.assertNotIn(identifier, self.mta("key", "list", "--tenant", "shop", *self.options).out)
        self.mta("tenant", "set", "shop", "--suspend", "unpaid", *self.options)
        self.assertIn("unpaid", self.mta("tenant", "list", *self.options).out)
        told = self.mta("trace", "shop", *self.options).out
        for what in ("tenant add", "domain add", "key create", "key rotate", "key revoke", "tenant set"):
            self.assertIn(f"{what} by {user()}", told)

    def test_removed_with_all_it_has(self) -> None:
        """Nothing of contacts, sequences and campaigns is left for whoever gets its name later."""
        (self.place / "var").mkdir()
        for tenant in ("shop", "other"):
            self.mta("tenant", "add", tenant, *self.options)
        path = self.place / "var" / DATABASE
        database = Direct(path, (*AUDIENCE, *SEQUENCES, CAMPAIGNS))
        definition = {"title": "x", "steps": [{"id": "later", "do": "wait", "for": "9d"}]}
        for tenant in ("shop", "other"):
            finished(Contacts(database).put(tenant, Contact("ann@example.org"), NOW))
            finished(Campaigns(database).add(tenant, "spring", CAMPAIGN, NOW, "ann"))
            sequences = Sequences(Audience(database, Beside(database)))
            what = Definition.model_validate(definition)
            finished(sequences.put(tenant, "welcome", what, NOW, who="ann"))
            finished(sequences.enrol(tenant, "welcome", ["ann@example.org"], {}, NOW, "ann"))
        database.close()
        self.mta("tenant", "remove", "shop", *self.options)
        database = Direct(path, (*AUDIENCE, *SEQUENCES, CAMPAIGNS))
        self.addCleanup(database.close)

        def tenants(base: sqlite3.Connection) -> dict[str, set[str]]:
            found = {}
            for (table,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                columns = {column[1] for column in base.execute(f"PRAGMA table_info({table})")}
                if "tenant" in columns:
                    rows = base.execute(f"SELECT tenant FROM {table}")
                    found[table] = {tenant for (tenant,) in rows if tenant}
            return found

        left = {name: found for name, found in finished(database.read(tenants)).items() if found}
        self.assertEqual({"other"}, set().union(*left.values()), left)
        self.assertLessEqual({"contacts", "campaigns", "sequences", "enrolments"}, set(left))

    def test_refused(self) -> None:
        (self.place / "var").mkdir()
        for words, arguments in (
            ("no tenant nobody", ("key", "create", "--tenant", "nobody")),
            ("no scope 'mail'", ("key", "create", "--scope", "mail")),
            ("no key abc", ("key", "revoke", "abc")),
            ("exists always", ("tenant", "remove", "default")),
            ("is no name", ("tenant", "add", "A B")),
        ):
            self.assertIn(words, self.mta(*arguments, *self.options, status=os.EX_USAGE).err)
