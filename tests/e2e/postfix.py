"""A private Postfix: another's mail server, which takes mail from us or sends mail to us."""

from __future__ import annotations

import os
import signal
import smtplib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e.process import lives
from tests.e2e.scenario import free_port, mails, need_root, program, wait_for

#: A server under test takes 127.0.0.1 for itself when DNS names it, but not 127.0.0.2.
_HOSTS = ("127.0.0.1", "127.0.0.2")
#: Postfix's own services: name, type, private, chroot, command; the listener comes first.
_SERVICES = """\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """One running instance on a loopback port.

    :param base: an empty directory that other users may enter.
    :param domains: what it takes mail for: any address of these, delivered to
        ``base/mail/<domain>/<local>/`` as Maildir.
    :param boxes: the local parts that exist.
    :param settings: further lines of main.cf, over our own.
    :raise SkipTest: without root, or if it is not installed.
    """

    def __init__(
        self,
        base: Path,
        domains: Sequence[str] = ("remote.test",),
        boxes: Sequence[str] = ("rita", "rolf"),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        need_root("Postfix starts as root and drops privileges itself")
        self._postfix = program("postfix")
        self.base, self.port = base, free_port()
        self.log = base / "postfix.log"
        self.mail = base / "mail"
        for name in ("conf", "spool", "data", "mail"):
            (base / name).mkdir(parents=True)
        os.chmod(base, 0o755)
        subprocess.run(["chown", "postfix", base / "data"], check=True)
        os.chown(self.mail, 65534, 65534)
        boxes_file = base / "conf" / "boxes"
        boxes_file.write_text(
            "".join(f"{box}@{domain} {domain}/{box}/\n" for domain in domains for box in boxes)
        )
        values = {
            "compatibility_level": "3.6",
            "queue_directory": str(base / "spool"),
            "data_directory": str(base / "data"),
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "myhostname": "mx.remote.test",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_protocols": "ipv4",
            "inet_interfaces": "127.0.0.1",
            "virtual_mailbox_domains": " ".join(domains),
            "virtual_mailbox_maps": f"texthash:{boxes_file}",
            "virtual_mailbox_base": str(self.mail),
            "virtual_uid_maps": "static:65534",
            "virtual_gid_maps": "static:65534",
            "virtual_mailbox_limit": "0",
            "message_size_limit": "209715200",
            "alias_maps": "",
            "alias_database": "",
            "disable_dns_lookups": "yes",
            "smtp_host_lookup": "native",
            "maillog_file": str(self.log),
            "maillog_file_prefixes": str(base),
            "multi_instance_enable": "yes",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtpd_client_connection_count_limit": "0",
            "smtp_tls_security_level": "may",
            "smtputf8_enable": "yes",
            "minimal_backoff_time": "2s",
            "maximal_backoff_time": "2s",
            "queue_run_delay": "1s",
            "smtpd_error_sleep_time": "0",
            **(settings or {}),
        }
        main = "".join(f"{name} = {value}\n" for name, value in values.items())
        (base / "conf" / "main.cf").write_text(main)
        listeners = "".join(f"{host}:{self.port} inet n - n - 100 smtpd\n" for host in _HOSTS)
        (base / "conf" / "master.cf").write_text(listeners + _SERVICES)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it greets."""
        done = subprocess.run(
            [self._postfix, "-c", self.base / "conf", "start"], capture_output=True, text=True
        )
        if done.returncode != 0:
            raise AssertionError(f"postfix start: {done.stderr}\n{self.output}")
        wait_for(self._greets, "Postfix does not greet")

    def _greets(self) -> bool:
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=5) as client:
                return client.noop()[0] == 250
        except OSError:
            return False

    @property
    def pid(self) -> int:
        """Of its master process."""
        return int((self.base / "spool" / "pid" / "master.pid").read_text())

    def stop(self) -> None:
        """Stop it, at once."""
        try:
            pid = self.pid
            # Asked politely it waits a second for its children, which this ends with it.
            os.killpg(pid, signal.SIGKILL)
        except (OSError, ValueError):
            return
        wait_for(lambda: not lives(pid), "Postfix does not stop")

    @property
    def output(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def mails(self, address: str) -> list[Path]:
        """The messages that have arrived for an address."""
        local, _, domain = address.rpartition("@")
        return mails(self.mail / domain / local)

    def wait_mail(self, address: str, count: int = 1, timeout: float = 60.0) -> list[bytes]:
        """Wait until an address has so many messages; their octets."""
        wait_for(lambda: len(self.mails(address)) >= count, f"{address} has not {count} message(s)", timeout)
        return [path.read_bytes() for path in self.mails(address)]
