"""The embedded server's first account, and what is printed."""

from __future__ import annotations

import shlex
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.first_run import ACCOUNT, announcement, command, first_account, new_password, welcome
from mta.identity.entry import parse_passwd
from mta.identity.passwd import add_user


class FirstRunTests(SynchronousTestCase):
    """A new user's first minute."""

    def test_account_is_made_once_and_its_password_fits(self) -> None:
        users = Path(self.mktemp()) / "users"
        password = first_account(users, add_user)
        assert password is not None
        verify = parse_passwd(users.read_text(), "users").entries[ACCOUNT].verify
        assert verify is not None
        self.assertTrue(verify(password.encode()))
        self.assertFalse(verify(b"wrong"))
        self.assertIsNone(first_account(users, add_user))
        self.assertNotIn(password, users.read_text())

    def test_passwords_need_no_quoting(self) -> None:
        passwords = {new_password() for _ in range(50)}
        self.assertEqual(50, len(passwords))
        for password in passwords:
            self.assertEqual(password, shlex.quote(password))

    def test_lines_can_be_pasted(self) -> None:
        text = welcome("pw", "127.0.0.1:2587", Path("/srv/a b/var/mail"), ".venv/bin/mta", Path("/srv/a b"))
        self.assertIn("    cd '/srv/a b' && MTA_PASSWORD=pw .venv/bin/mta send --smtp 127.0.0.1:2587", text)
        self.assertIn("    cd '/srv/a b' && .venv/bin/mta trace user@localhost && cat var/mail/new/*", text)
        here = Path("/srv/mta")
        self.assertEqual(".venv/bin/mta", command(here / ".venv/bin/mta", None, here))
        self.assertEqual("/opt/mta --config 'a b.toml'", command(Path("/opt/mta"), here / "a b.toml", here))
        self.assertNotIn("key create", text)
        self.assertNotIn("IMAP", text)
        place, there = Path("/m"), Path("/srv")
        by_http = welcome("pw", "h:1", place, ".venv/bin/mta", there, "127.0.0.1:8025")
        self.assertIn("    cd /srv && .venv/bin/mta key create --scope messages:send", by_http)
        self.assertIn("http://127.0.0.1:8025/docs", by_http)
        self.assertIn("IMAP with STARTTLS on h:3", welcome("pw", "h:1", place, "mta", there, imap="h:3"))
        again = welcome(None, "h:1", Path("/m"), ".venv/bin/mta", Path("/srv/a b"))
        self.assertNotIn("pw", again)
        self.assertIn("`cd '/srv/a b' && .venv/bin/mta user password user@localhost`", again)
        self.assertIn("password pw (shown only now)", announcement("pw"))
