"""Campaigns of a tenant: how far each is, what came of it and how sure that is, and whom it reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from mta.dashboard.asked import Ask, Refused, place_of
from mta.dashboard.intervals import Interval, draw_intervals
from mta.dashboard.page import Answered, Confirmation, Form, Html, Page, Query, Redirect
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit

PLACE = "/dashboard/campaigns"
ONE = "/v1/campaigns/{name}"
_ON_PAGE = 50
METRICS = ("opened", "clicked", "bounced", "unsubscribed", "complained")


class Find(Query):
    """Which campaigns."""

    state: Literal["", "draft", "scheduled", "running", "paused", "done", "stopped"] = ""
    after: str = Field("", max_length=200)


class By(Query):
    """By what variants are compared."""

    metric: Literal["", "opened", "clicked", "complained", "unsubscribed", "bounced"] = ""


class Which(Query):
    """Which people."""

    state: Literal["", "waiting", "sent", "suppressed", "refused", "left", "bounced"] = ""
    after: str = Field("", max_length=400)


class One(Form):
    """A campaign that something is done to."""

    name: str
    reason: str = Field("", max_length=500)


class Pause(One):
    """How it pauses."""

    hold: bool = False


class Choice(One):
    """What the rest gets."""

    variant: str = Field("", max_length=20)


class TestSend(Form):
    """Who gets a test message."""

    to: str = Field(min_length=3, max_length=3000)
    variant: str = Field("", max_length=20)
    contact: str = Field("", max_length=320)


class CampaignPages:
    """See the module.

    :param ask: asks the API.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def pages(self) -> list[Page]:
        """What there is."""
        look, act, one = Right.LOOK_OWN, Right.ACT_OWN, PLACE + "/at/{name}"

        def do(what: str, handler: Any, title: str, form: Any = One, confirm: Any = None) -> Page:
            return Page("POST", f"{PLACE}/{what}", handler, act, title, form=form, confirm=confirm)

        return [
            Page("GET", PLACE, self.show_all, look, "Campaigns", query=Find),
            Page("GET", one, self.one, look, "Campaign"),
            Page("POST", f"{one}/test", self.test, act, "Send a test", None, TestSend, self.one),
            Page("GET", f"{one}/result", self.result, look, "Result", query=By),
            Page("GET", f"{one}/people", self.people, look, "Recipients", query=Which),
            do("start", self.start, "Start", One, self.ask_start),
            do("schedule", self.schedule, "Schedule", One, self.ask_schedule),
            do("unschedule", self.unschedule, "Make a draft again"),
            do("pause", self.pause, "Pause", Pause, self.ask_pause),
            do("resume", self.resume, "Go on"),
            do("stop", self.stop, "Stop", One, self.ask_stop),
            do("decide", self.decide, "Choose a variant", Choice, self.ask_decide),
            do("remove", self.remove, "Remove", One, self.ask_remove),
        ]

    # --- looking -----------------------------------------------------------------------

    async def show_all(self, visit: Visit) -> Answered:
        """All of them, the last made first."""
        query: Find = visit.query
        asked = {"limit": _ON_PAGE, "cursor": query.after, "state": query.state or None}
        try:
            found = await self._ask(visit, "GET", "/v1/campaigns", query=asked)
        except Refused:
            return Redirect(PLACE)
        return Html("campaigns.html", {"found": found["campaigns"], "more": found["next"]})

    async def one(self, visit: Visit) -> Answered:
        """One: how far it is, or what stands in its way."""
        campaign = await self._get(visit, visit.path["name"])
        report = None
        if campaign["state"] in ("draft", "scheduled"):
            report = await self._ask(visit, "POST", f"{ONE}/check", {"name": campaign["name"]})
        return Html("campaign.html", {"campaign": campaign, "report": report})

    async def result(self, visit: Visit) -> Answered:
        """What came of it."""
        names = {"name": visit.path["name"]}
        campaign = await self._get(visit, names["name"])
        found = await self._ask(visit, "GET", f"{ONE}/result", names, query={"metric": visit.query.metric})
        metric = found["metric"]
        rates = [
            Interval(one["name"], **{part: one["rates"][metric][part] for part in ("rate", "low", "high")})
            for one in found["variants"]
        ]
        sure = f"{found['confidence']:.0%}"
        plot = draw_intervals(f"How many {metric}, with its {sure} interval", rates)
        values = {"campaign": campaign, "result": found, "plot": plot, "sure": sure, "metrics": METRICS}
        return Html("campaign_result.html", values)

    async def people(self, visit: Visit) -> Answered:
        """Who gets it; or whose message came back, and why."""
        query: Which = visit.query
        names = {"name": visit.path["name"]}
        campaign = await self._get(visit, names["name"])
        values: dict[str, Any] = {"campaign": campaign, "found": (), "bounced": ()}
        try:
            if query.state == "bounced":
                asked = {
                    "campaign": names["name"],
                    "state": "bounced",
                    "limit": _ON_PAGE,
                    "cursor": query.after,
                }
                found = await self._ask(visit, "GET", "/v1/messages", query=asked)
                values["bounced"] = found["messages"]
            else:
                asked = {"limit": _ON_PAGE, "cursor": query.after, "state": query.state or None}
                found = await self._ask(visit, "GET", f"{ONE}/recipients", names, query=asked)
                values["found"] = found["recipients"]
        except Refused:
            return Redirect(f"{place_of(PLACE, names['name'])}/people")
        return Html("campaign_people.html", {**values, "more": found["next"]})

    # --- acts --------------------------------------------------------------------------

    async def test(self, visit: Visit) -> Answered:
        """Send test messages."""
        form: TestSend = visit.form.value
        name = visit.path["name"]
        to = [{"email": one} for one in form.to.replace(",", " ").split()]
        body = {"to": to, "variant": form.variant, "contact": form.contact.strip()}
        try:
            found = await self._ask(visit, "POST", f"{ONE}/test", {"name": name}, body=body)
        except Refused as refused:
            raise refused.invalid({"to": "to", "contact": "contact", "variant": "variant"}) from None
        wrong = [f"{one['to']}: {one['error']}" for one in found["messages"] if "error" in one]
        sent = len(found["messages"]) - len(wrong)
        words = f"Sent: {sent}." + "".join(f"  Not sent to {one}." for one in wrong)
        return Redirect(place_of(PLACE, name), words, "warn" if wrong else "good")

    async def ask_start(self, visit: Visit) -> Confirmation:
        """How many get it."""
        name = visit.form.value.name
        report = await self._ask(visit, "POST", f"{ONE}/check", {"name": name})
        return Confirmation(
            f"Start {name} now?",
            "Messages begin to go at once, as fast as it is set.  It can be paused and stopped; what "
            "has left cannot be taken back.",
            "Start",
            place_of(PLACE, name),
            facts=_size(report),
            danger=False,
            reason="Why",
        )

    async def start(self, visit: Visit) -> Answered:
        """Start it now."""
        return await self._act(visit, "start", "has started")

    async def ask_schedule(self, visit: Visit) -> Confirmation:
        """When it begins."""
        name = visit.form.value.name
        campaign = await self._get(visit, name)
        report = await self._ask(visit, "POST", f"{ONE}/check", {"name": name})
        of = campaign["definition"]
        when = of["send_at"] or (f"{of['local_time']}, where each recipient is" if of["local_time"] else "")
        return Confirmation(
            f"Let {name} begin at its time?",
            "It begins by itself then, without anybody.  Until then it can be made a draft again.",
            "Schedule",
            place_of(PLACE, name),
            facts=[("Begins", when or "no time is set: change the draft"), *_size(report)],
            danger=False,
        )

    async def schedule(self, visit: Visit) -> Answered:
        """Have it begin at its time."""
        return await self._act(visit, "schedule", "begins at its time")

    async def unschedule(self, visit: Visit) -> Answered:
        """Make a draft again."""
        return await self._act(visit, "unschedule", "is a draft again")

    async def ask_pause(self, visit: Visit) -> Confirmation:
        """What that means."""
        form: Pause = visit.form.value
        queue = "is held, too" if form.hold else "goes on"
        return Confirmation(
            f"Pause {form.name}?",
            f"Nothing more is handed to the queue until it goes on.  What is in the queue already {queue}.",
            "Pause",
            place_of(PLACE, form.name),
            danger=False,
            reason="Why",
        )

    async def pause(self, visit: Visit) -> Answered:
        """Hand nothing more to the queue."""
        return await self._act(visit, "pause", "is paused", hold=visit.form.value.hold)

    async def resume(self, visit: Visit) -> Answered:
        """Go on."""
        return await self._act(visit, "resume", "goes on")

    async def ask_stop(self, visit: Visit) -> Confirmation:
        """What is lost then."""
        campaign = await self._get(visit, visit.form.value.name)
        return Confirmation(
            f"Stop {campaign['name']} for good?",
            "Whoever has not got it never gets it: a campaign that is stopped cannot be started again.  "
            "What is in the queue and was never attempted is taken out of it.  To stop it for "
            "a while, pause it.",
            "Stop for good",
            place_of(PLACE, campaign["name"]),
            facts=[
                ("Sent", str(campaign["progress"]["sent"])),
                ("Not sent yet", str(campaign["progress"]["waiting"])),
            ],
            reason="Why",
        )

    async def stop(self, visit: Visit) -> Answered:
        """End it for good."""
        return await self._act(visit, "stop", "is stopped")

    async def ask_decide(self, visit: Visit) -> Confirmation:
        """What the rest gets then."""
        form: Choice = visit.form.value
        result = await self._ask(visit, "GET", f"{ONE}/result", {"name": form.name}, query={})
        rest = f"The rest gets {form.variant}" if form.variant else "The rest is split as the test was"
        return Confirmation(
            f"{rest}?",
            f"{result['words']}  This cannot be changed afterwards.",
            "Choose",
            f"{place_of(PLACE, form.name)}/result",
            danger=False,
        )

    async def decide(self, visit: Visit) -> Answered:
        """Choose what the rest gets."""
        return await self._act(visit, "decide", "goes on as chosen", variant=visit.form.value.variant or None)

    async def ask_remove(self, visit: Visit) -> Confirmation:
        """What is lost then."""
        name = visit.form.value.name
        return Confirmation(
            f"Remove the draft {name}?",
            "What was written in it is lost.  Nothing of it was sent.",
            "Remove",
            place_of(PLACE, name),
        )

    async def remove(self, visit: Visit) -> Answered:
        """Forget a draft."""
        name = visit.form.value.name
        try:
            await self._ask(visit, "DELETE", ONE, {"name": name})
        except Refused as refused:
            return refused.back(place_of(PLACE, name))
        return Redirect(PLACE, f"{name} is removed.")

    # --- in common ---------------------------------------------------------------------

    async def _get(self, visit: Visit, name: str) -> dict[str, Any]:
        return await self._ask(visit, "GET", ONE, {"name": name})

    async def _act(self, visit: Visit, act: str, done: str, **more: Any) -> Answered:
        form: One = visit.form.value
        body = {"reason": form.reason, **more}
        try:
            await self._ask(visit, "POST", f"{ONE}/{act}", {"name": form.name}, body=body)
        except Refused as refused:
            return refused.back(place_of(PLACE, form.name))
        return Redirect(place_of(PLACE, form.name), f"{form.name} {done}.")


def _size(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    size = "not known" if report["size"] is None else str(report["size"])
    return [("People", size), ("Of them get nothing, as they stand now", str(report["suppressed"]))]
