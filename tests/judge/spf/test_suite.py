"""The test suite of RFC 7208, and what pyspf has of its own, each case a test.

They are in the source package of pyspf, which the set-up fetches.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from mta.judge.spf.evaluation import Identity
from tests.judge.spf.zone import Zone

PLACE = Path(sys.prefix) / "share" / "spf"
#: What of pyspf's own cases is of what it has besides the RFC: a modifier of an early draft.
OTHERWISE = {"default-modifier", "default-modifier-harsh"}
#: Cases that there are in all.
COUNTS = {"rfc7208-tests.yml": 203, "test.yml": 14}
#: What a domain that explains nothing is made to say.
DEFAULT = "DEFAULT"


def case(name: str, test: dict[str, Any], zone: dict[str, Any]) -> Callable[[SynchronousTestCase], None]:
    """A test for one case."""

    def run(self: SynchronousTestCase) -> None:
        """One case of the suite."""
        sender, helo = str(test["mailfrom"] or ""), str(test["helo"])
        if not sender:
            sender = f"postmaster@{helo}"
        identity = Identity(
            str(test["host"]),
            sender.rpartition("@")[2],
            sender,
            helo,
            str(test.get("receiver", "unknown")),
            0,
        )
        found = Zone(zone).check(identity)
        results = test["result"] if isinstance(test["result"], list) else [test["result"]]
        self.assertIn(found.result, results, f"{name}: {found.reason}")
        if "explanation" in test:
            self.assertEqual(test["explanation"], found.explanation or DEFAULT, f"{name}: {found.reason}")

    return run


def cases(file: str) -> dict[str, Callable[[SynchronousTestCase], None]]:
    """Tests by name; one that is skipped without the suite."""
    try:
        text = (PLACE / file).read_text("utf-8")
    except OSError:

        def missing(self: SynchronousTestCase) -> None:
            """The suite is not there."""
            raise SkipTest(f"{file} of pyspf is not there; `make test-parts` fetches it")

        return {"test_suite": missing}
    found = {}
    for scenario in yaml.safe_load_all(text):
        for name, test in scenario["tests"].items():
            if name not in OTHERWISE:
                title = str(scenario.get("description", "")).replace(" ", "_")
                found[f"test_{title}_{name}"] = case(str(name), test, scenario["zonedata"])

    def count(self: SynchronousTestCase) -> None:
        """None is left out."""
        self.assertEqual(COUNTS[file], len(found) - 1)

    found["test_count"] = count
    return found


class Rfc7208Tests(SynchronousTestCase):
    """rfc7208-tests.yml, release 2014.04: all cases."""


class PyspfTests(SynchronousTestCase):
    """test.yml of pyspf: what its users have found."""


def fill() -> None:
    """Give the classes their tests."""
    for there, file in ((Rfc7208Tests, "rfc7208-tests.yml"), (PyspfTests, "test.yml")):
        for name, test in cases(file).items():
            setattr(there, name, test)


fill()
