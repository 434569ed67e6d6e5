"""``mta rules check``: a file is looked at before anything else is there."""

from __future__ import annotations

import os

from tests.cli.command import CommandCase

GOOD = '[[rule]]\nsubject = "invoice"\nfile = "Money"\n'
BAD = '[[rule]]\nform = "boss@example.com"\nforward = "me@elsewhere.test"\nfile = "Money"\n'


class RulesCheckTests(CommandCase):
    """There are neither accounts nor mailboxes."""

    def test_good(self) -> None:
        """It may be used."""
        (self.state / "rules.toml").write_text(GOOD)
        self.assertEqual("no errors\n", self.mta("rules", "check", str(self.state / "rules.toml")).out)

    def test_bad(self) -> None:
        """Each mistake is told with its line."""
        path = self.state / "rules.toml"
        path.write_text(BAD)
        found = self.mta("rules", "check", str(path), status=os.EX_DATAERR)
        self.assertEqual(f"{path}:2: rule.form: unknown key: did you mean 'from'?\n", found.out)

    def test_forward(self) -> None:
        """Where mail may not be forwarded to is told, too."""
        path = self.state / "rules.toml"
        path.write_text(BAD.replace('form = "boss@example.com"\n', ""))
        found = self.mta("rules", "check", str(path), status=os.EX_DATAERR)
        self.assertIn("mail may not be forwarded to me@elsewhere.test here", found.out)
        self.assertIn("[rules] forward_to", found.out)
