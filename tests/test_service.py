"""Joining the parts: what is wrong with a configuration comes with its file and line."""

from __future__ import annotations

import os
import signal
import sys
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta import service
from mta.config.loading import load
from mta.examination import check
from mta.hangup import Hangup
from mta.service import make
from mta.tap import Options, makeService


class MistakeTests(SynchronousTestCase):
    """Mistakes that only the parts themselves find."""

    def file(self, text: str) -> Path:
        path = Path(self.mktemp()).absolute()
        path.write_text(text)
        return path

    def found(self, text: str) -> list[tuple[int, str]]:
        return [(problem.line, problem.key) for problem in check(self.file(text))]

    def test_authorities_of_reports(self) -> None:
        text = '[tls_report]\ncontact = "a@b.test"\nauthorities = "nowhere.pem"\n[domains."b.test"]\n'
        self.assertEqual([(3, "tls_report.authorities")], self.found(text))

    def test_domains(self) -> None:
        """Every domain is told of, each at its own line."""
        text = """[queue]
postmaster = "a b@c"
[domains."one.test"]
maildir = "/var/mail/all"
[domains."two.test"]
separator = "--"
[domains."three.test"]
catch_all = "*"
[domains."four.test"]
maildir = "{home}/{local}"
"""
        expected = [
            (2, "queue.postmaster"),
            (4, 'domains."one.test".maildir'),
            (6, 'domains."two.test".separator'),
            (8, 'domains."three.test".catch_all'),
            (10, 'domains."four.test".maildir'),
        ]
        self.assertEqual(expected, self.found(text))

    def test_relay_that_is_not_told_where_to(self) -> None:
        """Its own MX records would lead the mail of a domain of ours back to us."""
        text = """[domains."one.test"]
transport = "relay"
[domains."two.test"]
transport = "relay"
next_hop = "inner.test"
[domains."three.test"]
transport = "out"
[domains."four.test"]
alias_of = "five.test"
[[transport]]
kind = "relay"
name = "out"
smarthost = "out.test"
"""
        self.assertEqual([(2, 'domains."one.test".transport')], self.found(text))
        text = text.replace('[domains."one.test"]\ntransport = "relay"', '[domains."one.test"]\n#')
        self.assertEqual([(9, 'domains."four.test".alias_of')], self.found(text))

    def test_backup_of_ourselves(self) -> None:
        text = '[domains."one.test"]\n[backup_mx]\ndomains = ["One.test", ".one.test"]\n'
        self.assertEqual([(2, "backup_mx")], self.found(text))

    def test_dns_servers(self) -> None:
        self.assertEqual([(2, "dns.servers")], self.found('[dns]\nservers = ["ns.example.org"]\n'))

    def test_dns_servers_and_smarthost(self) -> None:
        self.assertEqual([(2, "relay.smarthost")], self.found('[relay]\nsmarthost = "a b"\n'))

    def test_plugins_settings(self) -> None:
        """What a plugin finds when it is made stands at the key that it names."""
        tables = (
            ("transport", 'kind = "pipe"\ncommand = ["/no/such"]', "command"),
            ("transport", 'kind = "pipe"\ncommand = ["/bin/sh"]\nuser = "no-such-user"', "user"),
            ("identity", 'kind = "file"\npath = "none"', "path"),
            ("identity", 'kind = "ldap"\nuri = "ldap://x"\npassword_file = "none"', "password_file"),
            ("identity", 'kind = "ldap"\nuri = "ldap://x"\nca_file = "none"', "ca_file"),
            ("identity", 'kind = "ldap"\nuri = "ldap://x:99999"', "uri"),
            ("identity", 'kind = "ldap"\nuri = "ldap://x"\nfilter = "(mail={adress})"', "filter"),
            ("identity", 'kind = "ldap"\nuri = "ldap://x"\nfilter = "(mail={address}"', "filter"),
            ("identity", 'kind = "ldap"\nuri = "ldap://x"\nfilter = "(mail=*)"', "filter"),
            (
                "identity",
                'kind = "ldap"\nuri = "ldap://x"\nbind_dn_template = "uid={name}"',
                "bind_dn_template",
            ),
            ("transport", 'kind = "lmtp"\nname = "x"\nhost = "a:24"', "host"),
            ("transport", 'kind = "lmtp"\nname = "x"\nhost = "unix:run/lmtp"', "host"),
        )
        for table, text, key in tables:
            line = 1 + text[: text.rindex(f"{key} =")].count("\n") + 1
            if os.geteuid() == 0 or key != "user":
                self.assertEqual([(line, f"{table}.{key}")], self.found(f"[[{table}]]\n{text}\n"), text)

    def test_relay_without_a_password(self) -> None:
        text = '[relay]\nsmarthost = "mail.test"\nusername = "x"\n'
        self.assertEqual([(3, "relay.username")], self.found(text))

    def test_certificate(self) -> None:
        """The line is that of the file that is wrong."""
        text = '[tls]\nkey = "none.key"\ncertificate = "none.pem"\n'
        self.assertEqual([(3, "tls.certificate")], self.found(text))

    def test_endpoints(self) -> None:
        for endpoint in ("25", "tcp:foo", "tcp:99999", "smtp:25"):
            self.assertEqual([(2, "listen.mx")], self.found(f'[listen]\nmx = ["{endpoint}"]\n'), endpoint)

    def test_state(self) -> None:
        """A state directory that can never be one is told of before the server is started."""
        path = self.file("")
        path.write_text(f'state = "{path}"\n')
        (problem,) = check(path)
        self.assertEqual((1, "state", "error"), (problem.line, problem.key, problem.severity))

    def test_maps(self) -> None:
        """Each mistake in a table and in a file that it names, with file and line."""
        path = self.file("")
        (path.parent / "virtual").write_text("# addresses\nann@one.test\n/(/ bob@one.test\n")
        (path.parent / "transport").write_text("two.test nowhere:[192.0.2.1]\n")
        (path.parent / "passwords").write_text("smart.test geheim\n")
        path.write_text(
            """[domains."one.test"]
[domains."two.test"]
alias_of = "one.test"
[[rewrite]]
file = "virtual"
[[rewrite]]
match = "/^(a)@/"
to = "$2@one.test"
[[route]]
match = ["*"]
transport = "relay"
next_hop = "a b"
[[route]]
file = "transport"
[[sender_relay]]
match = "account:ann"
transport = "office"
[backup_mx]
domains = [
  "*",
]
[relay]
passwords = "passwords"
"""
        )
        problems = check(path)
        found = [(Path(problem.file).name, problem.line, problem.key) for problem in problems]
        self.assertEqual(
            [
                ("transport", 1, ""),
                ("virtual", 2, ""),
                ("virtual", 3, ""),
                (path.name, 8, "rewrite.to"),
                (path.name, 12, "route.next_hop"),
                (path.name, 17, "sender_relay.transport"),
                (path.name, 19, "backup_mx.domains"),
                (path.name, 23, "relay.passwords"),
            ],
            sorted(found, key=lambda item: (item[0] == path.name, item)),
        )
        self.assertNotIn("geheim", str([str(problem) for problem in problems]))
        self.assertTrue(all(problem.remedy or "passwords" in problem.key for problem in problems))

    def test_first_password_is_told_before_anything_can_fail(self) -> None:
        """A first start that finds its port in use must not leave an account whose password nobody saw."""
        said = StringIO()
        self.patch(sys, "__stdout__", said)
        self.patch(sys, "stderr", StringIO())
        path = self.file('[[judge]]\nkind = "none"\n')
        options = Options()
        options.parseOptions(["--config", str(path), "--state", self.mktemp()])  # type: ignore[no-untyped-call]
        self.assertRaises(SystemExit, makeService, options)
        self.assertIn("(shown only now)", said.getvalue())

    def test_said_when_started(self) -> None:
        """twistd names file and line, and shows no traceback."""
        path = self.file('[domains."one.test"]\nmaildir = "/var/mail/all"\n')
        said = StringIO()
        self.patch(sys, "stderr", said)
        options = Options()
        options.parseOptions(["--config", str(path), "--state", self.mktemp()])  # type: ignore[no-untyped-call]
        end = self.assertRaises(SystemExit, makeService, options)
        self.assertEqual(os.EX_CONFIG, end.code)
        self.assertIn(f'{path}:2: domains."one.test".maildir: ', said.getvalue())


class SignalTests(SynchronousTestCase):
    """A signal that comes too early."""

    def test_reload_while_starting(self) -> None:
        """SIGHUP does not end a server that is not ready yet, and is not lost: its files may be older."""
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        path = Path(self.mktemp()).absolute()
        path.write_text('[domains."one.test"]\n')
        hangup = Hangup()
        self.patch(service, "Hangup", lambda: hangup)
        make(load(path, str(Path(self.mktemp()).absolute())))
        signal.raise_signal(signal.SIGHUP)
        reloads: list[int] = []
        hangup.serve(lambda: reloads.append(1))
        self.assertEqual([1], reloads)
