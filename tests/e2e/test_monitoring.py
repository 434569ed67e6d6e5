"""What is shipped for Grafana and Prometheus asks for what a server exports, and is what they read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from tests.e2e.api import ServedApi

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "etc" / "grafana" / "mta.json"
RULES = ROOT / "etc" / "prometheus" / "mta-alerts.yml"
#: What Grafana puts in place of a variable.
_PLACES = {"$__rate_interval": "5m", "$worker": ".*"}
_ENDS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def panels() -> list[dict[str, Any]]:
    """Those of the dashboard."""
    return [panel for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"] if panel["type"] != "row"]


def questions() -> Iterator[tuple[str, str]]:
    """Where a question stands, and the question."""
    for panel in panels():
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in _PLACES.items():
                text = text.replace(name, value)
            yield panel["title"], text
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def wrong(question: str, known: dict[str, set[str]]) -> list[str]:
    """Metrics and labels of a question that there are not."""
    found = []
    labels: set[str] = set()
    for name, chosen in re.findall(r"\b(mta_\w+)(\{[^}]*\})?", question):
        if name not in known:
            found.append(f"there is no {name}")
            continue
        labels |= known[name]
        found += [
            f"{name} has no {one}" for one in re.findall(r'(\w+)\s*[=!]~?"', chosen) if one not in known[name]
        ]
    for group in re.findall(r"\b(?:by|without)\s*\(([^)]*)\)", question):
        found += [f"nothing has {one}" for one in re.split(r"\s*,\s*", group.strip()) if one not in labels]
    return found


class ExportedTests(TestCase):
    async def test_exported(self) -> None:
        """Each metric and each label is one that a server exports."""
        api = await ServedApi(self).started()
        known: dict[str, set[str]] = {}
        for sample in await api.server.api.measuring.samples():
            for end in _ENDS[sample["type"]]:
                more = {"le"} if end == "_bucket" else set()
                known[sample["name"] + end] = {"worker", *sample["labels"], *more}
        every = list(questions())
        self.assertGreater(len(every), 40)
        self.assertEqual({}, {where: found for where, text in every if (found := wrong(text, known))})
        # All that there is, is shown somewhere or documented as not.
        asked = " ".join(text for _, text in every)
        names = {sample["name"] for sample in await api.server.api.measuring.samples()}
        unused = {"mta_recipients_received", "mta_octets_received", "mta_bans"}
        self.assertEqual(set(), {name for name in names if name not in asked} - unused)
        legends = [(panel["title"], t["legendFormat"]) for panel in panels() for t in panel["targets"]]
        labels = set().union(*known.values())
        for title, legend in legends:
            self.assertEqual(set(), set(re.findall(r"{{(\w+)}}", legend)) - labels, title)


class CheckerTests(SynchronousTestCase):
    """The check finds what it is there for."""

    def test_wrong(self) -> None:
        known = {"mta_a_total": {"worker", "x"}, "mta_b_bucket": {"worker", "le"}}
        for text, found in (
            ('sum by (x) (rate(mta_a_total{worker=~".*", x!="1"}[5m]))', []),
            ("sum(mta_c)", ["there is no mta_c"]),
            ('mta_a_total{y="1"}', ["mta_a_total has no y"]),
            ("sum by (le, z) (mta_b_bucket)", ["nothing has z"]),
        ):
            self.assertEqual(found, wrong(text, known), text)


class FileTests(SynchronousTestCase):
    def test_dashboard(self) -> None:
        """Panels have ids and places of their own, and a word on what they show."""
        found = json.loads(DASHBOARD.read_text("utf-8"))
        ids = [panel["id"] for panel in found["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        taken: set[tuple[int, int]] = set()
        for panel in found["panels"]:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            self.assertEqual(set(), cells & taken, panel["title"])
            taken |= cells

    def test_rules(self) -> None:
        """Each says what it means, what leads to it and what to do."""
        names = []
        for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                names.append(rule["alert"])
                self.assertIn(rule["labels"]["severity"], ("info", "warning", "critical"))
                self.assertGreater(len(rule["annotations"]["summary"]), 10)
                self.assertGreater(len(rule["annotations"]["description"]), 30)
        self.assertEqual(len(names), len(set(names)))

    def test_promtool(self) -> None:
        """Prometheus reads the rules and all questions of the dashboard; rules fire when they should."""
        if shutil.which("promtool") is None:
            raise SkipTest("promtool is not installed; `tools/set-up.sh parts` installs prometheus")
        self.promtool("check", "rules", str(RULES))
        self.promtool("test", "rules", str(ROOT / "tests" / "metrics" / "alerts.yml"))
        draft = Path(self.mktemp())
        rules = [{"record": f"q:{n}", "expr": text} for n, (_, text) in enumerate(questions())]
        draft.write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": rules}]}))
        self.promtool("check", "rules", str(draft))

    def promtool(self, *arguments: str) -> None:
        done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
