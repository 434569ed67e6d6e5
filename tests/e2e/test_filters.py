"""Mail through real filters: refused, marked, changed, held; and what becomes of it when they are gone."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tests.e2e.client import Load, Speaker, load_id
from tests.e2e.filters import EICAR, MARKED, SPAM, SUBJECT, ClamAv, Filter, OpenDkim, Rspamd, make_dkim_key
from tests.e2e.scenario import Scenario, mails, wait_for
from tests.e2e.server import Server

ANNA = "anna@example.org"
#: Attached as a mail program would do it; the pattern of the test file must begin the file.
_ATTACHED = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n"
    b"--b\r\nContent-Type: application/octet-stream; name=x.com\r\n"
    b"Content-Disposition: attachment; filename=x.com\r\n\r\n%s\r\n--b--\r\n"
)
INFECTED = _ATTACHED % EICAR


def mail(body: bytes, subject: bytes = b"Hello", head: bytes = b"") -> bytes:
    fields = (
        b"From: Sam <sam@sender.test>\r\nTo: anna@example.org\r\nSubject: %s\r\n"
        b"Date: Wed, 25 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@sender.test>\r\n"
    )
    return fields % subject + head + (body if body.startswith(b"MIME") else b"\r\n" + body + b"\r\n")


class FilterScenario(Scenario):
    def serve(self, *filters: Filter, **settings: Any) -> Server:
        """A server that asks these."""
        judges = [
            {"kind": "milter", "name": one.base.name, "endpoint": one.endpoint, **settings} for one in filters
        ]
        return self.part(Server(self.place / "server", judge=judges)).start()

    def send(self, server: Server, content: bytes, sender: str = "sam@sender.test") -> str:
        with Speaker(server.ports["mx"]) as client:
            return client.send(sender, [ANNA], content).decode()

    def taken(self, server: Server, content: bytes, sender: str = "sam@sender.test") -> str:
        """Send what must be accepted; the queue id."""
        reply = self.send(server, content, sender)
        self.assertTrue(reply.startswith("250 "), reply)
        return next(word for word in reply.split() if len(word) == 13)

    def held(self, server: Server) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(server.mta("quarantine", "list", "--json"))
        return found

    def told(self, server: Server, reply: str, *words: str) -> None:
        """The history of a refusal has these words."""
        server.wait_trace(reply.split("[")[-1].split("]")[0], *words)

    def traced(self, server: Server, *options: str) -> None:
        """What was refused after its content is found by its sender."""

        def found() -> bool:
            told = server.mta("trace", "sam@sender.test", *options, check=False)
            return "milter.end-of-message" in told

        wait_for(found, f"mta trace {options} does not tell of it")

    def arrived(self, server: Server, subject: bytes) -> bytes:
        """A message in the inbox, by its subject."""

        def look() -> bytes:
            found = [path.read_bytes() for path in server.mails(ANNA)]
            return next((one for one in found if b"\nSubject: " + subject + b"\n" in one), b"")

        return wait_for(look, f"{subject!r} is not in the inbox")

    def killed_in_use(self, server: Server, filter: Filter, mark: bytes) -> None:
        """Under load the filter is killed and started again: what was acknowledged is there, checked."""
        boxes = [ANNA, "ben@example.org"]
        load = self.part(Load(server.ports["mx"], boxes, threads=3, pace=60))

        def goes(what: Any) -> None:
            before = what()
            wait_for(lambda: what() > before + 10, f"it does not go on: {load.output}", 60)

        goes(lambda: len(load.acknowledged))
        filter.kill()
        refused = len(load.refused)
        goes(lambda: load.sent)
        filter.start()
        goes(lambda: len(load.acknowledged))
        load.stop()
        self.assertTrue(all(reply[:1] == b"4" for reply in load.refused), load.output)
        self.assertGreater(len(load.refused), refused, "nobody noticed that it was killed")

        def all_there() -> bool:
            return sum(len(self.everywhere(server, box)) for box in boxes) >= len(load.acknowledged)

        wait_for(all_there, f"something is missing: {load.output}", 60)
        found: Counter[str] = Counter()
        for box in boxes:
            for octets in self.everywhere(server, box):
                found[load_id(octets)] += 1
                self.assertIn(mark, octets, "it was not checked")
        self.assertEqual(set(load.acknowledged), set(found) & set(load.acknowledged))
        self.assertEqual(1, max(found.values()))

    def everywhere(self, server: Server, box: str) -> list[bytes]:
        """Inbox and junk."""
        root = server.maildir(box)
        return [path.read_bytes() for where in (root, root / ".Junk") for path in mails(where)]


class ContentTests(FilterScenario):
    def test_rules(self) -> None:
        """Rules of our own: an attachment refused, another held, a subject marked and filed away."""
        rules = [
            {
                "name": "programs",
                "attachment": ["*.com"],
                "action": "reject",
                "reason": "We take no programs",
            },
            {"name": "large", "attachment_larger": "200K", "action": "hold"},
            {
                "name": "lottery",
                "header": {"Subject": "you won"},
                "action": "tag",
                "fields": {"X-Spam": "Yes"},
            },
        ]
        server = self.part(Server(self.place / "server", judge=[{"kind": "content", "rule": rules}])).start()
        refused = self.send(server, mail(_ATTACHED % b"MZ"))
        self.assertTrue(refused.startswith("550 5.7.1 We take no programs"), refused)
        self.told(server, refused, "content.programs", "'x.com'")
        large = _ATTACHED.replace(b"x.com", b"x.dat") % b"\r\n".join([b"x" * 70] * 4000)
        identifier = self.taken(server, mail(large, b"Large"))
        [held] = self.held(server)
        self.assertEqual((identifier, "Large"), (held["id"], held["subject"]))
        self.assertIn("content.large", held["reason"])
        self.taken(server, mail(b"Money", b"=?utf-8?q?You_won?="))
        junk = server.maildir(ANNA) / ".Junk"
        [path] = wait_for(lambda: mails(junk), "nothing is in the junk folder")
        self.assertIn(b"\nX-Spam: Yes\n", path.read_bytes())
        server.mta("quarantine", "release", identifier)
        self.arrived(server, b"Large")


class RspamdTests(FilterScenario):
    def test_verdicts(self) -> None:
        """It refuses, marks for the junk folder, and changes the subject; the rest goes through."""
        server = self.serve(self.part(Rspamd(self.place / "rspamd")))
        self.taken(server, mail(b"How are you?"))
        clean = self.arrived(server, b"Hello")
        self.assertNotIn(b"\nX-Spam: Yes", clean)
        refused = self.send(server, mail(SPAM))
        self.assertTrue(refused.startswith("554 5.7.1 "), refused)
        self.traced(server, "--rejected", "--json")
        identifier = self.taken(server, mail(MARKED, b"Marked"))
        junk = server.maildir(ANNA) / ".Junk"
        [path] = wait_for(lambda: mails(junk), "nothing is in the junk folder")
        self.assertIn(b"\nX-Spam: Yes\n", path.read_bytes())
        self.assertTrue((junk / "maildirfolder").exists())
        server.wait_trace(identifier, "junk by X-Spam: Yes", "rspamd changes:")
        self.taken(server, mail(SUBJECT, b"Buy"))
        self.arrived(server, b"*** SPAM *** Buy")
        # What is in a file of its own is written to another one.
        lines = b"\r\n".join([b"0123456789" * 7] * 10_000)
        large = (_ATTACHED % lines).replace(b"See below.", SUBJECT)
        self.taken(server, mail(large, b"Large"))
        found = self.arrived(server, b"*** SPAM *** Large")
        self.assertTrue(found.endswith(large.partition(SUBJECT)[2].replace(b"\r\n", b"\n")))
        files = server.state / "spool" / "0" / "content"
        wait_for(lambda: not list(files.iterdir()), f"files are left in {files}")

    def test_quarantine(self) -> None:
        """What it is sure of is held; a person looks at it, and lets it go or takes it away."""
        server = self.serve(self.part(Rspamd(self.place / "rspamd", "quarantine_on_reject = true;")))
        first = self.taken(server, mail(SPAM, b"One"))
        second = self.taken(server, mail(SPAM, b"Two"))
        held = self.held(server)
        self.assertEqual([(first, "One"), (second, "Two")], [(one["id"], one["subject"]) for one in held])
        self.assertTrue(all(one["reason"].startswith("milter.quarantine: ") for one in held), held)
        self.assertIn(SPAM.decode(), server.mta("quarantine", "show", first))
        self.assertIn("1 message released", server.mta("quarantine", "release", first))
        self.assertIn(SPAM, self.arrived(server, b"One"))
        self.assertIn("1 message removed", server.mta("quarantine", "remove", second, "--reason", "spam"))
        self.assertEqual([], self.held(server))
        server.wait_trace(second, "remove", "spam")

    def test_killed_in_use(self) -> None:
        filter = self.part(Rspamd(self.place / "rspamd"))
        server = self.serve(filter)
        self.killed_in_use(server, filter, b"\nX-Checked: ")

    def test_frozen(self) -> None:
        """It takes connections and says nothing: clients are put off in time, and told why."""
        filter = self.part(Rspamd(self.place / "rspamd"))
        server = self.serve(filter, content_timeout=1)
        with Speaker(server.ports["mx"]) as client:
            client.say(b"MAIL FROM:<sam@sender.test>", b"RCPT TO:<anna@example.org>", b"DATA")
            filter.freeze()
            client.socket.sendall(mail(b"x") + b".\r\n")
            reply = client.reply().decode()
        self.assertTrue(reply.startswith("451 4.7.1 "), reply)
        self.told(server, reply, "it was silent for 1 seconds")


class OpenDkimTests(FilterScenario):
    def setUp(self) -> None:
        super().setUp()
        self.keys = make_dkim_key(self.place / "keys")

    def ours(self, body: bytes, subject: bytes = b"Hello") -> bytes:
        return mail(body, subject).replace(b"sender.test", b"example.org")

    def test_signs_and_verifies(self) -> None:
        """Two in a row: what the first has signed, the second finds to be right."""
        signer = self.part(OpenDkim(self.place / "signer", "s", self.keys))
        verifier = self.part(OpenDkim(self.place / "verifier", "v", self.keys))
        server = self.serve(signer, verifier)
        large = b"\r\n".join([b"0123456789" * 7] * 20_000)
        for subject, body in ((b"Small", b"Hello\r\n  there"), (b"Large", large)):
            self.taken(server, self.ours(body, subject), "sam@example.org")
            found = self.arrived(server, subject)
            above, _, signature = found.partition(b"\nDKIM-Signature: v=1; a=rsa-sha256; ")
            self.assertTrue(signature.startswith(b"c=relaxed/simple; d=example.org; s=s1;"), found[:2000])
            self.assertIn(b"dkim=pass", above)

    def test_bad_signatures(self) -> None:
        """Refused, and held, as it is configured; forged results of its own name are taken out."""
        signer = self.part(OpenDkim(self.place / "signer", "s", self.keys))
        server = self.serve(signer)
        self.taken(server, self.ours(b"Hello"), "sam@example.org")
        signed = self.arrived(server, b"Hello")
        head = signed[signed.index(b"DKIM-Signature") :].replace(b"\n", b"\r\n")
        signature, _, rest = head.partition(b"\r\nReceived:")
        fields = rest[rest.index(b"From:") :]
        server.stop()
        for action, setting in (("refused", "reject"), ("held", "quarantine")):
            # It asks for the right to have mail held only with CaptureUnknownErrors.
            configuration = f"On-BadSignature {setting}\nAuthservID dkim.test\nCaptureUnknownErrors yes"
            filter = self.part(OpenDkim(self.place / setting, "v", self.keys, configuration))
            judge = {"kind": "milter", "endpoint": filter.endpoint}
            other = self.part(Server(self.place / action, judge=[judge])).start()
            good = signature + b"\r\n" + fields
            self.taken(other, b"Authentication-Results: dkim.test; dkim=fail\r\n" + good, "sam@example.org")
            found = self.arrived(other, b"Hello")
            self.assertEqual(1, found.count(b"Authentication-Results: dkim.test"))
            self.assertIn(b"dkim=pass", found)
            bad = good.replace(b"Hello\r\n", b"Hallo\r\n")
            reply = self.send(other, bad, "sam@example.org")
            if setting == "reject":
                self.assertTrue(reply.startswith("550 5.7.0 "), reply)
            else:
                self.assertTrue(reply.startswith("250 "), reply)
                [one] = self.held(other)
                self.assertEqual("milter.quarantine: opendkim", one["reason"])
            other.stop()

    def test_killed_in_use(self) -> None:
        filter = self.part(OpenDkim(self.place / "verifier", "v", self.keys, "AlwaysAddARHeader yes"))
        server = self.serve(filter)
        self.killed_in_use(server, filter, b"Authentication-Results: ")

    def test_accepted_without(self) -> None:
        """With default_action = "accept" mail goes on unsigned, and the history tells that and why."""
        filter = self.part(OpenDkim(self.place / "signer", "s", self.keys))
        server = self.serve(filter, default_action="accept")
        with Speaker(server.ports["mx"]) as client:
            client.say(b"MAIL FROM:<sam@example.org>", b"RCPT TO:<anna@example.org>", b"DATA")
            filter.kill()
            client.socket.sendall(self.ours(b"x") + b".\r\n")
            reply = client.reply().decode()
        self.assertTrue(reply.startswith("250 "), reply)
        self.assertNotIn(b"DKIM-Signature", self.arrived(server, b"Hello"))
        identifier = next(word for word in reply.split() if len(word) == 13)
        server.wait_trace(identifier, "it cannot be reached", "accept")


class ClamAvTests(FilterScenario):
    def test_refuses(self) -> None:
        """A clean message is marked as such, whatever it says of itself; an infected one is refused."""
        server = self.serve(self.part(ClamAv(self.place / "clamav")))
        forged = b"X-Virus-Status: Infected, or whatever you like\r\n"
        self.taken(server, mail(_ATTACHED % b"harmless", b"Clean", forged))
        clean = self.arrived(server, b"Clean")
        self.assertEqual(1, clean.count(b"X-Virus-Status:"))
        self.assertIn(b"\nX-Virus-Status: Clean\n", clean)
        refused = self.send(server, mail(INFECTED))
        self.assertTrue(refused.startswith("550 5.7.1 "), refused)
        self.traced(server, "--rejected")

    def test_quarantine(self) -> None:
        server = self.serve(self.part(ClamAv(self.place / "clamav", "OnInfected Quarantine")))
        identifier = self.taken(server, mail(INFECTED))
        [held] = self.held(server)
        self.assertEqual(identifier, held["id"])
        self.assertIn("clamav-milter", held["reason"])

    def test_killed_in_use(self) -> None:
        filter = self.part(ClamAv(self.place / "clamav"))
        server = self.serve(filter)
        self.killed_in_use(server, filter, b"X-Virus-Status: Clean")

    def test_held_without(self) -> None:
        """With default_action = "quarantine" nothing gets in unchecked, and nothing is put off."""
        filter = self.part(ClamAv(self.place / "clamav"))
        server = self.serve(filter, default_action="quarantine")
        with Speaker(server.ports["mx"]) as client:
            client.say(b"MAIL FROM:<sam@sender.test>", b"RCPT TO:<anna@example.org>", b"DATA")
            filter.kill()
            client.socket.sendall(mail(b"x") + b".\r\n")
            self.assertTrue(client.reply().startswith(b"250 "))
        [held] = self.held(server)
        self.assertIn("a filter could not be asked", held["reason"])
        # A filter that is back is told the session from its beginning.
        with Speaker(server.ports["mx"]) as client:
            client.say(b"MAIL FROM:<sam@sender.test>", b"RCPT TO:<anna@example.org>", b"DATA")
            filter.start()
            client.socket.sendall(mail(b"x", b"Back") + b".\r\n")
            self.assertTrue(client.reply().startswith(b"250 "))
        self.assertIn(b"X-Virus-Status: Clean", self.arrived(server, b"Back"))

    def test_rejected_without(self) -> None:
        """Only where an operator wants it, senders are told that mail did not arrive."""
        filter = self.part(ClamAv(self.place / "clamav"))
        server = self.serve(filter, default_action="reject")
        with Speaker(server.ports["mx"]) as client:
            client.say(b"MAIL FROM:<sam@sender.test>", b"RCPT TO:<anna@example.org>", b"DATA")
            filter.kill()
            client.socket.sendall(mail(b"x") + b".\r\n")
            reply = client.reply().decode()
        self.assertTrue(reply.startswith("554 5.7.1 "), reply)
        self.told(server, reply, "it cannot be reached", "default_action")
