"""Rules of mailboxes: what is filed, forwarded and answered, and what a crash leaves of that."""

from __future__ import annotations

import json
import threading
from email import message_from_bytes
from pathlib import Path

from tests.e2e.client import Speaker
from tests.e2e.scenario import Scenario, mails, wait_for
from tests.e2e.server import USERS, Server
from tests.e2e.sink import Sink

FAR = "sam@far.test"


def letter(subject: str, *fields: str, to: str = "anna@example.org", sender: str = FAR) -> bytes:
    """A message of a stranger."""
    lines = [f"From: {sender}", f"To: {to}", f"Subject: {subject}", f"Message-ID: <{len(subject)}@far.test>"]
    return "\r\n".join([*lines, *fields, "", "Hello.", ""]).encode()


class RulesTests(Scenario):
    """One server with accounts, whose owners have rules; what goes elsewhere goes to a sink."""

    def start(self, **settings: object) -> Server:
        self.sink = self.part(Sink(self.place / "sink"))
        relay = {"smarthost": f"127.0.0.1:{self.sink.port}", "tls": "never"}
        server: Server = self.part(Server(self.place / "server", relay=relay, **settings))
        self.server = server
        return server.start()

    def rules(self, text: str, address: str = "anna@example.org") -> Path:
        """Write the file by hand, as a person may."""
        path = self.server.maildir(address) / "rules.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def send(self, content: bytes, *to: str, sender: str = FAR) -> None:
        with Speaker(self.server.ports["mx"]) as speaker:
            answer = speaker.send(sender, list(to or ["anna@example.org"]), content)
        self.assertEqual(b"250", answer[:3], answer)

    def folder(self, name: str, count: int = 1, address: str = "anna@example.org") -> list[Path]:
        """What is in a folder, as soon as there is so much."""
        path = self.server.maildir(address) / name
        return wait_for(lambda: found if len(found := mails(path)) >= count else [], f"no {count} in {name}")

    def test_sorting(self) -> None:
        """Junk by the verdict of a filter, lists into their folder, flags, keywords, what is not wanted."""
        tag = {"name": "lottery", "header": {"Subject": "won"}, "action": "tag", "fields": {"X-Spam": "Yes"}}
        self.start(judge=[{"kind": "content", "rule": [tag]}])
        self.rules("""
            [[rule]]
            name    = "lists"
            list    = "dev.example.net"
            file    = "Lists.Größe"
            [[rule]]
            name     = "boss"
            from     = ["boss@far.test", "@chef.test"]
            flags    = ["flagged", "seen"]
            keywords = ["$Work"]
            [[rule]]
            name    = "no newsletters"
            subject = "Newsletter *"
            unless  = { from = "friend" }
            discard = true
        """)
        self.send(letter("you have won", "List-Id: <dev.example.net>"))
        [junk] = self.folder(".Junk")
        self.assertIn(b"X-Spam: Yes", junk.read_bytes())
        self.send(letter("on a list", "List-Id: The list <dev.example.net>"))
        self.folder(".Lists.Gr&APYA3w-e")
        subscribed = (self.server.maildir("anna@example.org") / "subscriptions").read_text().split()
        self.assertIn("Lists.Gr&APYA3w-e", subscribed)
        self.send(letter("Newsletter of May"))
        told = self.server.wait_trace(FAR, "no newsletters", "not kept")
        self.assertIn("the rules of the mailbox", told)
        self.send(letter("Newsletter by a friend", sender="A Friend <f@far.test>"))
        self.send(letter("work", sender="Boss <boss@far.test>"))
        inbox = self.folder("", 2)
        [work] = [path for path in inbox if b"Subject: work" in path.read_bytes()]
        self.assertEqual("cur", work.parent.name)
        self.assertTrue(work.name.endswith(":2,FSa"), work.name)
        keywords = (self.server.maildir("anna@example.org") / "dovecot-keywords").read_text()
        self.assertEqual("0 $Work\n", keywords)
        self.assertEqual(2, len(inbox))

    def test_forward(self) -> None:
        """A copy goes on, another only goes on; two who forward to each other are no loop."""
        self.start(rules={"forward_to": ["far.test"]}, feedback={"srs": "example.org"})
        self.rules('[[rule]]\nname = "on"\nforward = ["ben@example.org", "x@far.test"]\n')
        self.rules('[[rule]]\nname = "back"\nforward = "anna@example.org"\nkeep = false\n', "ben@example.org")
        self.send(letter("round"))
        self.folder("")
        [copy] = self.folder("", 1, "ben@example.org")
        self.assertIn(b"Delivered-To: anna@example.org", copy.read_bytes())
        [gone] = self.sink.wait(1)
        self.assertIn(b"X-Rcpt-Args: <x@far.test>", gone)
        self.assertIn(b"X-Mail-Args: <SRS0", gone)
        self.assertIn(b"\nDelivered-To: anna@example.org", gone)
        self.server.wait_trace(FAR, "not forwarded to anna@example.org: it has been there already")
        # What comes back from elsewhere is known by what we put on top.
        self.send(gone[gone.index(b"Delivered-To") :].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        self.server.wait_trace(FAR, "5.4.6")
        self.assertEqual(1, len(self.server.mails("anna@example.org")))
        # Only on, and content that is a file.
        self.rules('[[rule]]\nforward = "y@far.test"\nkeep = false\n')
        big = letter("big") + b"x" * 70 + b"\r\n"
        self.send(big + (b"y" * 78 + b"\r\n") * 2000)
        wait_for(lambda: any(b"<y@far.test>" in one for one in self.sink.messages()), "it was not forwarded")
        self.rules('[[rule]]\nforward = "y@elsewhere.test"\nkeep = false\n')
        self.send(letter("may not"))
        self.folder("", 2)
        self.server.wait_trace(FAR, "not forwarded to y@elsewhere.test", "forward_to")

    def test_rate(self) -> None:
        """What an account forwards is counted once for all workers, and over a restart."""
        self.start(workers=2, rules={"forward_to": ["far.test"], "forward_rate": "3/h"})
        wait_for(lambda: self.server.output.count("ready: ") >= 2, "a worker is not ready")
        self.rules('[[rule]]\nforward = "x@far.test"\nkeep = false\n')
        first, second = self.server.workers()
        for worker, other in ((first, second), (second, first)):
            with self.server.standing_still(other):
                for number in range(2):
                    self.send(letter(f"by {worker}, {number}"))
        self.assertEqual(3, len(self.sink.wait(3)))
        # What may not be forwarded is kept.
        self.folder("")
        self.server.wait_trace(FAR, "has forwarded 3 of late")
        self.assertTrue(self.server.stop())
        self.server.start()
        self.send(letter("after it"))
        self.folder("", 2)
        self.assertEqual(3, len(self.sink.messages()))

    def test_vacation(self) -> None:
        """A person is answered once, over a restart too; lists, bounces, programs and oneself are not."""
        self.start()
        self.rules('[vacation]\ntext = "Ich bin fort, bis später."\naddresses = ["info@example.org"]\n')
        self.send(letter("Über uns"))
        [raw] = self.sink.wait(1)
        self.assertIn(b"X-Mail-Args: <>", raw)
        self.assertIn(f"X-Rcpt-Args: <{FAR}>".encode(), raw)
        reply = message_from_bytes(raw[raw.index(b"Date: ") :])
        self.assertEqual("auto-replied (vacation)", reply["Auto-Submitted"])
        self.assertEqual("anna@example.org", reply["From"])
        self.assertEqual("<8@far.test>", reply["In-Reply-To"])
        self.assertIn("bis später", reply.get_payload(decode=True).decode())
        self.server.wait_trace(FAR, f"answered <{FAR}>")
        self.assertTrue(self.server.stop())
        self.server.start()
        self.send(letter("again"))
        self.send(letter("a list", "List-Id: <l.far.test>"), sender="other@far.test")
        self.send(letter("a program", "Auto-Submitted: auto-generated"), sender="other@far.test")
        self.send(letter("bulk", "Precedence: bulk"), sender="other@far.test")
        self.send(letter("blind", to="somebody@far.test"), sender="other@far.test")
        self.send(letter("a bounce"), sender="")
        self.send(letter("nobody reads it"), sender="no-reply@far.test")
        self.send(letter("myself"), sender="anna@example.org")
        self.send(letter("alias", to="info@example.org"), sender="third@far.test")
        self.folder("", 10)
        messages = self.sink.wait(2)
        self.assertEqual(2, len(messages))
        self.assertIn(
            b"X-Rcpt-Args: <third@far.test>", messages[1] if FAR.encode() in messages[0] else messages[0]
        )
        self.server.wait_trace(FAR, "was answered lately")

    def test_killed(self) -> None:
        """``kill -9`` again and again: each message is filed, forwarded and answered once."""
        self.start(rules={"forward_to": ["*"], "forward_rate": "10000/h", "reply_rate": "10000/d"})
        self.rules("""
            [[rule]]
            subject = "n*"
            file    = "Kept"
            forward = "ben@example.org"
            [vacation]
            text = "Away."
        """)
        sent: list[str] = []

        def load() -> None:
            number = 0
            while not stopping.is_set():
                number += 1
                name = f"n{number}"
                try:
                    with Speaker(self.server.ports["mx"]) as speaker:
                        content = letter(name, sender=f"{name}@example.org")
                        if speaker.send(f"{name}@sender.test", ["anna@example.org"], content)[:3] == b"250":
                            sent.append(name)
                except OSError:
                    stopping.wait(0.02)

        stopping = threading.Event()
        thread = threading.Thread(target=load)
        thread.start()
        try:
            for _ in range(2):
                before = len(sent)
                wait_for(lambda before=before: len(sent) >= before + 15, "nothing is taken")
                self.server.kill()
                self.server.start()
        finally:
            stopping.set()
            thread.join()

        def subjects(path: Path) -> list[str]:
            return sorted(str(message_from_bytes(one.read_bytes())["Subject"]) for one in mails(path))

        kept = self.server.maildir("anna@example.org") / ".Kept"
        ben = self.server.maildir("ben@example.org")
        wait_for(lambda: set(sent) <= set(subjects(kept)), "a message is lost", 120)
        wait_for(lambda: subjects(ben) == subjects(kept), "a copy is lost, or came twice", 120)
        self.assertEqual(len(set(subjects(kept))), len(subjects(kept)), "a message is there twice")

        def answered() -> list[bytes]:
            found = [one for one in self.sink.messages() if b"auto-replied" in one]
            return [line for one in found for line in one.split(b"\n") if line.startswith(b"X-Rcpt-Args")]

        wait_for(lambda: len(set(answered())) >= len(subjects(kept)), "somebody is not answered", 120)

    def test_broken(self) -> None:
        """With a broken file mail comes into the inbox, and it is told; a mended one works at once."""
        self.start()
        path = self.rules('[[rule]]\nfrom = "x"\nfille = "Kept"\n')
        self.send(letter("one"))
        self.folder("")
        told = self.server.wait_trace(FAR, "cannot be used")
        self.assertIn("rules.toml:3", told)
        self.assertIn("did you mean 'file'?", told)
        said = self.server.mta("doctor", check=False)
        self.assertIn("rules anna@example.org", said)
        path.write_text('[[rule]]\nfrom = "sam"\nfile = "Kept"\n')
        self.send(letter("two"))
        self.folder(".Kept")
        # Whoever has no rules notices nothing, and nothing is opened for them.
        self.send(letter("three"), "ben@example.org")
        self.folder("", 1, "ben@example.org")
        self.assertEqual({"anna@example.org", "ben@example.org"}, set(USERS))

    def test_changed(self) -> None:
        """By the command and through the API; what is wrong is said, and changes nothing."""
        self.start()
        text = '[[rule]]\nsubject = "two"\nfile = "Kept"\n'
        said = self.server.mta("rules", "set", "anna@example.org", "-", text=text)
        self.assertIn("has other rules", said)
        self.send(letter("two"))
        self.folder(".Kept")
        for wrong, words in (
            ('[[rule]]\nsubjekt = "x"\n', "did you mean 'subject'"),
            ('[[rule]]\nforward = "x@far.test"\n', "forward_to"),
        ):
            self.assertIn(
                words, self.server.mta("rules", "set", "anna@example.org", "-", text=wrong, check=False)
            )
        self.assertEqual(text, self.server.mta("rules", "show", "anna@example.org"))
        # Before any mail has come.
        place = "/v1/mailboxes/ben@example.org/rules"
        data = json.dumps({"toml": text})
        said = self.server.mta("api", "PUT", place, "--data", data)
        self.assertEqual(text, json.loads(said)["toml"])
        self.send(letter("two"), "ben@example.org")
        self.folder(".Kept", 1, "ben@example.org")
        self.server.wait_trace("ben@example.org", "rules of ben@example.org set by")
        said = self.server.mta("api", "PUT", place, "--data", json.dumps({"toml": "[[rule]]"}), check=False)
        self.assertIn("does nothing", said)
        self.server.mta("api", "DELETE", place)
        self.assertEqual("", json.loads(self.server.mta("api", "GET", place))["toml"])
        # A disk that cannot be written.
        box, aside = self.server.maildir("ben@example.org"), self.place / "aside"
        box.rename(aside)
        box.parent.mkdir(exist_ok=True)
        box.write_text("in the way")
        for command in (
            ("api", "PUT", place, "--data", data),
            ("rules", "set", "ben@example.org", "-"),
        ):
            said = self.server.mta(*command, text=text, check=False)
            self.assertIn("Not a directory; look at the disk", said)
        # Who did it is told, with and without a server.
        self.assertTrue(self.server.stop())
        self.server.mta("rules", "remove", "anna@example.org")
        told = self.server.mta("log")
        for words in ("rules of anna@example.org set by", "rules of anna@example.org removed by"):
            self.assertIn(words, told)
        self.assertNotIn("rules.toml", told)
        said = self.server.mta("rules", "set", "nobody@example.org", "-", text=text, check=False)
        self.assertIn("no Maildir", said)
