"""A campaign made step by step: whom it is for, what they get, when and how fast."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from mta.audience.audience import Audience
from mta.dashboard.asked import Ask, Refused, place_of
from mta.dashboard.campaigns import ONE, PLACE
from mta.dashboard.page import Answered, Form, Html, Invalid, Page, Redirect, Trouble
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.registry.templates import Templates

#: Variants that the form has.
VARIANTS = ("A", "B", "C", "D")
STEPS = ("Whom", "What", "When and how fast")
#: Which place of a request is which field, and in which step.
_FIELDS = {
    "name": "name",
    "title": "title",
    "audience": "lists",
    "from": "sender",
    "variants.0.template": "template_A",
    "variants.0": "subject_A",
    "variants.1": "subject_B",
    "variants.2": "subject_C",
    "variants.3": "subject_D",
    "variants": "template_A",
    "send_at": "send_at",
    "local_time": "local_time",
    "time_zone": "time_zone",
    "throttle": "throttle",
    "spread": "spread",
    "test": "share",
}
_WRITTEN = ("template", "subject", "text")
_FIRST = ("name", "title", "lists", "segments", "except_lists", "except_segments")


class Fields(Form):
    """A campaign as the form has it; whether it is sound, the API says."""

    step: int = Field(1, ge=1, le=3)
    to: str = ""
    name: str = Field("", max_length=64)
    title: str = Field("", max_length=200)
    lists: list[str] = Field(default_factory=list)
    segments: list[str] = Field(default_factory=list)
    except_lists: list[str] = Field(default_factory=list)
    except_segments: list[str] = Field(default_factory=list)
    sender: str = Field("", max_length=320)
    sender_name: str = Field("", max_length=200)
    template_A: str = ""
    subject_A: str = ""
    text_A: str = Field("", max_length=100_000)
    weight_A: str = "1"
    template_B: str = ""
    subject_B: str = ""
    text_B: str = Field("", max_length=100_000)
    weight_B: str = "1"
    template_C: str = ""
    subject_C: str = ""
    text_C: str = Field("", max_length=100_000)
    weight_C: str = "1"
    template_D: str = ""
    subject_D: str = ""
    text_D: str = Field("", max_length=100_000)
    weight_D: str = "1"
    send_at: str = ""
    local_time: str = ""
    time_zone: str = ""
    throttle: str = ""
    per: str = "hour"
    spread: str = ""
    test: bool = False
    share: str = "20"
    wait: str = "4"
    metric: str = "clicked"
    confidence: str = "95"
    otherwise: str = "wait"


class CampaignFormPages:
    """See the module.

    :param ask: asks the API.
    :param audience: has lists and segments.
    :param templates: has templates.
    """

    def __init__(self, ask: Ask, audience: Audience, templates: Templates) -> None:
        self._ask = ask
        self._audience = audience
        self._templates = templates

    def pages(self) -> list[Page]:
        """What there is."""
        act, new, edit = Right.ACT_OWN, f"{PLACE}/new", PLACE + "/at/{name}/edit"
        return [
            Page("GET", new, self.form, act, "A new campaign"),
            Page("POST", new, self.save, act, "A new campaign", form=Fields, again=self.form),
            Page("GET", edit, self.form, act, "Change a campaign"),
            Page("POST", edit, self.save, act, "Change a campaign", form=Fields, again=self.form),
        ]

    async def form(self, visit: Visit) -> Answered:
        """The step at which it is."""
        wrong = set(visit.form.errors)
        step = int(visit.form.text("step", 1)) if visit.form.text("step", 1) in ("1", "2", "3", 1) else 1
        if wrong & set(_FIRST):
            step = 1
        elif any(
            one.partition("_")[0] in ("sender", "template", "subject", "text", "weight") for one in wrong
        ):
            step = 2
        return await self._shown(visit, step)

    async def _shown(self, visit: Visit, step: int) -> Html:
        known = await self._known(visit)
        if known and not visit.form.values:
            # What a draft says is what is filled in at first.
            visit.form.values.update(filled(known["definition"]))
        _offer(visit, step)
        lists = await self._audience.lists.all_of(visit.tenant)
        segments = await self._audience.segments.page(visit.tenant, "", 500)
        templates = await self._templates.page(visit.tenant, "template", "", 500)
        if visit.form.values:
            # What was not asked yet has its default, which a form that was sent would not show.
            for name, of in Fields.model_fields.items():
                if isinstance(of.default, str) and of.default:
                    visit.form.values.setdefault(name, [of.default])
        values = {
            "campaign": known,
            "step": step,
            "steps": STEPS,
            "variants": VARIANTS,
            "lists": lists,
            "segments": segments,
            "templates": [("", "none: a text of its own"), *((one.name, one.name) for one in templates)],
            "kept": {
                name: visit.form.texts(name)
                for name in Fields.model_fields
                if name not in ("step", "to", *_OF_STEP[step]) and visit.form.texts(name)
            },
        }
        return Html("campaign_form.html", values, 422 if visit.form.errors else 200)

    async def save(self, visit: Visit) -> Answered:
        """Go on to the next step, back to one before, or keep the draft."""
        form: Fields = visit.form.value
        if form.to == "back":
            return await self._shown(visit, max(1, form.step - 1))
        known = await self._known(visit)
        if form.step == 1 or form.to == "save":
            _sound(form, known is not None)
        if form.to == "next" and form.step < 3:
            return await self._shown(visit, form.step + 1)
        settings = body(form, dict(known["definition"]) if known else {})
        try:
            if known:
                made = await self._ask(visit, "PUT", ONE, {"name": known["name"]}, body=settings)
            else:
                made = await self._ask(visit, "POST", "/v1/campaigns", body={**settings, "name": form.name})
        except Refused as refused:
            if "already" in refused.detail:
                raise Invalid({"name": refused.detail}) from None
            raise refused.invalid(_FIELDS) from None
        return Redirect(
            place_of(PLACE, made["name"]), "The draft is kept.  Nothing is sent before it is started."
        )

    async def _known(self, visit: Visit) -> dict[str, Any] | None:
        if "name" not in visit.path:
            return None
        known = await self._ask(visit, "GET", ONE, {"name": visit.path["name"]})
        variants = known["definition"]["variants"]
        place = place_of(PLACE, known["name"])
        if known["state"] != "draft":
            raise Trouble(409, "Only a draft can be changed", f"{known['name']} is {known['state']}.")
        if [one["name"] for one in variants] != list(VARIANTS[: len(variants)]):
            words = "It has variants that this form cannot show, and would lose."
            raise Trouble(409, "This draft was made by a program", words, f"Change it there; see {place}.")
        return known


def _offer(visit: Visit, step: int) -> None:
    """Fill in what a step begins with: a form that was sent already has no other defaults."""
    values = visit.form.values
    if not values:
        return
    for name in _OF_STEP[step] - values.keys():
        first = visit.sender if name == "sender" else Fields.model_fields[name].default
        if isinstance(first, str) and first:
            values[name] = [first]


#: What is asked in which step.
_OF_STEP = {
    1: frozenset(_FIRST),
    2: frozenset(
        [
            "sender",
            "sender_name",
            *(f"{part}_{one}" for one in VARIANTS for part in ("template", "subject", "text", "weight")),
        ]
    ),
    3: frozenset(
        (
            "send_at",
            "local_time",
            "time_zone",
            "throttle",
            "per",
            "spread",
            "test",
            "share",
            "wait",
            "metric",
            "confidence",
            "otherwise",
        )
    ),
}


def _sound(form: Fields, known: bool) -> None:
    """What the first step needs."""
    if not known and not form.name:
        raise Invalid({"name": "Fill this in."})
    if not form.lists and not form.segments:
        raise Invalid({"lists": "Choose at least one list or segment."})


def body(form: Fields, before: dict[str, Any]) -> dict[str, Any]:
    """What the API is asked; what the form does not have stays as it was.

    :raise Invalid: if a number is none.
    """
    variants = []
    old = {one["name"]: one for one in before.get("variants", [])}
    for name in VARIANTS:
        template, subject, text = (
            getattr(form, f"{part}_{name}") for part in ("template", "subject", "text")
        )
        if not (template or subject or text):
            continue
        one: dict[str, Any] = {
            key: value
            for key, value in old.get(name, {}).items()
            if key not in ("template", "subject", "text")
        }
        one.update(name=name, weight=_number(form, f"weight_{name}") or 0)
        if template:
            one["template"] = template
            one.pop("html", None)
        if subject:
            one["subject"] = subject
        if text:
            one["text"] = text
        variants.append(one)
    if not variants:
        raise Invalid({"template_A": "Choose a template, or write a subject and a text."})
    found = {
        **before,
        "title": form.title,
        "audience": {name: getattr(form, name) for name in _FIRST[2:]},
        "from": {"email": form.sender.strip(), "name": form.sender_name.strip()},
        "variants": variants,
        "send_at": _instant(form.send_at),
        "local_time": form.local_time[:16],
        "time_zone": form.time_zone.strip(),
        "throttle": None,
        "spread": round(60 * (_number(form, "spread") or 0)),
        "test": None,
    }
    if form.throttle.strip():
        found["throttle"] = {"count": int(_number(form, "throttle") or 0), "per": form.per}
    if form.test:
        found["test"] = {
            "share": (_number(form, "share") or 0) / 100,
            "wait": int(3600 * (_number(form, "wait") or 0)),
            "metric": form.metric,
            "confidence": (_number(form, "confidence") or 0) / 100,
            "otherwise": form.otherwise,
            "least": (before.get("test") or {}).get("least", 100),
        }
    return found


def filled(of: dict[str, Any]) -> dict[str, list[str]]:
    """A draft as the form has it."""
    found: dict[str, list[str]] = {
        "title": [of["title"]],
        **{name: list(of["audience"][name]) for name in _FIRST[2:]},
        "sender": [of["from"]["email"]],
        "sender_name": [of["from"]["name"]],
        "local_time": [of["local_time"]],
        "time_zone": [of["time_zone"]],
        "spread": [f"{of['spread'] / 60:g}" if of["spread"] else ""],
    }
    for name, one in zip(VARIANTS, of["variants"], strict=False):
        found[f"template_{name}"] = [one.get("template", "")]
        found[f"subject_{name}"] = [one.get("subject", "")]
        found[f"text_{name}"] = [one.get("text", "")]
        found[f"weight_{name}"] = [f"{one.get('weight', 1):g}"]
    if of["send_at"]:
        found["send_at"] = [f"{datetime.fromisoformat(of['send_at']).astimezone():%Y-%m-%dT%H:%M}"]
    if of["throttle"]:
        found["throttle"], found["per"] = [str(of["throttle"]["count"])], [of["throttle"]["per"]]
    if of["test"]:
        test = of["test"]
        found["test"] = ["on"]
        found["share"], found["wait"] = [f"{100 * test['share']:g}"], [f"{test['wait'] / 3600:g}"]
        found["metric"], found["confidence"] = [test["metric"]], [f"{100 * test['confidence']:g}"]
        found["otherwise"] = [test["otherwise"]]
    return found


def _number(form: Fields, name: str) -> float | None:
    text = getattr(form, name).strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise Invalid({name: "Give a number."}) from None
    if not 0 <= value < 1e9:
        raise Invalid({name: "Give a number from 0 on."})
    return value


def _instant(text: str) -> str | None:
    """A time of the server's own clock, as the API has it."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except ValueError:
        raise Invalid({"send_at": "Give a day and an hour."}) from None
