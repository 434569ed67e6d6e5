"""Every bounce that flufl.bounce publishes, read by us.

``tools/set-up.sh bounces`` fetches them.  Which address each of them names stands in the table
of its own tests.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from mta.feedback.reading import read

PLACE = Path(sys.prefix) / "share" / "bounces"
#: Those of which the table names no recipient: what they are, and that nothing is found in them.
UNREAD = {
    "bounce_01.txt": "it names an account, and no address",
    "dumbass_01.txt": "an Exchange that names nobody",
    "groupwise_03.txt": "no bounce: an answer to a message",
    "qmail_08.txt": "no bounce: an automatic answer",
    "simple_43.txt": "it names nobody",
}
#: Of this the table names nobody either: its address was made shorter before it was sent.
ELIDED = {"simple_42.txt": {"david...@gmail.com"}}


def expected() -> dict[str, tuple[set[str], bool]]:
    """For each file the recipients, and whether it is only a delay."""
    tree = ast.parse((PLACE / "test_detectors.py").read_text("utf-8"))
    found: dict[str, tuple[set[str], bool]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DETECTORS":
            for _, file, addresses, is_temporary in ast.literal_eval(node.value):
                if addresses:
                    people, _ = found.setdefault(file, (set(), is_temporary))
                    people.update(address.decode().lower() for address in addresses)
    return found


class PublishedBounceTests(SynchronousTestCase):
    def setUp(self) -> None:
        if not PLACE.is_dir():
            raise SkipTest("the published bounces are not there; `tools/set-up.sh bounces` fetches them")
        self.files = {path.name: path.read_bytes() for path in sorted((PLACE / "data").glob("*.txt"))}

    def test_each_that_names_a_recipient(self) -> None:
        """The recipients, all and no others, and whether it is for good."""
        wrong = []
        table = expected()
        self.assertGreater(len(table), 100)
        for name, (people, is_temporary) in table.items():
            reports = read(self.files[name]).recipients
            # A DSN may name one recipient twice: as the sender wrote it, and as it was last.
            read_people = {(report.original or report.recipient).lower() for report in reports}
            actions = {report.action for report in reports}
            if read_people != people or actions != {"delayed" if is_temporary else "failed"}:
                wrong.append((name, people, read_people, actions))
        self.assertEqual([], wrong)

    def test_those_that_are_not_read(self) -> None:
        """There are no others, and nothing is found where there is nothing."""
        without = {name: read(octets) for name, octets in self.files.items() if name not in expected()}
        found = {
            name: {report.recipient for report in reading.recipients} for name, reading in without.items()
        }
        self.assertEqual({**{name: set() for name in UNREAD}, **ELIDED}, found)

    def test_cut_anywhere(self) -> None:
        """A report may be cut short, and must not make us fall over."""
        for octets in self.files.values():
            for part in range(1, 8):
                read(octets[: len(octets) * part // 8])
