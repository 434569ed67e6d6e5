"""A private Dovecot: LMTP into its own Maildirs, IMAP and POP3 over any Maildirs."""

from __future__ import annotations

import imaplib
import os
import socket
from contextlib import suppress
from pathlib import Path

from tests.e2e.process import Process
from tests.e2e.scenario import free_port, mails, need_root, program, wait_for

_CONFIG = """\
protocols = imap lmtp {more}
base_dir = {base}/run
state_dir = {base}/var
instance_name = mta-{imap}
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
log_path = /dev/stderr
mail_location = maildir:{mail}/%d/%n
postmaster_address = postmaster@lmtp.test
lmtp_save_to_detail_mailbox = no
protocol lmtp {{
  auth_username_chars =
}}
mail_max_userip_connections = 50
passdb {{
  driver = static
  args = password=imap-secret
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {base}/users
  default_fields = uid=65534 gid=65534 home={base}/home/%d/%n
}}
service imap-login {{
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
  unix_listener {base}/lmtp.sock {{
    mode = 0666
  }}
}}
"""


class Dovecot:
    """One running instance.

    :param base: an empty directory that other users may enter.
    :param mail: where the Maildirs are, as ``<mail>/<domain>/<local>``; its own
        by default.
    :param users: the addresses that exist.
    :param more: another protocol, ``pop3``.
    :raise SkipTest: without root, or if it is not installed.
    """

    def __init__(
        self,
        base: Path,
        mail: Path | None = None,
        users: tuple[str, ...] = ("anna@example.org", "ben@example.org", "lisa@lmtp.test"),
        more: str = "",
    ) -> None:
        need_root("Dovecot starts as root and drops privileges itself")
        dovecot = program("dovecot")
        base.mkdir(parents=True)
        os.chmod(base, 0o755)
        self.base, self.mail = base, mail or base / "mail"
        self.imap, self.lmtp, self.pop3 = free_port(), free_port(), free_port()
        self.socket = base / "lmtp.sock"
        self.mail.mkdir(parents=True, exist_ok=True)
        (base / "home").mkdir()
        os.chown(base / "home", 65534, 65534)
        os.chown(self.mail, 65534, 65534)
        (base / "users").write_text("".join(f"{user}:::::::\n" for user in users))
        file = base / "dovecot.conf"
        ports = {"imap": self.imap, "lmtp": self.lmtp, "pop3": self.pop3}
        file.write_text(_CONFIG.format(base=base, mail=self.mail, more=more, **ports))
        self._process = Process([dovecot, "-F", "-c", str(file)])
        wait_for(self._ready, "Dovecot does not greet")

    def _ready(self) -> bool:
        if not self._process.running:
            raise AssertionError(f"Dovecot ended:\n{self._process.output}")
        try:
            for port in (self.imap, self.lmtp):
                with socket.create_connection(("127.0.0.1", port), 5) as connection:
                    if not connection.recv(200):
                        return False
        except OSError:
            return False
        return True

    @property
    def output(self) -> str:
        """Its log."""
        return self._process.output

    def stop(self) -> None:
        """Stop it; asked politely it takes a second."""
        self._process.kill()

    def mails(self, address: str) -> list[Path]:
        """The messages that it has stored."""
        local, _, domain = address.rpartition("@")
        return mails(self.mail / domain / local)

    def wait_mail(self, address: str, count: int = 1) -> list[bytes]:
        """Wait until an address has so many messages; their octets."""
        wait_for(lambda: len(self.mails(address)) >= count, f"Dovecot has no {count} for {address}")
        return [path.read_bytes() for path in self.mails(address)]

    def read(self, address: str) -> list[bytes]:
        """All messages of INBOX, as an IMAP client reads them.

        The Maildirs are given to the user that Dovecot reads as: it refuses root's.
        """
        for path in (self.mail, *self.mail.rglob("*")):
            # What it writes still, such as an index, may get another name.
            with suppress(FileNotFoundError):
                os.chown(path, 65534, 65534)
        for folder in self.mail.parents:
            if folder == self.base.parent:
                break
            folder.chmod(folder.stat().st_mode | 0o011)
        with imaplib.IMAP4("127.0.0.1", self.imap, timeout=60) as client:
            client.login(address, "imap-secret")
            client.select("INBOX", readonly=True)
            _, numbers = client.search(None, "ALL")
            found = []
            for number in numbers[0].split():
                _, parts = client.fetch(number.decode(), "(BODY.PEEK[])")
                part = parts[0]
                assert isinstance(part, tuple)
                found.append(part[1])
        return found
