"""People read their mail by IMAP with the programs they have: each does all that its users do with it."""

from __future__ import annotations

import email
import imaplib
import os
import subprocess
import sys
import time
from pathlib import Path
from unittest import SkipTest

from tests.e2e.imap import message, trusting
from tests.e2e.mail_place import Place, PlaceScenario
from tests.e2e.scenario import program, wait_for

CLIENTS = Path(sys.prefix) / "clients" / "bin"


class Programs(PlaceScenario):
    """See the module."""

    def setUp(self) -> None:
        super().setUp()
        self.box = self.open_place()

    def filled(self, count: int = 5) -> Place:
        """The mailbox, with messages ``m0``, ``m1``, … that were delivered."""
        self.box.deliver(*(message(f"m{number}") for number in range(count)))
        wait_for(lambda: len(self.box.files()) == count, "messages are missing")
        return self.box

    def imaplib(self) -> imaplib.IMAP4:
        """A session of Python's imaplib that has logged in."""
        box = self.box
        client = (
            imaplib.IMAP4_SSL("127.0.0.1", box.port, ssl_context=trusting(), timeout=60)
            if box.tls
            else imaplib.IMAP4("127.0.0.1", box.port, timeout=60)
        )
        client.login(box.user, box.password)
        return client

    def test_imaplib(self) -> None:
        """Every command that imaplib has a method for."""
        box = self.filled(3)

        def ok(answer: tuple[str, list[object]]) -> list[bytes]:
            self.assertEqual("OK", answer[0], answer)
            return answer[1]  # type: ignore[return-value]

        with self.imaplib() as client:
            ok(client.noop())
            self.assertIn(b'""', ok(client.namespace())[0])
            ok(client.create("Drafts.Old"))
            self.assertTrue(any(b"Drafts.Old" in line for line in ok(client.list())))
            ok(client.subscribe("Drafts.Old"))
            self.assertTrue(any(b"Drafts.Old" in line for line in ok(client.lsub())))
            ok(client.unsubscribe("Drafts.Old"))
            self.assertEqual([b"3"], ok(client.select("INBOX")))
            self.assertEqual([b"1 2 3"], ok(client.search(None, "ALL")))
            self.assertEqual([b"2"], ok(client.search(None, "SUBJECT", '"m1"')))
            self.assertEqual([b"3 2 1"], ok(client.sort("(REVERSE SUBJECT)", "US-ASCII", "ALL")))
            part = ok(client.fetch("1", "(BODY.PEEK[] FLAGS)"))[0]
            self.assertEqual("m0", email.message_from_bytes(part[1])["Subject"])  # type: ignore[arg-type,index]
            self.assertIn(b"\\Seen", ok(client.store("1:2", "+FLAGS", "(\\Seen)"))[0])
            self.assertEqual([b"1 2"], ok(client.search(None, "SEEN")))
            ok(
                client.append(
                    "Drafts.Old", "(\\Draft)", imaplib.Time2Internaldate(time.time()), message("a0")
                )
            )
            ok(client.copy("1", "Drafts.Old"))
            ok(client.uid("MOVE", "2", "Drafts.Old"))
            self.assertIn(b"MESSAGES 3", ok(client.status("Drafts.Old", "(MESSAGES UIDNEXT)"))[0])
            ok(client.store("1", "+FLAGS", "\\Deleted"))
            self.assertEqual(b"1", ok(client.expunge())[-1])
            ok(client.check())
            ok(client.close())
            ok(client.rename("Drafts.Old", "Archive.Old"))
            self.assertEqual([b"3"], ok(client.select("Archive.Old", readonly=True)))
            ok(client.unselect())
            ok(client.delete("Archive.Old"))
            self.assertEqual("NO", client.select("Archive.Old")[0])
            if box.server is not None:  # Dovecot does not know it yet.
                ok(client.enable("UTF8=ACCEPT"))
                ok(client.create('"Größe"'))
                self.assertEqual([b"0"], ok(client.select('"Größe"')))
        self.assertEqual([b"<m2@test>"], list(box.files()))

    def test_curl(self) -> None:
        """curl lists, fetches, searches, and appends."""
        box = self.filled(2)
        url = f"imap{'s' if box.tls else ''}://127.0.0.1:{box.port}"
        curl = [program("curl"), "-skS", "--user", f"{box.user}:{box.password}"]
        self.assertIn("INBOX", self.call(*curl, url))
        self.assertIn("Subject: m1", self.call(*curl, f"{url}/INBOX;MAILINDEX=2"))
        self.assertIn("Subject: m0", self.call(*curl, f"{url}/INBOX;UID=1;SECTION=HEADER"))
        self.assertIn("SEARCH 2", self.call(*curl, f"{url}/INBOX?SUBJECT%20m1"))
        file = self.place / "new"
        file.write_bytes(message("c0"))
        self.call(*curl, "-T", str(file), f"{url}/INBOX")
        self.assertIn(b"<c0@test>", box.files())

    def test_imapclient(self) -> None:
        """IMAPClient's users find what its manual promises."""
        python = CLIENTS / "python"
        if not python.exists():
            raise SkipTest("IMAPClient is not there; `tools/set-up.sh clients` brings it")
        box = self.box
        script = Path(__file__).with_name("imapclient_run.py")
        tls = "tls" if box.tls else "clear"
        told = self.call(str(python), str(script), str(box.port), tls, box.user, box.password)
        self.assertIn("done", told)

    def test_fetchmail(self) -> None:
        """fetchmail fetches what is new, and takes away what it has fetched."""
        fetchmail = program("fetchmail")
        box = self.filled()
        home = self.place / "home"
        home.mkdir()
        out, rc = home / "box", home / "rc"
        secure = "ssl no sslcertck" if box.tls else "sslproto ''"
        rc.write_text(
            f"poll 127.0.0.1 service {box.port} proto imap auth password\n"
            f"  user {box.user} password {box.password} {secure}\n"
            f"  mda \"/bin/sh -c 'cat >> {out}; echo >> {out}'\"\n"
        )
        rc.chmod(0o600)

        def fetch(*options: str) -> int:
            done = subprocess.run(
                [fetchmail, "-f", str(rc), "--pidfile", str(home / "pid"), *options],
                capture_output=True,
                text=True,
                timeout=120,
                env={**os.environ, "HOME": str(home), "FETCHMAILHOME": str(home)},
            )
            self.assertIn(done.returncode, (0, 1), done.stdout + done.stderr)
            return done.returncode

        self.assertEqual(0, fetch("--keep"))
        self.assertEqual(5, out.read_text().count("Subject: m"))
        self.assertEqual(1, fetch("--keep"))
        self.assertEqual(5, out.read_text().count("Subject: m"))
        self.assertEqual({"S"}, set(box.files().values()))
        self.assertEqual(0, fetch("--fetchall", "--nokeep"))
        self.assertEqual({}, box.files())

    def test_getmail(self) -> None:
        """getmail6 fetches each message once, and moves it away when told to."""
        getmail = CLIENTS / "getmail"
        if not getmail.exists():
            raise SkipTest("getmail6 is not there; `tools/set-up.sh clients` brings it")
        box = self.filled()
        home = self.place / "getmail"
        home.mkdir()
        out, rc = home / "box", home / "getmailrc"
        kind = "SimpleIMAPSSLRetriever" if box.tls else "SimpleIMAPRetriever"

        def fetch(more: str, options: str) -> None:
            rc.write_text(
                f"[retriever]\ntype = {kind}\nserver = 127.0.0.1\nport = {box.port}\nusername = {box.user}\n"
                f"password = {box.password}\n{more}[destination]\ntype = MDA_external\n"
                "allow_root_commands = true\npath = /bin/sh\n"
                f'arguments = ("-c", "cat >> {out}; echo >> {out}")\n'
                f"[options]\n{options}"
            )
            self.call(str(getmail), f"--getmaildir={home}", f"--rcfile={rc}")

        for _ in range(2):
            fetch("", "read_all = false\ndelete = false\n")
            self.assertEqual(5, out.read_text().count("Subject: m"))
        session = box.open()
        session.do(b"CREATE Done")
        session.close()
        fetch("move_on_delete = Done\n", "read_all = true\ndelete = true\n")
        self.assertEqual(10, out.read_text().count("Subject: m"))
        self.assertEqual({}, box.files())
        self.assertEqual(5, len(box.files("Done")))

    def test_mutt(self) -> None:
        """mutt shows, flags, saves to another folder, removes, and sees what arrives meanwhile."""
        mutt, tmux = program("mutt"), program("tmux")
        box = self.filled()
        session = box.open()
        session.do(b"CREATE Saved")
        session.close()
        home = self.place / "mutt"
        home.mkdir()
        url = f"imap{'s' if box.tls else ''}://127.0.0.1:{box.port}/INBOX"
        rc = home / "muttrc"
        settings = {
            "imap_user": box.user,
            "imap_pass": box.password,
            "folder": url,
            "spoolfile": url,
            "certificate_file": box.certificate(home / "certificates") if box.tls else "",
            "ssl_verify_host": "no",
            "ssl_starttls": "no",
            "ssl_force_tls": "no",
            "sort": "mailbox-order",
            "mark_old": "no",
            "move": "no",
            "confirmappend": "no",
            "quit": "yes",
            "delete": "yes",
            "timeout": 1,
            "mail_check": 1,
            "imap_idle": "yes",
            "sleep_time": 0,
        }
        rc.write_text("".join(f'set {name}="{value}"\n' for name, value in settings.items()))
        screen = Screen(tmux, self.place / "tmux", f"{mutt} -n -F {rc}", home)
        self.addCleanup(screen.stop)
        screen.wait("Msgs:5")
        for number in range(5):
            screen.wait(f"m{number}")
        screen.press("Enter")
        screen.wait("hello")
        screen.press("i")
        screen.wait("Msgs:5")
        screen.press("F")  # The cursor stands on the first, which was read.
        box.deliver(message("later"))
        screen.wait("later")
        screen.press("2", "Enter", "s")
        screen.wait("Save to mailbox")
        screen.press("C-u")
        screen.type(url.replace("INBOX", "Saved"))
        screen.press("Enter")
        screen.wait("Del:1")
        screen.press("3", "Enter", "d")
        screen.wait("Del:2")
        screen.press("$")
        wait_for(lambda: len(box.files()) == 4, "mutt does not remove them")
        screen.press("q")
        wait_for(lambda: not screen.alive, "mutt does not end")
        files = box.files()
        self.assertEqual({b"<m0@test>", b"<m3@test>", b"<m4@test>", b"<later@test>"}, set(files))
        self.assertEqual("FS", files[b"<m0@test>"])
        self.assertEqual([b"<m1@test>"], list(box.files("Saved")))


class Screen:
    """A program on a terminal that the test sees and types on.

    :param tmux: where tmux is.
    :param socket: for its server; nobody else has it.
    """

    def __init__(self, tmux: str, socket: Path, command: str, home: Path) -> None:
        self._tmux = [tmux, "-L", "x", "-S", str(socket), "-f", "/dev/null"]
        environment = {**os.environ, "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "xterm"}
        subprocess.run(
            [*self._tmux, "new-session", "-d", "-x", "120", "-y", "40", command],
            env=environment,
            check=True,
            timeout=60,
        )

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, timeout=60)

    @property
    def alive(self) -> bool:
        """Whether the program runs still."""
        return self._ask("has-session").returncode == 0

    @property
    def text(self) -> str:
        """What is on the screen."""
        return self._ask("capture-pane", "-p").stdout

    def wait(self, words: str) -> None:
        """Wait until words are on the screen."""
        try:
            wait_for(lambda: words in self.text, "")
        except AssertionError:
            raise AssertionError(f"{words!r} does not come, but:\n{self.text}") from None

    def press(self, *keys: str) -> None:
        """Press keys, by the names that tmux has for them."""
        for key in keys:
            self._ask("send-keys", key)

    def type(self, text: str) -> None:
        """Type a text."""
        self._ask("send-keys", "-l", text)

    def stop(self) -> None:
        """Close it."""
        self._ask("kill-server")
