"""Templates of pages: what they take of others they use."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from mta.dashboard import rendering

_MARKS = re.compile(r"\{[{%].*?[%}]\}", re.S)
_TAKEN = re.compile(r'\{% from "[a-z_]+\.html" import ([^%]*?)(?: with context)? %\}')


class TemplateTests(SynchronousTestCase):
    def test_parts_are_used(self) -> None:
        unused = []
        for path in sorted(rendering._DIRECTORY.glob("*.html")):
            text = path.read_text("utf-8")
            rest = " ".join(_MARKS.findall(_TAKEN.sub("", text)))
            for taken in _TAKEN.findall(text):
                for part in taken.split(","):
                    name = part.rpartition(" as ")[2].strip()
                    if not re.search(rf'(?<!["\w.]){name}\b(?!")', rest):
                        unused.append(f"{path.name}: {name}")
        self.assertEqual([], unused)
