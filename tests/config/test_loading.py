"""What an operator writes into mta.toml, and what they are told about it."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.config.loading import load, parse
from mta.config.problem import ConfigurationError, Problem, nearest
from mta.config.settings import Settings, parse_duration, parse_size

FILE = Path("/etc/mta/mta.toml")
EXAMPLE = Path(__file__).resolve().parent.parent.parent / "etc" / "mta.toml"


class LoadingTests(SynchronousTestCase):
    """A file becomes settings."""

    def problems(self, text: str) -> list[Problem]:
        return self.assertRaises(ConfigurationError, parse, text, FILE).problems

    def test_empty_is_embedded(self) -> None:
        loaded = parse("")
        self.assertTrue(loaded.embedded)
        self.assertEqual("http://127.0.0.1:8025", loaded.settings.api.url)
        self.assertEqual("localhost", loaded.settings.hostname)
        self.assertEqual(["localhost"], list(loaded.settings.domains))
        self.assertEqual("file", loaded.settings.identity[0].kind)
        self.assertEqual(Path.cwd() / "var", loaded.state)

    def test_embedded_content(self) -> None:
        """What was sent can be sent again, unless the file says otherwise."""
        self.assertEqual(7 * 86400, parse("").settings.tracking.bodies)
        self.assertEqual(0, parse("[tracking]\nbodies = 0").settings.tracking.bodies)
        self.assertEqual(0, parse('[domains."example.org"]', FILE).settings.tracking.bodies)

    def test_embedded_links(self) -> None:
        """They lead to the listener on loopback, or to what the operator says; nowhere if there is none."""
        for text, url in (
            ('[listen]\nhttp = ["tcp:9025:interface=127.0.0.1"]', "http://127.0.0.1:9025"),
            ('[api]\nurl = "https://mail.example.org"', "https://mail.example.org"),
            ('[listen]\nhttp = ["tcp:9025"]', ""),
        ):
            self.assertEqual(url, parse(text).settings.api.url, text)

    def test_own_domain_is_not_embedded(self) -> None:
        loaded = parse('hostname = "mx.example.org"\n[domains."Example.ORG"]\n', FILE)
        self.assertFalse(loaded.embedded)
        self.assertEqual(["example.org"], list(loaded.settings.domains))
        self.assertEqual([], loaded.settings.identity)

    def test_state_is_relative_to_the_file(self) -> None:
        self.assertEqual(Path("/etc/mta/spool"), parse('state = "spool"', FILE).state)
        self.assertEqual(Path("/srv/mta"), parse('state = "spool"', FILE, "/srv/mta").state)

    def test_values(self) -> None:
        settings = parse(
            '[queue]\nretry = ["1m", "2h"]\nexpire = "5d"\n[limits]\nmessage_size = "10M"\n'
            '[access]\nrelay_from = ["192.0.2.7/24", "::1"]\n'
        ).settings
        self.assertEqual([60.0, 7200.0], settings.queue.retry)
        self.assertEqual(432000.0, settings.queue.expire)
        self.assertEqual(10 << 20, settings.limits.message_size)
        self.assertEqual([ip_network("192.0.2.0/24"), ip_network("::1")], settings.access.relay_from)

    def test_tls_reports(self) -> None:
        """Nobody reports without saying who answers, or writes a header of their own with an address."""
        table = [
            ('organization = "x"', "without a contact"),
            ('sender = "a@b.test"', "without a contact"),
            ('contact = "nobody"', "is no address"),
            ('contact = "a@b.test\\r\\nBcc: c@d.test"', "is no address"),
            ('contact = "a@b.test"\nsender = "a@c.test"', "of one domain"),
            ('contact = "a@b.test"\nspread = "1d"', "half a day"),
            ('addresses = ["here"]', "is no address"),
            ('private = ["inside"]', "is no network"),
        ]
        for text, words in table:
            [problem] = self.problems(f"[tls_report]\n{text}\n")
            self.assertIn(words, str(problem))

    def test_every_mistake_with_its_line(self) -> None:
        problems = self.problems(
            'hostnam = "x"\n'
            "\n"
            "[queue]\n"
            'retry = [\n  "1m",\n  "soon",\n]\n'
            '[domains."example.org"]\n'
            'quta = "1G"\n'
            "[[identity]]\n"
            'path = "users"\n'
        )
        self.assertEqual(
            [(1, "hostnam"), (6, "queue.retry"), (9, 'domains."example.org".quta'), (10, "identity.kind")],
            [(problem.line, problem.key) for problem in problems],
        )
        self.assertIn("'hostname'", problems[0].remedy)
        self.assertIn('"soon"', problems[1].what)
        self.assertIn("'quota'", problems[2].remedy)
        self.assertTrue(str(problems[0]).startswith("/etc/mta/mta.toml:1: hostnam: unknown key"))

    def test_what_to_write_instead(self) -> None:
        """A value of another type is answered with what should stand there."""
        for text, key, words in (
            ("hostname = 5", "hostname", 'hostname = "5"'),
            ('[queue]\nretry = "1m"', "queue.retry", 'write retry = ["1m"]'),
            ('[identity]\nkind = "file"', "identity", "[[identity]]"),
            ("[domains.mail.example.org]\nquota = 1", "domains.mail.example", '[domains."mail.example.org"]'),
            ('workers = "many"', "workers", '"auto"'),
            ("[tls]\nminimum = 1.2", "tls.minimum", '"1.2"'),
            ("domains = []", "domains", "table"),
            ("[limits]\nrecipients = 5", "limits.recipients", "at least 100"),
            ('[relay]\nipv6 = "maybe"', "relay.ipv6", "true or false"),
            ('[relay]\nsource_address = "300.1.1.1"', "relay.source_address", "IP address"),
            ('[domains."a.test"]\nfile_mode = 600', 'domains."a.test".file_mode', "0o600"),
            ('[domains."a.test"]\nfile_mode = "rw"', 'domains."a.test".file_mode', "0o600"),
        ):
            (problem,) = self.problems(text)
            self.assertEqual(key, problem.key)
            self.assertIn(words, f"{problem.what} {problem.remedy}")
            self.assertNotIn("nput should be a valid", problem.what)

    def test_modes_are_octal(self) -> None:
        domain = parse('[domains."a.test"]\nfile_mode = "0640"\ndirectory_mode = 0o2750\n').settings.domains[
            "a.test"
        ]
        self.assertEqual((0o640, 0o2750), (domain.file_mode, domain.directory_mode))

    def test_twice(self) -> None:
        (problem,) = self.problems('[domains."a.test"]\n[domains."A.test"]\n')
        self.assertEqual((2, 'domains."A.test"'), (problem.line, problem.key))
        (problem,) = self.problems('[listen]\nmx = ["tcp:25"]\nsubmission = ["tcp:25"]\n')
        self.assertEqual((3, "listen.submission"), (problem.line, problem.key))

    def test_syntax(self) -> None:
        (problem,) = self.problems("workers = 1\nstate = var\n")
        self.assertEqual(2, problem.line)
        self.assertIn("not TOML", problem.what)

    def test_half_a_certificate(self) -> None:
        (problem,) = self.problems('[tls]\nkey = "key.pem"\n')
        self.assertIn("tls.certificate is missing", problem.what)

    def test_no_domain(self) -> None:
        (problem,) = self.problems('[domains."no spaces"]\n')
        self.assertEqual(1, problem.line)

    def test_domain_that_the_dns_cannot_spell(self) -> None:
        text = '[domains."b\u00fccher..test"]\n'
        error = self.assertRaises(ConfigurationError, parse, text, Path("/etc/mta/mta.toml"))
        self.assertEqual([1], [problem.line for problem in error.problems])

    def test_workers(self) -> None:
        self.assertIn("1 to 64", self.problems("workers = 0")[0].remedy)
        self.assertGreaterEqual(int(parse('workers = "auto"').settings.workers), 1)

    def test_two_of_one_name(self) -> None:
        (problem,) = self.problems('[[transport]]\nkind = "pipe"\n\n[[transport]]\nkind = "pipe"\n')
        self.assertEqual((4, "transport"), (problem.line, problem.key))

    def test_embedded_ports(self) -> None:
        """Who tries it out can read mail at once; a server with domains listens where it is told to."""
        embedded = parse("").settings.listen
        self.assertEqual(["tcp:2143:interface=127.0.0.1"], embedded.imap)
        self.assertEqual([], parse("[listen]\nimap = []\n").settings.listen.imap)
        self.assertEqual([], parse('[domains."example.org"]\n').settings.listen.imap)

    def test_missing_file(self) -> None:
        error = self.assertRaises(ConfigurationError, load, Path(self.mktemp()))
        self.assertIn("mta init", str(error))

    def test_not_utf8(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b'workers = 1\nhostname = "\xff"\n')
        error = self.assertRaises(ConfigurationError, load, path)
        self.assertEqual(2, error.problems[0].line)


class ValueTests(SynchronousTestCase):
    """Durations and sizes as people write them."""

    def test_durations(self) -> None:
        for text, seconds in (("90", 90), ("90s", 90), ("1.5h", 5400), ("2d", 172800), ("1w", 604800)):
            self.assertEqual(seconds, parse_duration(text))
        self.assertRaises(ValueError, parse_duration, "5 minutes")

    def test_sizes(self) -> None:
        for text, octets in (
            ("10", 10),
            ("64K", 65536),
            ("1.5M", 1572864),
            ("2 GiB", 2 << 30),
            ("1TB", 1 << 40),
        ):
            self.assertEqual(octets, parse_size(text))
        self.assertRaises(ValueError, parse_size, "big")

    def test_nearest(self) -> None:
        self.assertEqual("relay_from", nearest("relay-form", ["relay_from", "other"]))
        self.assertEqual("", nearest("zzz", ["relay_from"]))


class BounceTests(SynchronousTestCase):
    """``[[bounce]]``: what replies mean."""

    def test_rule(self) -> None:
        loaded = parse('[[bounce]]\nmeans = "full"\ntext = ["no room"]\ndelay = "6h"\n', FILE)
        (bounce,) = loaded.settings.bounce
        rule = bounce.rule()
        self.assertEqual(("full", ["no room"], 21600.0), (rule.means, rule.text, rule.delay))

    def test_mistakes(self) -> None:
        for lines, words in (
            ('means = "ful"\ntext = ["x"]', "there is no such class; known are bad-mailbox"),
            ('means = "full"', "it fits every reply"),
            ('means = "full"\ntext = ["*"]', "a phrase of text is empty"),
            ('means = "full"\ncode = ["250"]', "'250' is no reply code"),
            ('means = "full"\nenhanced = ["5.7"]', "'5.7' is no enhanced status code"),
        ):
            error = self.assertRaises(ConfigurationError, parse, f"[[bounce]]\n{lines}\n", FILE)
            self.assertIn(words, str(error))


class ExampleTests(SynchronousTestCase):
    """etc/mta.toml shows every setting with its default."""

    def uncommented(self) -> str:
        """The example with every commented setting made real; prose comments have a space."""
        lines = []
        for line in EXAMPLE.read_text("utf-8").splitlines():
            lines.append(line[1:] if line.startswith("#") and not line.startswith(("# ", "#:")) else line)
        return "\n".join(lines)

    def test_loads_as_it_is(self) -> None:
        parse(EXAMPLE.read_text("utf-8"), EXAMPLE)

    def test_loads_with_everything_uncommented(self) -> None:
        parse(self.uncommented(), EXAMPLE)

    def test_every_setting_with_its_default(self) -> None:
        import tomllib

        shown = tomllib.loads(self.uncommented())
        self._compare(Settings, shown, "")

    def _compare(self, model: Any, shown: dict[str, Any], prefix: str) -> None:
        for name, field in model.model_fields.items():
            place = f"{prefix}{name}"
            self.assertIn(name, shown, f"etc/mta.toml does not show {place}")
            inner = field.annotation
            if isinstance(inner, type) and hasattr(inner, "model_fields"):
                self._compare(inner, shown[name], f"{place}.")
            elif not prefix or name == "domains" or place == "access.rule":
                continue
            else:
                given = model.model_validate({name: shown[name]})
                self.assertEqual(
                    getattr(model(), name), getattr(given, name), f"etc/mta.toml shows another {place}"
                )
