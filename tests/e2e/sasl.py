"""Passwords for a private Postfix: a Dovecot that does nothing but verify them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.process import Process
from tests.e2e.scenario import need_root, program, wait_for

_CONFIG = """\
protocols =
base_dir = {base}/run
state_dir = {base}/var
instance_name = mta-sasl-{name}
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
log_path = /dev/stderr
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {base}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {base}/auth.sock {{
    mode = 0666
  }}
}}
"""


class Sasl:
    """One running instance.

    :param base: an empty directory that other users may enter.
    :param users: name to password.
    :raise SkipTest: without root, or if Dovecot is not installed.
    """

    def __init__(self, base: Path, users: Mapping[str, str]) -> None:
        need_root("Dovecot starts as root and drops privileges itself")
        dovecot = program("dovecot")
        base.mkdir(parents=True)
        os.chmod(base, 0o755)
        self.socket = base / "auth.sock"
        (base / "users").write_text("".join(f"{name}:{password}\n" for name, password in users.items()))
        file = base / "dovecot.conf"
        file.write_text(_CONFIG.format(base=base, name=base.name))
        self._process = Process([dovecot, "-F", "-c", str(file)])
        wait_for(self._ready, "Dovecot does not open its socket")

    @property
    def settings(self) -> dict[str, str]:
        """What main.cf needs, so that mail is taken after AUTH only."""
        return {
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_type": "dovecot",
            "smtpd_sasl_path": str(self.socket),
            "smtpd_recipient_restrictions": "permit_sasl_authenticated, reject",
            "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
        }

    def _ready(self) -> bool:
        if not self._process.running:
            raise AssertionError(f"Dovecot ended:\n{self._process.output}")
        return self.socket.exists() and stat.S_ISSOCK(self.socket.stat().st_mode)

    @property
    def output(self) -> str:
        """Its log."""
        return self._process.output

    def stop(self) -> None:
        """Stop it."""
        # Asked politely it takes a second.
        self._process.kill()
