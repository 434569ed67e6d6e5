"""People fetch their mail by POP3, with the programs they have, beside deliveries and other readers."""

from __future__ import annotations

import os
import poplib
import shutil
import smtplib
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest import SkipTest

from mta.mailbox.mailroom import DIRECTORY
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server

ANNA = ("anna@example.org", "anna-secret")


def trusting() -> ssl.SSLContext:
    """Takes our self-signed certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def client(server: Server, role: str = "pop3s") -> poplib.POP3:
    """A session that has logged in."""
    port = server.ports[role]
    if role == "pop3s":
        session: poplib.POP3 = poplib.POP3_SSL("127.0.0.1", port, context=trusting(), timeout=60)
    else:
        session = poplib.POP3("127.0.0.1", port, timeout=60)
        session.stls(trusting())
    session.user(ANNA[0])
    session.pass_(ANNA[1])
    return session


def send(server: Server, subject: str, body: str = "hello\n.dot\n") -> None:
    """A message for anna from elsewhere."""
    with smtplib.SMTP("127.0.0.1", server.ports["mx"], timeout=60) as session:
        text = f"Subject: {subject}\r\nMessage-ID: <{subject}@elsewhere.test>\r\n\r\n" + body.replace(
            "\n", "\r\n"
        )
        session.sendmail("x@elsewhere.test", [ANNA[0]], text)


def uidls(session: poplib.POP3) -> dict[str, int]:
    """Numbers by unique id."""
    return {line.split()[1].decode(): int(line.split()[0]) for line in session.uidl()[1]}


def subjects(session: poplib.POP3) -> list[str]:
    """Of all messages, in their order."""
    found = []
    for number in range(1, session.stat()[0] + 1):
        lines = session.top(number, 0)[1]
        found += [line.decode()[9:] for line in lines if line.startswith(b"Subject: ")]
    return found


class Pop3Tests(Scenario):
    """See the module."""

    def serve(self, **settings: object) -> Server:
        server = self.part(Server(self.place / "mta", **settings))  # type: ignore[arg-type]
        server.add_listener("pop3")
        server.add_listener("pop3s")
        server.write()
        return server.start()

    def test_poplib(self) -> None:
        """All commands, dots, TLS, two sessions at once, and what the journal tells of it."""
        server = self.serve()
        for number in range(3):
            send(server, f"m{number}")
        server.wait_mail(ANNA[0], 3)
        clear = poplib.POP3("127.0.0.1", server.ports["pop3"], timeout=60)
        self.assertIn("STLS", clear.capa())
        self.assertNotIn("USER", clear.capa())
        with self.assertRaisesRegex(poplib.error_proto, "TLS"):
            clear.user(ANNA[0])
        clear.stls(trusting())
        self.assertIn("PLAIN", clear.capa()["SASL"])
        with self.assertRaisesRegex(poplib.error_proto, "AUTH"):
            clear.user(ANNA[0])
            clear.pass_("wrong")
        clear.user(ANNA[0])
        clear.pass_(ANNA[1])
        self.assertEqual(["m0", "m1", "m2"], sorted(subjects(clear)))
        _, lines, octets = clear.retr(1)
        self.assertEqual([b"hello", b".dot"], lines[-2:])
        self.assertEqual(clear.list(1).split()[2], str(octets).encode())
        with self.assertRaisesRegex(poplib.error_proto, "IN-USE"):
            client(server)
        before = uidls(clear)
        clear.dele(2)
        clear.rset()
        clear.dele(1)
        clear.quit()
        again = client(server)
        self.assertEqual(2, again.stat()[0])
        self.assertEqual(set(before) - {name for name, n in before.items() if n == 1}, set(uidls(again)))
        again.quit()
        self.assertEqual(2, len(server.mails(ANNA[0])))
        story = wait_for(
            lambda: (text := trace(server, ANNA[0])) and "1 removed" in text and text,
            "no word of the session",
        )
        self.assertIn("another session has the mailbox", story)
        self.assertIn("mechanism=PASS", story)

    def test_pipelining_and_mistakes(self) -> None:
        """Commands in one packet are answered in their order, wrong ones too."""
        server = self.serve()
        send(server, "m0")
        server.wait_mail(ANNA[0])
        session = client(server)
        session.sock.sendall(b"NOOP\r\nRETR 7\r\nFOO\r\nSTAT\r\nTOP 1 0\r\nLIST x\r\nUIDL 1\r\nQUIT\r\n")
        answers = session.file.read().split(b"\r\n")
        first = [line[:4] for line in answers if line[:3] in (b"+OK", b"-ER")]
        self.assertEqual([b"+OK", b"-ERR", b"-ERR", b"+OK ", b"+OK", b"-ERR", b"+OK ", b"+OK "], first)
        session.close()

    def test_index_lost(self) -> None:
        """Nobody fetches everything again."""
        server = self.serve()
        for number in range(3):
            send(server, f"m{number}")
        server.wait_mail(ANNA[0], 3)
        session = client(server)
        before = uidls(session)
        session.quit()
        server.stop()
        shutil.rmtree(server.state / DIRECTORY)
        server.start()
        session = client(server)
        self.assertEqual(before, uidls(session))
        session.quit()

    def test_other_programs(self) -> None:
        """mutt and its like rename and remove what a session has in its list."""
        server = self.serve()
        for number in range(3):
            send(server, f"m{number}")
        server.wait_mail(ANNA[0], 3)
        session = client(server)
        first, second, _ = sorted((server.maildir(ANNA[0]) / "new").iterdir())
        by_size = uidls(session)
        first.rename(server.maildir(ANNA[0]) / "cur" / f"{first.name}:2,RS")
        second.unlink()
        moved, gone = (by_size[path.name.partition(",")[0]] for path in (first, second))
        self.assertIn(b"hello", session.retr(moved)[1])
        with self.assertRaisesRegex(poplib.error_proto, "another program"):
            session.retr(gone)
        session.dele(moved)
        session.quit()
        self.assertEqual(1, len(server.mails(ANNA[0])))

    def test_killed(self) -> None:
        """``kill -9`` while mail is delivered and while it is fetched: each message comes exactly once."""
        server = self.serve()
        sent: list[str] = []
        stop = threading.Event()

        def deliver() -> None:
            while not stop.is_set():
                try:
                    send(server, name := f"k{len(sent)}")
                except (OSError, smtplib.SMTPException):
                    time.sleep(0.05)
                    continue
                sent.append(name)
                stop.wait(0.05)

        thread = threading.Thread(target=deliver)
        thread.start()
        seen: dict[str, str] = {}
        try:
            for turn in range(3):
                wait_for(lambda turn=turn: len(sent) > 10 * (turn + 1), "nothing is sent")  # type: ignore[misc]
                session = client(server)
                for name, number in uidls(session).items():
                    lines = session.retr(number)[1]
                    seen[name] = next(line.decode()[9:] for line in lines if line.startswith(b"Subject: "))
                    session.dele(number)
                session.sock.sendall(b"QUIT\r\n")
                time.sleep(0.002 * turn)
                server.kill()
                session.close()
                server.start()
        finally:
            stop.set()
            thread.join()

        def fetched() -> bool:
            session = client(server)
            for name, number in uidls(session).items():
                lines = session.retr(number)[1]
                seen[name] = next(line.decode()[9:] for line in lines if line.startswith(b"Subject: "))
                session.dele(number)
            session.quit()
            return set(sent) <= set(seen.values()) and not server.mails(ANNA[0])

        wait_for(fetched, "messages are missing")
        # One that was accepted in the moment of a kill may have been sent again by its sender.
        self.assertLessEqual(len(seen), len(set(seen.values())) + 3)

    def test_curl(self) -> None:
        """curl takes SASL, and lists."""
        server = self.serve()
        send(server, "m0")
        server.wait_mail(ANNA[0])
        done = subprocess.run(
            ["curl", "-sk", "--user", ":".join(ANNA), f"pop3s://127.0.0.1:{server.ports['pop3s']}/1"],
            capture_output=True,
            timeout=60,
        )
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(b"Subject: m0", done.stdout)

    def test_fetchmail(self) -> None:
        """fetchmail keeps mail on the server by UIDL, and fetches each once; then it takes it away."""
        program = shutil.which("fetchmail")
        if program is None:
            raise SkipTest("fetchmail is not installed; tools/set-up.sh parts installs it")
        server = self.serve()
        for number in range(5):
            send(server, f"m{number}")
        server.wait_mail(ANNA[0], 5)
        home = self.place / "home"
        home.mkdir()
        box = home / "box"
        rc = home / "rc"
        rc.write_text(
            f"poll 127.0.0.1 service {server.ports['pop3']} proto pop3 uidl auth password\n"
            f"  user {ANNA[0]} password {ANNA[1]} sslproto 'auto' sslmode starttls no sslcertck\n"
            f"  mda \"/bin/sh -c 'cat >> {box}; echo >> {box}'\"\n"
        )
        if b"sslmode" not in subprocess.run([program, "--help"], capture_output=True, timeout=60).stdout:
            rc.write_text(rc.read_text().replace(" sslmode starttls", ""))
        rc.chmod(0o600)

        def fetch(*options: str) -> int:
            done = subprocess.run(
                [
                    program,
                    "-f",
                    str(rc),
                    "--idfile",
                    str(home / "ids"),
                    "--pidfile",
                    str(home / "pid"),
                    *options,
                ],
                capture_output=True,
                text=True,
                timeout=120,
                env={**os.environ, "HOME": str(home), "FETCHMAILHOME": str(home)},
            )
            self.assertIn(done.returncode, (0, 1), done.stdout + done.stderr)
            return done.returncode

        fetch("--keep")
        self.assertEqual(5, box.read_text().count("Subject: m"))
        self.assertEqual(1, fetch("--keep"))
        self.assertEqual(5, box.read_text().count("Subject: m"))
        self.assertEqual(5, len(server.mails(ANNA[0])))
        fetch("--fetchall", "--nokeep")
        self.assertEqual([], server.mails(ANNA[0]))

    def test_getmail(self) -> None:
        """getmail6 fetches each message once."""
        program = Path(sys.executable).parent.parent / "clients" / "bin" / "getmail"
        if not program.exists():
            raise SkipTest("getmail6 is not there; tools/set-up.sh clients brings it")
        server = self.serve()
        for number in range(5):
            send(server, f"m{number}")
        server.wait_mail(ANNA[0], 5)
        home = self.place / "getmail"
        home.mkdir()
        box = home / "box"
        rc = home / "getmailrc"
        rc.write_text(
            "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = 127.0.0.1\n"
            f"port = {server.ports['pop3s']}\nusername = {ANNA[0]}\npassword = {ANNA[1]}\n"
            "[destination]\ntype = MDA_external\nallow_root_commands = true\npath = /bin/sh\n"
            f'arguments = ("-c", "cat >> {box}; echo >> {box}")\n'
            "[options]\nread_all = false\ndelete = false\n"
        )
        for _ in range(2):
            done = subprocess.run(
                [str(program), f"--getmaildir={home}", f"--rcfile={rc}"],
                capture_output=True,
                text=True,
                timeout=60,
            )
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)
            self.assertEqual(5, box.read_text().count("Subject: m"))

    def test_directory_down(self) -> None:
        """What is no fault of the client is temporary, and the journal says why."""
        server = self.serve()
        send(server, "m0")
        server.wait_mail(ANNA[0])
        client(server).quit()
        maildir = server.maildir(ANNA[0])
        maildir.rename(maildir.with_name("elsewhere"))
        with self.assertRaisesRegex(poplib.error_proto, "SYS/TEMP"):
            client(server)
        wait_for(lambda: "the Maildir is gone" in trace(server, ANNA[0]), "no word of why")
        maildir.with_name("elsewhere").rename(maildir)
        self.assertEqual(1, client(server).stat()[0])


def trace(server: Server, word: str) -> str:
    """What ``mta trace`` prints."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "mta"), "--config", str(server.file), "trace", word],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr
