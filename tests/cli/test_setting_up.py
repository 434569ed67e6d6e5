"""`mta init`, `check` and `user`, on real files."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from mta.cli.zone_file import quoted_text
from mta.config.loading import load
from mta.dkim.key_store import KeyStore
from mta.identity.entry import parse_passwd
from tests.cli.command import Result, call


class SettingUpCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="mta"))
        self.addCleanup(shutil.rmtree, self.place)
        self.file = self.place / "mta.toml"
        self.patch(os, "environ", {k: v for k, v in os.environ.items() if not k.startswith("MTA_")})

    def mta(self, *arguments: str, status: int = os.EX_OK, **options: Any) -> Result:
        result = call(*arguments, **options)
        self.assertEqual(status, result.status, result)
        return result

    def init(self, *arguments: str, **options: Any) -> Result:
        given = ("--hostname", "mx.example.org", "--domain", "example.org", "--non-interactive")
        return self.mta(
            "init", "--directory", str(self.place), "--unprivileged", *given, *arguments, **options
        )


class InitTests(SettingUpCase):
    def test_files(self) -> None:
        """What is written loads, serves the domain, and knows the account."""
        out = self.init("--user", "ann").out
        loaded = load(self.file)
        self.assertEqual("mx.example.org", loaded.settings.hostname)
        self.assertEqual(["example.org"], list(loaded.settings.domains))
        self.assertEqual(self.place / "var", loaded.state)
        match = re.search(r"account ann@example.org, password (\S+)", out)
        assert match is not None
        users = (self.place / "users").read_text()
        self.assertNotIn(match[1], users)
        self.assertIn("ann@example.org", parse_passwd(users, "users").entries)
        self.assertEqual(0o600, (self.place / "users").stat().st_mode & 0o777)
        self.assertIn("\npostmaster: ann@example.org\n", (self.place / "aliases").read_text())

    def test_no_problems(self) -> None:
        """`mta check` has nothing to say about it."""
        self.init("--user", "ann")
        # Ports of other tests may be in use.
        text = self.file.read_text()
        ports = []
        for old in ("2525", "2587", "2465", "2993", "2995"):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ports.append((old, probe.getsockname()[1]))
        for old, new in ports:
            text = text.replace(f'["tcp:{old}"]', f'["tcp:{new}:interface=127.0.0.1"]')
        self.file.write_text(text.replace("[tls]", "http = []\n\n[tls]", 1))
        self.assertEqual("no errors\n", self.mta("check", "--config", str(self.file)).out)

    def test_records(self) -> None:
        value = self.init("--json", "--domain", "example.net").json
        records = {(item["name"], item["type"]): item["value"] for item in value["records"]}
        self.assertEqual("10 mx.example.org.", records["example.net.", "MX"])
        self.assertEqual('"v=spf1 mx -all"', records["example.org.", "TXT"])
        self.assertIn(("_dmarc.example.org.", "TXT"), records)
        self.assertIn("PTR", [kind for _, kind in records])
        self.assertTrue(any("twistd" in line for line in value["next"]))

    def test_trust(self) -> None:
        """Mail in others' names is judged, keys wait for their records, and reports have addresses."""
        value = self.init("--json", "--domain", "example.net", "--user", "ann").json
        settings = load(self.file).settings
        self.assertEqual(["spf", "dkim", "dmarc"], [one.kind for one in settings.judge])
        self.assertEqual({"fail": "mark"}, settings.judge[0].own())
        self.assertEqual(
            ["dmarc-reports@example.org", "dmarc-reports@example.net"], settings.dmarc_report.addresses
        )
        self.assertEqual("ann@example.org", settings.dmarc_report.contact)
        keys = KeyStore(self.place / "var").stored()
        self.assertEqual(
            {("example.org", "waiting"), ("example.net", "waiting")}, {(k.domain, k.state) for k in keys}
        )
        records = {(item["name"], item["type"]): item["value"] for item in value["records"]}
        for key in keys:
            self.assertEqual(quoted_text(key.record), records[f"{key.name}.", "TXT"])
        policy = '"v=DMARC1; p=none; rua=mailto:dmarc-reports@example.net"'
        self.assertEqual(policy, records["_dmarc.example.net.", "TXT"])
        self.assertEqual(
            '"v=TLSRPTv1; rua=mailto:tls-reports@example.org"', records["_smtp._tls.example.org.", "TXT"]
        )
        self.assertTrue(records["_mta-sts.example.org.", "TXT"].startswith('"v=STSv1; id='))
        self.assertEqual(2, len([line for line in value["next"] if "dkim rotate" in line]))
        # Keys stay, whatever else is written anew.
        self.init("--force", "--domain", "example.net")
        self.assertEqual(
            [key.name for key in keys], [key.name for key in KeyStore(self.place / "var").stored()]
        )

    def test_no_keys(self) -> None:
        """Where none can be made, the rest is written all the same, and it is said how to make them."""
        with mock.patch(
            "mta.dkim.key_store.KeyStore.add", side_effect=OSError(28, "No space left on device")
        ):
            result = self.init("--json")
        self.assertIn("No space left on device; `mta dkim new DOMAIN` makes them", result.err)
        self.assertTrue(any("dkim new example.org" in line for line in result.json["next"]))
        load(self.file)

    def test_next_lines(self) -> None:
        """An account before the start, and every program from where this one is, if no path leads there."""
        program = self.place / "bin" / "mta"
        self.patch(sys, "argv", [str(program)])
        with mock.patch("mta.cli.init.shutil.which", return_value=None):
            lines = self.init("--json").json["next"]
        self.assertEqual(
            ["user", "check", "--nodaemon", "test", "doctor", "dkim"],
            [re.split(" --config \\S+ ?| ", line, maxsplit=1)[1].split()[0] for line in lines],
        )
        self.assertEqual([str(program)] * 2, [line.split()[0] for line in lines[:2]])
        self.assertEqual(str(program.with_name("twistd")), lines[2].split()[0])
        with mock.patch("mta.cli.init.shutil.which", return_value="/usr/bin/mta"):
            lines = self.init("--json", "--force").json["next"]
        self.assertEqual(["mta", "mta", "twistd", "mta", "mta", "mta"], [line.split()[0] for line in lines])

    def test_drops_root(self) -> None:
        """A server with low ports starts as root and goes on as a user of its own, which is made first."""
        given = (
            "--directory",
            str(self.place),
            "--hostname",
            "mx.example.org",
            "--non-interactive",
            "--json",
        )
        self.patch(os, "geteuid", lambda: 0)
        with mock.patch("mta.cli.init.shutil.chown"), mock.patch("mta.cli.init.pwd.getpwnam") as known:
            lines = self.mta("init", *given).json["next"]
            self.assertEqual([], [line for line in lines if "useradd" in line])
            self.assertTrue(any("twistd --nodaemon --pidfile= --uid mta --gid mta mta" in x for x in lines))
            known.side_effect = KeyError
            lines = self.mta("init", *given, "--force").json["next"]
        self.assertIn("useradd --system", lines[0])
        self.assertIn(f"chown mta:mta {self.place / 'users'}", lines[0])
        self.assertIn(f"chgrp mta {self.file}", lines[0])
        self.assertTrue(any("--uid mta --gid mta mta" in line for line in lines))
        # Low ports are not asked for: nobody has to be root.
        self.assertFalse(any("--uid" in line for line in self.init("--json", "--force").json["next"]))

    def test_never_overwrites(self) -> None:
        self.init("--user", "ann")
        users = (self.place / "users").read_text()
        self.file.write_text("# mine\n")
        result = self.init(status=os.EX_CANTCREAT)
        self.assertIn("--force", result.err)
        self.assertEqual("# mine\n", self.file.read_text())
        self.init("--force", "--user", "ann")
        self.assertEqual("# mine\n", (self.place / "mta.toml.old").read_text())
        self.assertEqual(users, (self.place / "users").read_text())
        load(self.file)

    def test_questions(self) -> None:
        """On a terminal it asks; an empty answer takes what is offered."""
        answers = f"mail.example.net\n\n{self.place / 'srv'}\n-\n"
        with mock.patch("mta.cli.init.socket.getfqdn", return_value="box"):
            result = self.mta("init", "--directory", str(self.place), tty=True, stdin=answers)
        self.assertIn("This server's name [box]", result.err)
        loaded = load(self.file)
        self.assertEqual(
            (["example.net"], "mail.example.net"), (list(loaded.settings.domains), loaded.settings.hostname)
        )
        self.assertEqual(self.place / "srv", loaded.state)
        self.assertEqual("# ADDRESS", (self.place / "users").read_text()[:9])

    def test_strange_words(self) -> None:
        """Names that are none are refused; odd paths are quoted."""
        self.mta("init", "--hostname", "a b", "--directory", str(self.place), status=os.EX_USAGE)
        self.init("--user", "ann@elsewhere.org", status=os.EX_USAGE)
        self.assertFalse(self.file.exists())
        self.init("--state", str(self.place / 'odd "name" \\ ä'))
        self.assertEqual(self.place / 'odd "name" \\ ä', load(self.file).state)

    def test_international_domain(self) -> None:
        self.init("--domain", "münchen.example")
        self.assertIn("xn--mnchen-3ya.example", load(self.file).settings.domains)

    def test_certificate(self) -> None:
        for name in ("c.pem", "k.pem"):
            (self.place / name).write_text("x")
        self.init("--certificate", str(self.place / "c.pem"), status=os.EX_USAGE)
        self.init("--certificate", str(self.place / "no.pem"), "--key", "x", status=os.EX_NOINPUT)
        self.init("--certificate", str(self.place / "c.pem"), "--key", str(self.place / "k.pem"))
        self.assertEqual(str(self.place / "c.pem"), load(self.file).settings.tls.certificate)


class CheckTests(SettingUpCase):
    def test_every_mistake(self) -> None:
        """All of them, with line, key, and what to do; 78, EX_CONFIG."""
        self.file.write_text('hostname = "mx.example.org"\n[queue]\nretyr = ["1m"]\nexpire = "soon"\n')
        out = self.mta("check", str(self.file), status=os.EX_CONFIG).out
        self.assertIn(f"{self.file}:3: error: queue.retyr", out)
        self.assertIn(f"{self.file}:4: error: queue.expire", out)
        self.assertIn("2 errors", out)
        value = self.mta("--config", str(self.file), "check", "--json", status=os.EX_CONFIG).json
        self.assertEqual([3, 4], [problem["line"] for problem in value["problems"]])

    def test_local_users(self) -> None:
        """Who signs must be there."""
        self.file.write_text('[dkim]\nsign_local = ["root", "0", "nobody.here"]\n')
        out = self.mta("check", str(self.file), status=os.EX_CONFIG).out
        self.assertIn(f"{self.file}:2: error: dkim.sign_local", out)
        self.assertIn("this system has no user nobody.here", out)
        self.assertIn("1 error", out)

    def test_syntax(self) -> None:
        self.file.write_text("hostname = \n")
        self.assertIn(":1:", self.mta("check", str(self.file), status=os.EX_CONFIG).out)


class UserTests(SettingUpCase):
    def setUp(self) -> None:
        super().setUp()
        self.init()
        self.users = self.place / "users"

    def user(self, *arguments: str, **options: Any) -> Result:
        return self.mta("--config", str(self.file), "user", *arguments, **options)

    def names(self) -> list[str]:
        return list(parse_passwd(self.users.read_text(), "users").entries)

    def test_life(self) -> None:
        """Added, listed, another password, removed."""
        self.user("add", "ann@example.org", "--password-stdin", stdin="correct horse\n")
        self.assertEqual("ann@example.org\n", self.user("list").out)
        [entry] = parse_passwd(self.users.read_text(), "users").entries.values()
        assert entry.verify is not None
        self.assertTrue(entry.verify(b"correct horse"))
        self.user("password", "ann@example.org", "--password-stdin", stdin="another one\n")
        [entry] = parse_passwd(self.users.read_text(), "users").entries.values()
        assert entry.verify is not None
        self.assertTrue(entry.verify(b"another one"))
        self.assertFalse(entry.verify(b"correct horse"))
        self.user("remove", "ann@example.org")
        self.assertEqual([], self.user("list", "--json").json)

    def test_only_accounts_are_listed(self) -> None:
        self.users.write_text("# people\n\nann@example.org:{PLAIN}secret\nnonsense\n")
        self.assertEqual(["ann@example.org"], self.user("list", "--json").json)

    def test_generated(self) -> None:
        """Shown once, kept as a hash."""
        value = self.user("add", "ann@example.org", "--json").json
        self.assertEqual(16, len(value["password"]))
        self.assertNotIn(value["password"], self.users.read_text())

    def test_asked_twice(self) -> None:
        with mock.patch("mta.cli.password.getpass.getpass", side_effect=["long enough", "other"]):
            from mta.cli import password

            self.patch(password.choose_password, "__defaults__", (password.getpass.getpass,))
            result = self.user("add", "ann@example.org", tty=True, status=os.EX_DATAERR)
        self.assertIn("not the same", result.err)
        self.assertEqual([], self.names())

    def test_twice(self) -> None:
        self.user("add", "ann@example.org")
        before = self.users.read_text()
        result = self.user("add", "Ann@Example.org", status=os.EX_DATAERR)
        self.assertIn("exists already", result.err)
        self.assertEqual(before, self.users.read_text())

    def test_unknown(self) -> None:
        self.user("add", "ann@example.org")
        for action in ("remove", "password"):
            result = self.user(action, "anne@example.org", status=os.EX_DATAERR)
            self.assertIn("did you mean ann@example.org?", result.err)

    def test_other_domain(self) -> None:
        """A warning: the account can log in, but no mail comes."""
        result = self.user("add", "ann@elsewhere.org")
        self.assertIn("not served here", result.err)
        self.assertEqual(["ann@elsewhere.org"], self.names())

    def test_domain_that_stands_for_another(self) -> None:
        self.assertNotIn("stands for", self.user("add", "ann@example.org").err)
        with self.file.open("a") as file:
            file.write('[domains."example.net"]\nalias_of = "example.org"\n')
        self.assertIn("example.net stands for example.org", self.user("add", "bob@example.net").err)

    def test_bad_words(self) -> None:
        self.user("add", "ann", status=os.EX_USAGE)
        self.user("add", "a b@example.org", status=os.EX_USAGE)
        result = self.user(
            "add", "ann@example.org", "--password-stdin", stdin="short\n", status=os.EX_DATAERR
        )
        self.assertIn("at least 8", result.err)
        self.assertEqual([], self.names())

    def test_broken_file(self) -> None:
        """A file with errors is not changed, and the line is named."""
        self.users.write_text("ann@example.org\n")
        result = self.user("add", "bob@example.org", status=os.EX_DATAERR)
        self.assertIn("users:1", result.err)
        self.assertEqual("ann@example.org\n", self.users.read_text())

    def test_no_file_identity(self) -> None:
        self.file.write_text('[domains."example.org"]\n[[identity]]\nkind = "ldap"\n')
        self.assertIn("ldap", self.user("list", status=os.EX_CONFIG).err)
