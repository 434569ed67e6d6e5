"""Plots: what is drawn, and what is told to who does not see it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from twisted.trial.unittest import SynchronousTestCase

from mta.dashboard.plot import Series, draw


class PlotTests(SynchronousTestCase):
    """draw()."""

    def test_strict(self) -> None:
        """Nothing in it needs more than our policy allows, and it is well-formed."""
        for kind in ("lines", "areas", "bars"):
            plot = draw(
                "Mail", ["a", "b", "c"], [Series("x", [1, None, 3]), Series("y", [2, 2, 2])], kind=kind
            )  # type: ignore[arg-type]
            root = ElementTree.fromstring(str(plot.drawing))
            self.assertEqual("img", root.get("role"))
            for element in root.iter():
                self.assertNotIn(element.tag, ("style", "script", "foreignObject", "a", "use", "image"))
                self.assertEqual(
                    [], [name for name in element.attrib if name == "style" or name.startswith("on")]
                )

    def test_hostile(self) -> None:
        evil = '"><script>alert(1)</script>'
        plot = draw(evil, [evil, "b"], [Series(evil, [1, 2])], kind="bars")
        self.assertNotIn("<script", str(plot.drawing))
        ElementTree.fromstring(str(plot.drawing))

    def test_table(self) -> None:
        plot = draw(
            "Mail", ["8:00", "9:00"], [Series("in", [1234, 0]), Series("out", [None, 2.5])], what="Hour"
        )
        self.assertEqual(["Hour", "in", "out"], plot.head)
        self.assertEqual([["8:00", "1\u202f234", "–"], ["9:00", "0", "2.50"]], plot.rows)
        self.assertIn("in: at the most 1\u202f234 (8:00), at last 0.", plot.words)

    def test_heights(self) -> None:
        """Round steps, whatever the largest is."""
        for largest, top in (
            (0, "4"),
            (3, "4"),
            (97, "100"),
            (101, "120"),
            (4800, "6\u202f000"),
            (1_300_000, "1.6 M"),
        ):
            self.assertEqual(top, draw("x", ["a"], [Series("s", [largest])]).heights[0], largest)
        share = draw("x", ["a"], [Series("s", [0.97])], top=1.0, written=lambda value: f"{value:.0%}")
        self.assertEqual(["100%", "75%", "50%", "25%", "0%"], share.heights)

    def test_empty(self) -> None:
        """Without numbers there is a plot without lines."""
        self.assertIn("no numbers yet", draw("x", [], [Series("s", [])]).words)
        self.assertIn("no numbers yet", draw("x", ["a"], [Series("s", [None])]).words)

    def test_labels(self) -> None:
        """As many as can be read."""
        labels = draw("x", [str(n) for n in range(24)], []).labels
        self.assertEqual(["2", "6", "10", "14", "18", "22"], [label for label in labels if label])
        self.assertEqual(["a", "b"], draw("x", ["a", "b"], []).labels)
