"""`mta dkim` and `mta dns`: keys from the day they are made to the day they go."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mta.cli.zone_file import quoted_text
from mta.dkim.key_store import KeyStore
from tests.cli.command import Result, call
from tests.cli.test_setting_up import SettingUpCase
from tests.dkim.test_verification import RSA


class DkimCase(SettingUpCase):
    def setUp(self) -> None:
        super().setUp()
        self.init()
        # Here the keys are made one by one.
        shutil.rmtree(self.place / "var")
        (self.place / "var").mkdir()
        self.dns: dict[str, Any] = {}
        self.asked: list[str] = []

    def text_records(self, loaded: Any, names: list[str]) -> dict[str, Any]:
        self.asked += names
        return {name: self.dns.get(name, []) for name in names}

    def dkim(self, *arguments: str, status: int = os.EX_OK) -> Result:
        with mock.patch("mta.cli.main._text_records", self.text_records):
            result = call("--config", str(self.file), *arguments)
        self.assertEqual(status, result.status, result)
        return result

    def stored(self) -> dict[str, str]:
        return {key.selector: key.state for key in KeyStore(self.place / "var").stored()}

    def publish(self) -> None:
        """As the operator does with what was printed."""
        for key in KeyStore(self.place / "var").stored():
            self.dns[key.name] = [key.record.encode()]


class DkimTests(DkimCase):
    def test_life(self) -> None:
        made = self.dkim("dkim", "new", "Example.ORG.")
        self.assertIn("mta dkim rotate example.org\n", made.out)
        names = list(self.stored())
        self.assertEqual(["r", "e"], [name[0] for name in names])
        for name in names:
            self.assertIn(f'{name}._domainkey.example.org. IN TXT "v=DKIM1; k=', made.out)
        refused = self.dkim("dkim", "rotate", "example.org", status=os.EX_UNAVAILABLE)
        self.assertIn(f"{names[0]}._domainkey.example.org: no\n", refused.err)
        self.assertEqual({"waiting"}, set(self.stored().values()))
        self.assertNotIn("mta dkim rotate", self.dkim("dkim", "publish").out)
        self.publish()
        self.assertIn("mta dkim rotate example.org", self.dkim("dkim", "publish", "example.org").out)
        done = self.dkim("dkim", "rotate", "example.org")
        self.assertIn("signs mail of example.org from now on", done.out)
        self.assertIn("The server is not running", done.out)
        self.assertEqual({"active"}, set(self.stored().values()))
        self.dkim("dkim", "new", "example.org", "--algorithm", "ed25519", "--selector", "next")
        self.publish()
        done = self.dkim("dkim", "rotate", "example.org")
        self.assertIn(f"{names[0]} is retired; let its record stay until", done.out)
        self.assertEqual(["retired", "retired", "active"], list(self.stored().values()))
        self.dkim("dkim", "remove", "example.org", names[0])
        self.dkim("dkim", "remove", "example.org", "next", status=os.EX_DATAERR)
        self.assertEqual({names[1]: "retired", "next": "active"}, self.stored())

    def test_what_the_dns_says(self) -> None:
        self.dkim("dkim", "new", "example.org", "--algorithm", "rsa", "--selector", "s")
        name = "s._domainkey.example.org"
        (key,) = KeyStore(self.place / "var").stored()
        for found, word in (
            ([], "no"),
            ([b"v=DKIM1; p=AAAA"], "another record is there"),
            (["v=DKIM1;k=rsa;p=" + key.public[:50] + " " + key.public[50:]], "yes"),
            ([key.record, "v=DKIM1; p="], "yes, but beside another record, which must go"),
            ("SERVFAIL", "not known: SERVFAIL"),
        ):
            if isinstance(found, list):
                found = [item.encode() if isinstance(item, str) else item for item in found]
            self.dns[name] = found
            (item,) = self.dkim("dkim", "publish", "--json").json
            self.assertEqual(word, item["dns"])
        self.asked.clear()
        self.dkim("dkim", "publish", "--offline")
        self.assertEqual([], self.asked)
        self.dkim("dkim", "rotate", "example.org", "--force")
        self.assertEqual([], self.asked)
        self.assertEqual({"s": "active"}, self.stored())

    def test_tenants(self) -> None:
        self.dkim("dkim", "new", "example.org", "--tenant", "shop", "--algorithm", "ed25519")
        self.dkim("dkim", "rotate", "example.org", "--force", status=os.EX_DATAERR)
        self.dkim("dkim", "rotate", "example.org", "--tenant", "shop", "--force")
        (item,) = self.dkim("dkim", "list", "--json").json
        self.assertEqual(
            ("shop", "active", "ed25519-sha256"), (item["tenant"], item["state"], item["algorithm"])
        )
        self.assertIn("shop", self.dkim("dkim", "list").out)

    def test_import(self) -> None:
        file = Path(self.mktemp())
        file.write_bytes(RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.dkim("dkim", "new", "example.org", "--import", str(file), "--selector", "old")
        self.assertEqual({"old": "waiting"}, self.stored())
        file.write_text("rubbish")
        result = self.dkim("dkim", "new", "example.org", "--import", str(file), status=os.EX_DATAERR)
        self.assertIn("no private key in PEM", result.err)
        self.assertEqual({"old": "waiting"}, self.stored())

    def test_mistakes(self) -> None:
        for status, arguments in (
            (os.EX_USAGE, ("new", "example.org", "--selector", "x")),
            (os.EX_DATAERR, ("new", "exa mple.org")),
            (os.EX_NOINPUT, ("publish",)),
            (os.EX_DATAERR, ("rotate", "example.org", "--force")),
            (os.EX_DATAERR, ("remove", "example.org", "x")),
            (os.EX_USAGE, ("renew", "example.org")),
        ):
            self.assertTrue(self.dkim("dkim", *arguments, status=status).err, arguments)
        self.assertIn("mta dkim new DOMAIN", self.dkim("dkim", "list").err)
        (self.place / "var").rename(self.place / "elsewhere")
        self.assertIn("start the server once", self.dkim("dkim", "new", "x.test", status=os.EX_NOINPUT).err)

    def test_secret(self) -> None:
        """No command prints a private key."""
        out = "".join(
            self.dkim(*arguments).out
            for arguments in (
                ("dkim", "new", "example.org", "--json"),
                ("dkim", "new", "example.org"),
                ("dkim", "list", "--json"),
                ("dkim", "publish"),
                ("dns",),
            )
        )
        for path in (self.place / "var" / "dkim").glob("*.pem"):
            lines = path.read_text().splitlines()[1:-1]
            self.assertEqual([], [line for line in lines if line in out])

    def test_dns(self) -> None:
        """`mta dns` has them."""
        warned = self.dkim("dns")
        self.assertIn("example.org has no keys", warned.err)
        self.dkim("dkim", "new", "example.org", "--algorithm", "ed25519", "--selector", "s")
        result = self.dkim("dns", "example.org", "--json")
        found = {item["name"]: item["value"] for item in result.json["records"]}
        self.assertTrue(found["s._domainkey.example.org."].startswith('"v=DKIM1; k=ed25519; p='))
        self.assertEqual("", result.err)


class ZoneFileTests(SettingUpCase):
    def test_strings(self) -> None:
        """None is longer than 255 octets; together they are the text."""
        text = "x" * 600
        strings = re.findall(r'"([^"]*)"', quoted_text(text))
        self.assertEqual([255, 255, 90], [len(string) for string in strings])
        self.assertEqual(text, "".join(strings))
        self.assertEqual(
            '"a\\"b\\\\c\\233"', quoted_text('a"b\\cé'.replace("é", "\u00e9")).replace("\\195\\169", "\\233")
        )
