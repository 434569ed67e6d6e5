"""A stranger's package adds a plugin to five seams, with settings of their own in ``mta.toml``."""

from __future__ import annotations

import os
import shutil
import smtplib
import subprocess
from pathlib import Path

from tests.e2e.client import Speaker
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server
from tests.e2e.test_clients import trusting

PACKAGE = Path(__file__).parent / "plugin_package"
SETTINGS = {
    "identity": [
        {"kind": "riddle", "word": "sesame-"},
        {"kind": "list", "addresses": ["anna@example.org", "ben@example.org"]},
    ],
    "judge": [{"kind": "words", "forbidden": ["viagra"], "hidden": "secret", "copy_to": "ben@example.org"}],
    "router": [{"kind": "hosts", "domain": "folder.test", "transport": "files"}],
    "transport": [{"kind": "folder", "name": "files", "path": "files"}],
}


class PluginPackageScenario(Scenario):
    def setUp(self) -> None:
        super().setUp()
        # A copy, because twisted.plugin leaves a cache in it.
        package = self.place / "package"
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
        path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")]))
        self.server = Server(self.place / "server", None, env={"PYTHONPATH": path}, **SETTINGS)

    def test_all_five(self) -> None:
        server = self.part(self.server).start()
        with smtplib.SMTP("127.0.0.1", server.ports["submission"], timeout=60) as client:
            client.starttls(context=trusting())
            with self.assertRaises(smtplib.SMTPAuthenticationError):
                client.login("ben@example.org", "sesame-ben")
        with smtplib.SMTP("127.0.0.1", server.ports["submission"], timeout=60) as client:
            client.starttls(context=trusting())
            # The checker, and the directory that knows whose addresses they are.
            client.login("ben@example.org", "sesame-neb")
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                client.sendmail("ben@example.org", ["carl@example.org"], "Subject: x\r\n\r\nx\r\n")
            client.sendmail("ben@example.org", ["anna@example.org"], "Subject: hello\r\n\r\nHello.\r\n")
            # The judge.
            with self.assertRaises(smtplib.SMTPDataError) as caught:
                client.sendmail("ben@example.org", ["anna@example.org"], "Subject: viagra\r\n\r\nx\r\n")
            self.assertEqual(550, caught.exception.smtp_code)
            self.assertIn(b"We do not want viagra here", caught.exception.smtp_error)
        [mail] = server.wait_mail("anna@example.org")
        self.assertIn(b"Subject: hello", mail)
        server.wait_trace("ben@example.org", "words: viagra")
        # The router and the transport.
        with Speaker(server.ports["mx"]) as speaker:
            answer = speaker.send("s@client.test", ["any@folder.test"], b"Subject: file\r\n\r\nHello.\r\n")
        self.assertEqual(b"250", answer[:3])
        files = self.place / "server" / "files"
        [path] = wait_for(lambda: files.is_dir() and list(files.iterdir()), "there is no file")
        self.assertTrue(path.name.endswith("-any@folder.test"))
        wait_for(lambda: b"Subject: file" in path.read_bytes(), "it is empty")
        server.wait_trace("any@folder.test", "delivered", "In the folder as")

    def test_content_filter(self) -> None:
        """A judge changes fields, body and recipients of a message, a small one and one in a file."""
        server = self.part(self.server).start()
        for number, lines in enumerate((1, 5000), 1):
            body = b"a secret, and more of it here\r\n" * lines
            with Speaker(server.ports["mx"]) as speaker:
                answer = speaker.send("s@client.test", ["anna@example.org"], b"Subject: x\r\n\r\n" + body)
            self.assertEqual(b"250", answer[:3], answer)
            for box in ("anna@example.org", "ben@example.org"):
                found = server.wait_mail(box, number)[-1]
                top, _, rest = found.partition(b"\nReceived:")
                self.assertIn(b"\nX-Words: hidden", top)
                self.assertIn(b"\nSubject: changed\n\n", rest)
                self.assertTrue(found.endswith(b"\n\n" + b"a ******, and more of it here\n" * lines))
        identifier = next(word for word in answer.decode().split() if len(word) == 13)
        server.wait_trace(identifier, "added X-Words", "added the recipient <ben@example.org>")

    def test_mistakes(self) -> None:
        """A mistake in a plugin's settings is reported with file and line, and with what is known."""
        self.server.change(
            judge=[{"kind": "words", "forbiden": ["viagra"]}],
            transport=[{"kind": "foldr", "name": "files", "path": "files"}],
        )
        self.server.write()
        text = self.server.file.read_text().splitlines()
        judge = next(number for number, line in enumerate(text, 1) if "forbiden" in line)
        transport = next(number for number, line in enumerate(text, 1) if "foldr" in line)
        done = subprocess.run(
            self.server.command,
            env={**os.environ, **self.server._env},
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertNotEqual(0, done.returncode)
        said = done.stdout + done.stderr
        self.assertIn(f"mta.toml:{judge}: ", said)
        self.assertIn("forbidden", said)
        self.assertIn(f"mta.toml:{transport}: ", said)
        self.assertIn("folder", said)
        self.assertIn("forbiden", self.server.mta("check", check=False))
