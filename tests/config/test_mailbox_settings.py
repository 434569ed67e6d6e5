"""How people fetch their mail: what can be set."""

from __future__ import annotations

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from mta.config.mailbox_settings import UsualFolders


class UsualFolderTests(SynchronousTestCase):
    """Folders that each account has."""

    def test_by_use(self) -> None:
        usual = UsualFolders.model_validate({"sent": ["Mail.Gesendet"], "archive": []}).by_use()
        self.assertEqual(("Mail.Gesendet",), usual["\\Sent"])
        self.assertEqual((), usual["\\Archive"])
        self.assertEqual({"\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"}, set(usual))

    def test_names_that_cannot_be(self) -> None:
        for name in ("", "a..b", "a/b", "Inbox", "a\n"):
            self.assertRaises(ValidationError, UsualFolders.model_validate, {"sent": [name]})
