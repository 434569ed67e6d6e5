"""A directory of templates."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.cli.context import CommandError
from mta.cli.template_files import Pushed, read


class ReadTests(SynchronousTestCase):
    """Files as requests."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def test_all(self) -> None:
        self.write(
            "templates/a.toml", 'subject = "S"\nstrict = false\n[de]\nsubject = "D"\n[de.messages]\nx = "y"\n'
        )
        self.write("templates/a.html", "H")
        self.write("templates/a.de-AT.txt", "T")
        self.write("templates/a.json", '{"n": 1}')
        self.write("templates/b.v2.txt", "B")
        self.write("templates/.swp", "")
        self.write("layouts/l.txt", "L")
        self.assertEqual(
            [
                Pushed("layouts", "l", {"text": "L"}),
                Pushed(
                    "templates",
                    "a",
                    {
                        "subject": "S",
                        "strict": False,
                        "html": "H",
                        "translations": {
                            "de-AT": {"text": "T"},
                            "de": {"subject": "D", "messages": {"x": "y"}},
                        },
                    },
                    {"n": 1},
                ),
                Pushed("templates", "b.v2", {"text": "B"}),
            ],
            read(self.directory),
        )

    def test_mistakes(self) -> None:
        for name, text, words in (
            ("templates/a.toml", "subject = ", "a.toml: Invalid value"),
            ("templates/a.toml", 'subjekt = "x"', "'subjekt' is none of subject"),
            ("templates/a.json", "{", "a.json: Expecting"),
            ("templates/a.htm", "x", "end in .html"),
        ):
            self.write(name, text)
            error = self.assertRaises(CommandError, read, self.directory)
            self.assertIn(words, str(error))
            (self.directory / name).unlink()

    def test_nothing(self) -> None:
        self.assertIn("has no templates", str(self.assertRaises(CommandError, read, self.directory)))
        self.assertIn("no such directory", str(self.assertRaises(CommandError, read, self.directory / "x")))
