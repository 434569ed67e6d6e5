"""Real filters that speak the milter protocol: rspamd, OpenDKIM and clamav-milter, each private.

None of them asks the network: rspamd has no DNS, ClamAV no signature but that of the EICAR test
file, which is written here, and OpenDKIM reads the public key from a file.
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mta.judge.milter import steps
from mta.judge.milter.dialogue import Send, negotiate, tell
from mta.judge.milter.packets import PacketReader
from mta.judge.milter.replies import GO_ON
from mta.model.envelope import Client, Envelope, Recipient
from tests.e2e.process import Process
from tests.e2e.scenario import program, wait_for

#: The EICAR test file, in two parts, so that no scanner finds it here.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
#: What rspamd refuses, marks, and whose subject it changes, by its test patterns.
SPAM = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
MARKED = SPAM.replace(b"XJS", b"YJS")
SUBJECT = SPAM.replace(b"XJS", b"ZJS")


class Filter:
    """One filter, listening on a UNIX socket.

    :param base: an empty directory.
    :ivar endpoint: Twisted's string for it.
    """

    socket_name = "milter.sock"

    def __init__(self, base: Path) -> None:
        base.mkdir(parents=True, exist_ok=True)
        self.base = base
        self.socket = base / self.socket_name
        self.endpoint = f"unix:{self.socket}"
        self._process: Process | None = None
        self._before = ""

    def command(self) -> list[str]:
        """How it is started."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self.socket.unlink(missing_ok=True)
        self._process = Process(self.command(), cwd=self.base)
        wait_for(lambda: _listens(self.socket), f"it does not listen; it said:\n{self.output}", 60)

    def kill(self) -> None:
        """``kill -9`` to it and its children."""
        assert self._process is not None
        self._before += self._process.output
        self._process.kill()
        self._process = None

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP), so that it takes connections and says nothing."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self.kill()

    @property
    def output(self) -> str:
        """What it printed."""
        return self._before + (self._process.output if self._process else "")


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _takes_fields(path: Path) -> bool:
    """Whether a filter has no objection to the first field of a message."""
    try:
        return _said_to_a_field(path) == GO_ON
    except OSError:
        return False


def _said_to_a_field(path: Path) -> Any:
    """What it answers to a field.

    :raise OSError: if it does not answer, or hangs up.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))

        def run(dialogue: Any) -> Any:
            reader, packets, given = PacketReader(), [], None
            while True:
                try:
                    request = dialogue.send(given)
                except StopIteration as end:
                    return end.value
                given = None
                if isinstance(request, Send):
                    connection.sendall(request.octets)
                    continue
                while not packets:
                    octets = connection.recv(4096)
                    if not octets:
                        raise ConnectionResetError("it hangs up")
                    packets += reader.feed(octets)
                given = packets.pop(0)

        terms = run(negotiate())
        said = GO_ON
        for step, packet in (
            (steps.CONNECT, steps.connected(Client("s", address="127.0.0.1"))),
            (steps.MAIL, steps.sender(Envelope("a@b.test"))),
            (steps.RECIPIENT, steps.recipient(Recipient("c@d.test"))),
            (steps.HEADER, steps.field(b"A: b\r\n", False)),
        ):
            assert packet is not None
            said = run(tell(step, packet, terms, {}))
        return said


def _owner(line: str) -> str:
    """A line that only root needs: as whom to run."""
    return f"{line}\n" if os.geteuid() == 0 else ""


class Rspamd(Filter):
    """rspamd, whose proxy scans by itself.

    :param settings: further lines of the proxy's section.
    """

    def __init__(self, base: Path, settings: str = "") -> None:
        super().__init__(base)
        self._program = program("rspamd")
        # Without Debian's rules, which take seconds to be read: the test patterns need none.  Every
        # message bears a mark that it was checked.
        routine = "return function(task) return nil, {['X-Checked'] = 'by rspamd'}, {}, {} end"
        (base / "tld").write_text("com\norg\ntest\n")
        (base / "rspamd.conf").write_text(
            f'options {{ pidfile = "{base}/pid"; tempdir = "{base}"; url_tld = "{base}/tld"; filters = "";\n'
            "  enable_test_patterns = true; disable_hyperscan = true;\n"
            '  dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; } }\n'
            'logging { type = "console"; level = "notice"; }\n'
            "actions { reject = 15; rewrite_subject = 8; add_header = 6; }\n"
            'modules { path = "$PLUGINSDIR/milter_headers.lua"; }\n'
            f'milter_headers {{ use = ["checked"]; custom {{ checked = "{routine}"; }} }}\n'
            'worker "rspamd_proxy" { milter = yes; timeout = 60s; spam_header = "X-Spam"; count = 1;\n'
            f'  bind_socket = "{self.socket} mode=0666";\n'
            f'  upstream "local" {{ default = yes; self_scan = yes; }} {settings} }}\n'
        )
        self.start()

    def command(self) -> list[str]:
        """In the foreground, with everything that it writes under ``base``."""
        names = ("LOCAL_CONFDIR", "RUNDIR", "LOGDIR", "DBDIR")
        variables = [f"--var={name}={self.base}" for name in names]
        user = ["-u", "root", "-g", "root", "-i"] if os.geteuid() == 0 else []
        return [self._program, "-f", *user, "-c", str(self.base / "rspamd.conf"), *variables]


class OpenDkim(Filter):
    """OpenDKIM, which signs for a domain, or verifies.

    :param mode: ``s`` or ``v``.
    :param keys: a directory with ``key.pem`` and ``key.public`` (:func:`make_dkim_key`).
    :param settings: further lines of its configuration.
    """

    def __init__(self, base: Path, mode: str, keys: Path, settings: str = "") -> None:
        super().__init__(base)
        self._program = program("opendkim")
        (base / "opendkim.conf").write_text(
            f"Socket local:{self.socket}\nMode {mode}\nDomain example.org\nSelector s1\n"
            f"KeyFile {keys / 'key.pem'}\nTestPublicKeys {keys / 'key.public'}\nRequireSafeKeys no\n"
            f"PidFile {base / 'pid'}\nSyslog no\nUMask 0000\nBackground no\nCanonicalization relaxed/simple\n"
            f"InternalHosts {base / 'internal'}\n{_owner('UserID root')}{settings}\n"
        )
        (base / "internal").write_text("127.0.0.0/8\n" if mode == "s" else "192.0.2.1\n")
        self.start()

    def command(self) -> list[str]:
        """In the foreground."""
        return [self._program, "-f", "-x", str(self.base / "opendkim.conf")]


def make_dkim_key(base: Path) -> Path:
    """A key for ``s1._domainkey.example.org``, private and public."""
    base.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (base / "key.pem").write_bytes(pem)
    (base / "key.pem").chmod(0o600)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = "".join(public.decode().splitlines()[1:-1])
    (base / "key.public").write_text(f"s1._domainkey.example.org v=DKIM1; k=rsa; p={text}\n")
    return base


class ClamAv(Filter):
    """clamav-milter with a clamd of its own, which knows the EICAR test file and nothing else.

    :param settings: further lines of the milter's configuration.
    """

    def __init__(self, base: Path, settings: str = "OnInfected Reject") -> None:
        super().__init__(base)
        self._program, scanner = program("clamav-milter"), program("clamd")
        (base / "db").mkdir()
        (base / "db" / "test.ndb").write_text(f"Eicar-Test:0:*:{EICAR.hex()}\n")
        clamd = base / "clamd.sock"
        (base / "clamd.conf").write_text(
            f"Foreground yes\nLocalSocket {clamd}\nDatabaseDirectory {base / 'db'}\n{_owner('User root')}"
        )
        (base / "milter.conf").write_text(
            f"Foreground yes\nMilterSocket unix:{self.socket}\nClamdSocket unix:{clamd}\n"
            f"{_owner('User root')}LogInfected Basic\nAddHeader Replace\n{settings}\n"
        )
        self._clamd = Process([scanner, "-c", str(base / "clamd.conf")], cwd=base)
        wait_for(lambda: _listens(clamd), f"clamd does not listen: {self._clamd.output}", 60)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it has found its clamd: until then it puts off what it is asked."""
        super().start()
        wait_for(lambda: _takes_fields(self.socket), f"it does not find its clamd: {self.output}")

    def command(self) -> list[str]:
        """In the foreground."""
        return [self._program, "-c", str(self.base / "milter.conf")]

    def stop(self) -> None:
        """Stop both."""
        super().stop()
        self._clamd.kill()
