"""What is out of date, by table; and that what we depend on is pinned."""

from __future__ import annotations

import importlib.util
import re
from datetime import date
from pathlib import Path
from types import ModuleType

from twisted.trial.unittest import SynchronousTestCase

from mta.certificate import self_signed
from mta.upkeep import (
    Pin,
    about_certificate,
    about_disk,
    about_key,
    about_openssl,
    about_packages,
    about_python,
    installed,
    normal,
    numbers,
    read_pins,
    shipped_pins,
    upkeep,
)

ROOT = Path(__file__).resolve().parent.parent
DAY = date(2026, 11, 24)
NOW = 1_800_000_000.0


def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "tools" / "audit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class PinTests(SynchronousTestCase):
    """constraints.txt and mta/data/versions.txt."""

    def setUp(self) -> None:
        self.pins = read_pins((ROOT / "constraints.txt").read_text("utf-8"))

    def test_everything_installed_is_pinned(self) -> None:
        """What ours needs, what its tests need, and what these need; in the version that is pinned."""
        needed = audit().closure("test")
        self.assertTrue({"twisted", "cryptography", "hypothesis", "cffi"} <= needed)
        self.assertEqual(set(), needed - self.pins.keys(), "add them to constraints.txt, with the date")

    def test_shipped(self) -> None:
        """After a change of constraints.txt: python tools/audit.py --write."""
        shipped = shipped_pins()
        self.assertEqual({name: self.pins.get(name) for name in shipped}, shipped)
        text = (ROOT / "setup.cfg").read_text("utf-8")
        needed = re.search(r"(?s)install_requires =\n(.*?)\n\n", text)
        assert needed is not None
        names = {normal(re.split(r"[\[ ]", line.strip())[0]) for line in needed[1].splitlines()}
        self.assertEqual(set(), names - shipped.keys())

    def test_no_date_in_the_future(self) -> None:
        days = {pin.day for pin in self.pins.values()}
        self.assertTrue(min(days) >= DAY and max(days) <= date.today(), days)

    def test_mistakes(self) -> None:
        for line in ("x==1", "x>=1  # 2026-01-01", "x==1  # soon"):
            self.assertIn("line 2", str(self.assertRaises(ValueError, read_pins, f"# head\n{line}\n")))


class FindingTests(SynchronousTestCase):
    def packages(self, there: dict[str, str], today: date = DAY) -> list[tuple[str, str]]:
        pins = {"a": Pin("a", "2.10.0", DAY), "b": Pin("b", "1.0", DAY)}
        found = about_packages(pins, there, {"a": "2.1", "b": "1.0"}, today)
        return [(one["where"], one["state"]) for one in found]

    def test_packages(self) -> None:
        for there, wanted in (
            ({"a": "2.10.0", "b": "1.0"}, [("packages", "good")]),
            ({"a": "3", "b": "1.0.post1"}, [("packages", "good")]),
            ({"a": "2.9.9", "b": "1.0"}, [("a", "bad")]),
            ({"a": "2.0", "b": "1.0"}, [("a", "bad")]),
            ({"a": "2.10.0"}, [("b", "bad")]),
        ):
            self.assertEqual(wanted, self.packages(there), there)
        late = self.packages({"a": "3", "b": "2"}, date(2027, 8, 1))
        self.assertEqual([("packages", "good"), ("packages", "bad")], late)

    def test_versions(self) -> None:
        self.assertEqual((1, 20251105), numbers("1.20251105rc1"))
        self.assertEqual({}, installed(["no-such-package-anywhere"]))

    def test_python(self) -> None:
        self.assertEqual("good", about_python((3, 11), DAY)["state"])
        self.assertEqual("bad", about_python((3, 11), date(2028, 1, 1))["state"])
        self.assertEqual("bad", about_python((3, 10), DAY)["state"])
        self.assertEqual("good", about_python((3, 99), DAY)["state"])

    def test_openssl(self) -> None:
        self.assertEqual("bad", about_openssl((1, 1, 1), "OpenSSL 1.1.1w")["state"])
        self.assertEqual("good", about_openssl((3, 0, 1), "OpenSSL 3.0.1")["state"])

    def test_certificate(self) -> None:
        path, _ = self_signed(Path(self.mktemp()), "mx.example.org", NOW)
        end = NOW + 3650 * 86400
        for left, state in ((100, "good"), (10, "bad"), (-1, "bad")):
            self.assertEqual(state, about_certificate(path, end - left * 86400)["state"], left)
        path.write_text("nothing")
        self.assertEqual("unknown", about_certificate(path, NOW)["state"])
        self.assertIn("No such file", about_certificate(path.with_name("x"), NOW)["what"])

    def test_key(self) -> None:
        self.assertEqual("good", about_key("a.test", "s", NOW - 300 * 86400, NOW)["state"])
        old = about_key("a.test", "s", NOW - 400 * 86400, NOW)
        self.assertEqual(
            ("bad", "`mta dkim rotate a.test` changes to another key"), (old["state"], old["remedy"])
        )

    def test_disk(self) -> None:
        here = Path(self.mktemp())
        self.assertEqual("bad", about_disk(here / "a" / "b", 1 << 62)["state"])
        self.assertIn("MiB are free", about_disk(here, 1)["what"])

    def test_all(self) -> None:
        path, _ = self_signed(Path(self.mktemp()), "mx.example.org", NOW)
        keys = [("a.test", "s", NOW)]
        found = upkeep(now=NOW, certificate=path, keys=keys, state=path.parent, minimum_free=1)
        self.assertTrue(
            {"python", "openssl", "certificate", "dkim a.test", "disk"} <= {one["where"] for one in found}
        )
