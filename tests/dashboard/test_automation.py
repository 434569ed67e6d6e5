"""What forms of campaigns and of sequences make of what was filled in."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.api.v1.campaign_models import CampaignSettings, told
from mta.dashboard.asked import Refused
from mta.dashboard.campaign_form import Fields, body, filled
from mta.dashboard.campaigns import ONE, CampaignPages
from mta.dashboard.intervals import Interval, draw_intervals
from mta.dashboard.page import Invalid
from mta.dashboard.sequences import problems, supposed, written
from tests.dashboard.desk import Desk

GIVEN: dict[str, Any] = {
    "lists": ["news"],
    "except_segments": ["buyers"],
    "sender": "shop@example.org",
    "template_A": "spring",
    "template_B": "spring",
    "subject_B": "Other",
    "weight_B": "2",
    "throttle": "500",
    "per": "minute",
    "spread": "30",
    "test": "on",
}
XSS = "<script>alert(1)</script>"


class CampaignFormTests(SynchronousTestCase):
    """See :mod:`mta.dashboard.campaign_form`."""

    def test_there_and_back(self) -> None:
        """What is kept is what was filled in, and is filled in again."""
        made = told(CampaignSettings.model_validate(body(Fields.model_validate(GIVEN), {})).definition())
        self.assertEqual([1.0, 2.0], [one["weight"] for one in made["variants"]])
        self.assertEqual({"count": 500, "per": "minute"}, made["throttle"])
        self.assertEqual((1800, 0.2, 14400), (made["spread"], made["test"]["share"], made["test"]["wait"]))
        again = {
            name: some if "lists" in name or "segments" in name else some[-1]
            for name, some in filled(made).items()
        }
        self.assertEqual(body(Fields.model_validate(GIVEN), {}), body(Fields.model_validate(again), {}))

    def test_what_it_does_not_show(self) -> None:
        """It stays as it was."""
        before = {"headers": {"X-A": "b"}, "variants": [{"name": "A", "html": "<p>", "data": {"a": 1}}]}
        made = body(Fields(subject_A="S", text_A="T"), before)
        self.assertEqual({"X-A": "b"}, made["headers"])
        self.assertEqual(({"a": 1}, "<p>"), (made["variants"][0]["data"], made["variants"][0]["html"]))

    def test_mistakes(self) -> None:
        for wrong, name in (({"weight_A": "many"}, "weight_A"), ({"throttle": "-1"}, "throttle")):
            with self.assertRaises(Invalid) as caught:
                body(Fields.model_validate({**GIVEN, **wrong}), {})
            self.assertEqual([name], list(caught.exception.errors))
        with self.assertRaises(Invalid):
            body(Fields(), {})


class Api:
    """Answers as the API does.

    :ivar asked: method, path and body of what was asked.
    :ivar refuses: why it does nothing; ``""``: it does.
    """

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[Any] = []
        self.refuses = ""

    async def __call__(
        self,
        visit: Any,
        method: str,
        path: str,
        names: Any = None,
        *,
        query: Any = None,
        body: Any = None,
    ) -> dict[str, Any]:
        self.asked.append((method, path, body))
        if self.refuses and method == "POST" and not path.endswith("check"):
            raise Refused(self.refuses)
        found: dict[str, Any] = self.answers.get(path, {})
        return found


CAMPAIGN: dict[str, Any] = {
    "name": "spring",
    "title": XSS,
    "state": "running",
    "reason": XSS,
    "begins": None,
    "started": "2027-01-01T00:00:00Z",
    "ended": None,
    "by": XSS,
    "chosen": None,
    "decision": XSS,
    "definition": told(CampaignSettings.model_validate(body(Fields.model_validate(GIVEN), {})).definition()),
    "progress": {
        "total": 10,
        "sent": 4,
        "waiting": 5,
        "suppressed": 1,
        "left": 0,
        "refused": 0,
        "seconds_left": 60,
        "waits": XSS,
    },
}
BOUNCED: dict[str, Any] = {
    "next": None,
    "messages": [
        {
            "id": "0123456789abc",
            "recipients": [
                {
                    "address": f"{XSS}@example.net",
                    "reply": {"code": 550, "enhanced": "5.1.1", "text": XSS, "host": "mx"},
                    "bounce_class": "bad-address",
                    "at": "2027-01-01T00:00:00Z",
                }
            ],
        }
    ],
}


class CampaignPageTests(SynchronousTestCase):
    """See :mod:`mta.dashboard.campaigns`."""

    def setUp(self) -> None:
        self.api = Api({ONE: CAMPAIGN, "/v1/messages": BOUNCED})
        self.tina = Desk(CampaignPages(self.api).pages()).visitor("tenant")

    def page(self, path: str) -> str:
        answer = self.tina.get(f"/dashboard/campaigns/at/spring{path}")
        self.assertEqual(200, answer.status, answer.content)
        text = answer.content.decode()
        self.assertNotIn(XSS, text)
        return text

    def test_hostile(self) -> None:
        """What others wrote is shown as it stands, and nothing else."""
        self.assertIn("4 of 10 sent; about 60", self.page(""))
        text = self.page("/people?state=bounced")
        self.assertIn("550 5.1.1", text)
        self.assertIn("/dashboard/messages/0123456789abc", text)

    def test_asks_first(self) -> None:
        """Nothing is stopped before it was confirmed; a refusal is told."""
        asked = self.tina.post("/dashboard/campaigns/stop", name="spring")
        self.assertIn(b"Stop spring for good?", asked.content)
        self.assertNotIn("POST", [one[0] for one in self.api.asked])
        self.tina.post("/dashboard/campaigns/stop", name="spring", reason="enough", confirmed="yes")
        self.assertIn(("POST", f"{ONE}/stop", {"reason": "enough"}), self.api.asked)
        self.api.refuses = "it is done"
        answer = self.tina.post("/dashboard/campaigns/pause", name="spring", confirmed="yes")
        self.assertIn(b"It is done.", self.tina.follow(answer).content)


class SequenceFormTests(SynchronousTestCase):
    """See :mod:`mta.dashboard.sequences`."""

    def test_supposed(self) -> None:
        found = supposed("opens welcome after 3h\n\nevent purchase 2d")
        self.assertEqual({"after": 10800.0, "outcome": "opened", "step": "welcome"}, found[0])
        self.assertEqual({"after": 172800.0, "event": "purchase"}, found[1])
        for wrong in ("opens", "reads welcome 3h", "opens welcome soon"):
            with self.assertRaisesRegex(ValueError, "line 1"):
                supposed(wrong)

    def test_problems(self) -> None:
        text = 'from = "a@example.org"\n[[steps]]\nid = "a"\ndo = "sned"\n'
        (one,) = problems(text)
        self.assertEqual((4, 'do = "sned"'), (one["line"], one["stands"]))
        self.assertEqual([], problems(text.replace("sned", "exit")))

    def test_null(self) -> None:
        """TOML cannot say it, so it is written as JSON."""
        source = {"steps": [{"id": "a", "do": "set", "attributes": {"plan": None}}]}
        self.assertTrue(written(source).startswith("{"))
        self.assertEqual([], problems(written(source)))


class IntervalTests(SynchronousTestCase):
    """See :func:`mta.dashboard.intervals.draw_intervals`."""

    def test_hostile(self) -> None:
        """Names are escaped; the numbers stand beside the drawing."""
        made = draw_intervals(XSS, [Interval(XSS, 0.1, 0.05, 0.2), Interval("B", 0.0, 0.0, 0.0)])
        self.assertNotIn(XSS, made.drawing)
        self.assertEqual(["B", "0.0%", "0.0%", "0.0%"], made.rows[1])
        self.assertEqual("20.0%", made.heights[0])
        self.assertEqual([], list(draw_intervals("none", []).rows))
