"""Sequences of a tenant, drawn with who is where, written, tried out, led; and events of applications."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator

from mta.audience import contacts, facts
from mta.audience.audience import Audience
from mta.config.problem import ConfigurationError
from mta.config.values import parse_duration
from mta.dashboard.asked import Ask, Refused, place_of
from mta.dashboard.page import Answered, Confirmation, Form, Html, Invalid, Page, Query, Redirect, missing
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.registry.templates import NoTemplate, Templates
from mta.sequence.chart import chart
from mta.sequence.definition import Definition, Notify, Send
from mta.sequence.drawing import condition_words, trigger_words
from mta.sequence.person import check_foreign
from mta.sequence.reading import checked, read
from mta.sequence.sequences import NAME, NoSequence
from mta.sequence.starting_points import BY_NAME, STARTING_POINTS
from mta.sequence.stores import Sequences
from mta.sequence.writing import toml

PLACE = "/dashboard/sequences"
ONE = "/v1/sequences/{name}"
_ON_PAGE = 25
#: Facts that are looked at for the newest events of one tenant.
_LOOKED = 20_000
#: What a contact may be supposed to do with a message.
_OUTCOMES = {
    "opens": "opened",
    "clicks": "clicked",
    "bounces": "bounced",
    "opened": "opened",
    "clicked": "clicked",
    "bounced": "bounced",
    "complained": "complained",
}


class Find(Query):
    """Which sequences."""

    after: str = Field("", max_length=100)


class Begin(Query):
    """With what a new one begins."""

    start: str = Field("", max_length=40)


class Which(Query):
    """Which version."""

    version: int = Field(0, ge=0, le=1 << 31)


class Before(Query):
    """Which versions."""

    before: int = Field(0, ge=0, le=1 << 31)


class Fields(Form):
    """A definition as a form has it."""

    name: str = ""
    definition: str = Field(min_length=1, max_length=300_000)
    note: str = Field("", max_length=1000)
    activate: bool = False
    try_out: str = ""

    @field_validator("definition")
    @classmethod
    def _sound(cls, value: str) -> str:
        found = problems(value)
        if found:
            many = f"{len(found)} things are" if len(found) > 1 else "Something is"
            raise ValueError(f"{many} wrong; each stands below the text")
        return value


class One(Form):
    """A sequence that something is done to."""

    name: str
    reason: str = Field("", max_length=500)


class Version(Form):
    """A version of one."""

    name: str
    version: int = Field(ge=1, le=1 << 31)


class MoveAll(Form):
    """From which version to which."""

    name: str
    source: int = Field(ge=1, le=1 << 31)
    version: int = Field(ge=1, le=1 << 31)


class Trial(Form):
    """For whom it is tried, and what they are supposed to do."""

    address: str = Field("", max_length=320)
    supposed: str = Field("", max_length=5000)

    @field_validator("supposed")
    @classmethod
    def _understood(cls, value: str) -> str:
        supposed(value)
        return value


class Told(Form):
    """An event of the application, told by hand."""

    address: str = Field(min_length=3, max_length=320)
    event: str = Field(min_length=1, max_length=200)
    properties: str = Field("", max_length=8192)

    @field_validator("properties")
    @classmethod
    def _json(cls, value: str) -> str:
        _object(value)
        return value


class SequencePages:
    """See the module.

    :param ask: asks the API.
    :param sequences: keeps them.
    :param audience: knows contacts and what they did.
    :param templates: has what is sent.
    """

    def __init__(self, ask: Ask, sequences: Sequences, audience: Audience, templates: Templates) -> None:
        self._ask = ask
        self._templates = templates
        self._sequences = sequences
        self._audience = audience

    def pages(self) -> list[Page]:
        """What there is."""
        look, act, one = Right.LOOK_OWN, Right.ACT_OWN, PLACE + "/at/{name}"
        new, edit, trial, events = f"{PLACE}/new", f"{one}/edit", f"{one}/try", f"{PLACE}/events"

        def do(what: str, handler: Any, title: str, form: Any = One, confirm: Any = None) -> Page:
            return Page("POST", f"{PLACE}/{what}", handler, act, title, form=form, confirm=confirm)

        return [
            Page("GET", PLACE, self.show_all, look, "Sequences", query=Find),
            Page("GET", new, self.form, act, "A new sequence", query=Begin),
            Page("POST", new, self.save, act, "A new sequence", query=Begin, form=Fields, again=self.form),
            Page("GET", events, self.events, look, "Application events"),
            Page("POST", events, self.tell, act, "Application events", form=Told, again=self.events),
            Page("GET", one, self.one, look, "Sequence", query=Which),
            Page("GET", f"{one}/versions", self.versions, look, "Versions", query=Before),
            Page("GET", edit, self.edit, act, "Change a sequence", query=Which),
            Page("POST", edit, self.change, act, "Change a sequence", None, Fields, self.edit),
            Page("GET", trial, self.trial, look, "Try a sequence out"),
            Page("POST", trial, self.tried, look, "Try a sequence out", form=Trial, again=self.trial),
            do("activate", self.activate, "Use a version", Version),
            do("move", self.move, "Move to another version", MoveAll, self.ask_move),
            do("pause", self.pause, "Pause", One, self.ask_pause),
            do("resume", self.resume, "Go on"),
            do("remove", self.remove, "Remove", One, self.ask_remove),
        ]

    # --- looking -----------------------------------------------------------------------

    async def show_all(self, visit: Visit) -> Answered:
        """All of them, with how many are in each."""
        query = {"limit": _ON_PAGE, "cursor": visit.query.after}
        try:
            found = await self._ask(visit, "GET", "/v1/sequences", query=query)
        except Refused:
            return Redirect(PLACE)
        rows = []
        for one in found["sequences"]:
            steps, ended = await self._sequences.counts(visit.tenant, one["name"])
            version = await self._sequences.version(visit.tenant, one["name"])
            rows.append({**one, "title": version.source.get("title", ""), "steps": steps, "ended": ended})
        values = {"found": rows, "more": found["next"], "starting": STARTING_POINTS}
        return Html("sequences.html", values)

    async def one(self, visit: Visit) -> Answered:
        """One, as a flow."""
        name = visit.path["name"]
        kept = await self._kept(visit, name)
        try:
            version = await self._sequences.version(visit.tenant, name, visit.query.version)
        except NoSequence:
            raise missing("There is no such version") from None
        steps, ended = await self._sequences.counts(visit.tenant, name)
        went = {(one.step, one.way): one.count for one in await self._sequences.ways(visit.tenant, name)}
        definition = version.definition()
        here = {one.id for one in definition.steps}
        values = {
            "absent": await self._absent(visit.tenant, definition),
            "kept": kept,
            "version": version,
            "steps": steps,
            "ended": ended,
            "went": went,
            "entered": sum(count for (_, way), count in went.items() if way == "enter"),
            "elsewhere": {step: count for step, count in steps.items() if step not in here},
            **drawn(definition),
        }
        return Html("sequence.html", values)

    async def _absent(self, tenant: str, definition: Definition) -> list[str]:
        """Names of templates that it sends, and that are not there."""
        absent = []
        for name in sorted({one.template for one in definition.steps if isinstance(one, Send | Notify)}):
            try:
                await self._templates.get(tenant, "template", name)
            except NoTemplate:
                absent.append(name)
        return absent

    async def versions(self, visit: Visit) -> Answered:
        """Its versions."""
        kept = await self._kept(visit, visit.path["name"])
        found = await self._sequences.versions(visit.tenant, kept.name, visit.query.before, _ON_PAGE)
        more = len(found) == _ON_PAGE and found[-1].number > 1
        return Html("sequence_versions.html", {"kept": kept, "found": found, "more": more})

    # --- writing -----------------------------------------------------------------------

    async def form(self, visit: Visit) -> Answered:
        """The form of a new one."""
        start = BY_NAME.get(visit.query.start)
        domain = visit.person.account.rpartition("@")[2] or "example.org"
        text = (start or STARTING_POINTS[0]).text(domain)
        values = {"kept": None, "start": start or STARTING_POINTS[0], "starting": STARTING_POINTS}
        return self._form(visit, text, values)

    async def edit(self, visit: Visit) -> Answered:
        """The form of one."""
        kept = await self._kept(visit, visit.path["name"])
        number = visit.query.version if visit.query is not None else 0
        try:
            version = await self._sequences.version(visit.tenant, kept.name, number or kept.latest)
        except NoSequence:
            raise missing("There is no such version") from None
        return self._form(visit, written(version.source), {"kept": kept, "version": version})

    @staticmethod
    def _form(visit: Visit, text: str, values: Mapping[str, Any], flow: Any = None) -> Html:
        given = visit.form.text("definition", text)
        found = problems(given) if visit.form.values else []
        more = {"text": text, "problems": found, "flow": flow}
        return Html("sequence_form.html", {"start": None, "starting": (), "version": None, **values, **more})

    async def save(self, visit: Visit) -> Answered:
        """Keep a new one, or only draw it."""
        form: Fields = visit.form.value
        if form.try_out:
            values = {"kept": None, "start": BY_NAME.get(visit.query.start), "starting": STARTING_POINTS}
            return self._form(visit, form.definition, values, drawn(_read(form.definition)))
        if not NAME.fullmatch(form.name):
            raise Invalid({"name": "Lower-case letters, digits, '.', '_' and '-', and at most 64 of them."})
        try:
            await self._sequences.get(visit.tenant, form.name)
        except NoSequence:
            return await self._put(visit, form.name)
        raise Invalid({"name": "There is a sequence of this name already."})

    async def change(self, visit: Visit) -> Answered:
        """Keep another version, or only draw it."""
        form: Fields = visit.form.value
        kept = await self._kept(visit, visit.path["name"])
        if form.try_out:
            version = await self._sequences.version(visit.tenant, kept.name, kept.latest)
            values = {"kept": kept, "version": version}
            return self._form(visit, form.definition, values, drawn(_read(form.definition)))
        return await self._put(visit, kept.name)

    async def _put(self, visit: Visit, name: str) -> Answered:
        form: Fields = visit.form.value
        body = {
            "definition": _read(form.definition).to_json(),
            "note": form.note,
            "activate": form.activate,
        }
        try:
            kept = await self._ask(visit, "PUT", ONE, {"name": name}, body=body)
        except Refused as refused:
            raise refused.invalid({"definition": "definition", "note": "note"}) from None
        if not kept["new"]:
            said = f"That is version {kept['version']} already."
        elif kept["live"]:
            said = f"Version {kept['version']} is kept; whoever comes in from now on goes by it."
        else:
            said = f"Version {kept['version']} is kept.  Nobody gets it before it is activated."
        return Redirect(place_of(PLACE, name), said)

    # --- trying ------------------------------------------------------------------------

    async def trial(self, visit: Visit) -> Answered:
        """The form to try it out."""
        return await self._trial(visit, None)

    async def tried(self, visit: Visit) -> Answered:
        """What would happen."""
        form: Trial = visit.form.value
        body: dict[str, Any] = {"supposed": supposed(form.supposed)}
        if form.address.strip():
            body["address"] = form.address.strip()
        try:
            answer = await self._ask(
                visit, "POST", f"{ONE}/rehearse", {"name": visit.path["name"]}, body=body
            )
        except Refused as refused:
            raise refused.invalid({"address": "address", "supposed": "supposed"}) from None
        return await self._trial(visit, answer["lines"])

    async def _trial(self, visit: Visit, lines: Sequence[Any] | None) -> Answered:
        kept = await self._kept(visit, visit.path["name"])
        version = await self._sequences.version(visit.tenant, kept.name)
        words = {one.id: one for one in version.definition().steps}
        return Html("sequence_try.html", {"kept": kept, "lines": lines, "words": words})

    # --- leading -----------------------------------------------------------------------

    async def activate(self, visit: Visit) -> Answered:
        """Let those who come in have a version."""
        form: Version = visit.form.value
        body = {"version": form.version}
        try:
            await self._ask(visit, "POST", f"{ONE}/activate", {"name": form.name}, body=body)
        except Refused as refused:
            return refused.back(place_of(PLACE, form.name))
        return Redirect(
            place_of(PLACE, form.name), f"Whoever comes in from now on goes by version {form.version}."
        )

    async def ask_move(self, visit: Visit) -> Confirmation:
        """What that means."""
        form: MoveAll = visit.form.value
        await self._kept(visit, form.name)
        return Confirmation(
            f"Move all of version {form.source} to version {form.version}?",
            "Each goes on at the step of the same name; who is at a step that the other version has not "
            "goes on as before.",
            "Move them",
            f"{place_of(PLACE, form.name)}/versions",
            danger=False,
        )

    async def move(self, visit: Visit) -> Answered:
        """Let those of a version go on in another."""
        form: MoveAll = visit.form.value
        back = f"{place_of(PLACE, form.name)}/versions"
        body = {"from": form.source, "to": form.version}
        try:
            found = await self._ask(visit, "POST", f"{ONE}/move", {"name": form.name}, body=body)
        except Refused as refused:
            return refused.back(back)
        stay = f"  {found['stay']} stay: their step is not there." if found["stay"] else ""
        return Redirect(back, f"Moved: {found['moved']}.{stay}")

    async def ask_pause(self, visit: Visit) -> Confirmation:
        """What that means."""
        kept = await self._kept(visit, visit.form.value.name)
        steps, _ = await self._sequences.counts(visit.tenant, kept.name)
        return Confirmation(
            f"Pause {kept.name}?",
            "Nobody comes in or goes on until you let it go on.  What becomes due meanwhile is done then; "
            "what lets contacts in meanwhile is lost.",
            "Pause",
            place_of(PLACE, kept.name),
            facts=[("In it now", str(sum(steps.values())))],
            danger=False,
            reason="Why",
        )

    async def pause(self, visit: Visit) -> Answered:
        """Let nobody come in or go on."""
        form: One = visit.form.value
        body = {"reason": form.reason}
        await self._ask(visit, "POST", f"{ONE}/pause", {"name": form.name}, body=body)
        return Redirect(place_of(PLACE, form.name), f"{form.name} is paused.", "note")

    async def resume(self, visit: Visit) -> Answered:
        """Let them go on."""
        form: One = visit.form.value
        await self._ask(visit, "POST", f"{ONE}/resume", {"name": form.name})
        return Redirect(place_of(PLACE, form.name), f"{form.name} goes on.")

    async def ask_remove(self, visit: Visit) -> Confirmation:
        """What is lost then."""
        kept = await self._kept(visit, visit.form.value.name)
        steps, ended = await self._sequences.counts(visit.tenant, kept.name)
        return Confirmation(
            f"Stop and forget {kept.name}?",
            "All of its versions, and where everybody is in it, are lost; nobody gets anything more of it.  "
            "Contacts and messages stay, as does what the journal tells.  To stop it for a while, pause it.",
            "Stop and forget",
            place_of(PLACE, kept.name),
            facts=[
                ("In it now", str(sum(steps.values()))),
                ("Have left", str(sum(ended.values()))),
            ],
        )

    async def remove(self, visit: Visit) -> Answered:
        """Forget one."""
        form: One = visit.form.value
        await self._ask(visit, "DELETE", ONE, {"name": form.name})
        return Redirect(PLACE, f"{form.name} is forgotten.")

    # --- events ------------------------------------------------------------------------

    async def events(self, visit: Visit) -> Answered:
        """The newest events of applications."""
        tenant = visit.tenant

        def work(base: sqlite3.Connection) -> list[tuple[Any, str]]:
            found = facts.newest(base, tenant, "event", 50, _LOOKED)
            known = contacts.some(base, tenant, {one.contact for one in found})
            return [(one, known[one.contact].address if one.contact in known else "") for one in found]

        return Html("sequence_events.html", {"found": await self._audience.look(work)})

    async def tell(self, visit: Visit) -> Answered:
        """Tell of one by hand."""
        form: Told = visit.form.value
        event = {
            "id": f"dashboard {visit.id}",
            "name": form.event.strip(),
            "address": form.address.strip(),
            "properties": _object(form.properties),
        }
        try:
            answer = await self._ask(visit, "POST", "/v1/events", body={"events": [event]})
        except Refused as refused:
            raise refused.invalid({"events.0.name": "event", "events.0.address": "address"}) from None
        for problem in answer["problems"]:
            place, colon, what = problem["detail"].partition(": ")
            raise Invalid({"address": what} if colon and place == "address" else {"": problem["detail"]})
        return Redirect(f"{PLACE}/events", f"{form.event} of {form.address} is taken.")

    # --- in common ---------------------------------------------------------------------

    async def _kept(self, visit: Visit, name: str) -> Any:
        try:
            return await self._sequences.get(visit.tenant, name)
        except NoSequence:
            raise missing("There is no such sequence") from None


def _read(text: str) -> Definition:
    return read(text, "", check_foreign)


def problems(text: str) -> list[dict[str, Any]]:
    """What is wrong with a definition: where, what, what to do, and the line as it stands."""
    try:
        _read(text)
    except ConfigurationError as error:
        lines = text.splitlines()
        return [
            {
                "line": one.line,
                "place": one.key,
                "what": one.what,
                "remedy": one.remedy,
                "stands": lines[one.line - 1].strip() if 0 < one.line <= len(lines) else "",
            }
            for one in error.problems
        ]
    return []


def written(source: Mapping[str, Any]) -> str:
    """A definition that is kept, to be changed."""
    try:
        return toml(checked(source, check_foreign).to_json())
    except (ValueError, ConfigurationError):
        # TOML has no null.
        return json.dumps(source, indent=2, ensure_ascii=False)


def drawn(definition: Definition) -> dict[str, Any]:
    """What the drawing of a flow is made of."""
    return {
        "definition": definition,
        "chart": chart(definition),
        "triggers": [trigger_words(one) for one in definition.triggers],
        "exits": [(one.name, condition_words(one.when), one.goal) for one in definition.exits],
    }


def supposed(text: str) -> list[dict[str, Any]]:
    """What a contact is supposed to do, a line each: ``opens welcome 3h``, ``event purchase 4d``.

    :raise ValueError: with the line that is not understood.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = re.sub(r"\bafter\b", " ", line).split()
        if not parts:
            continue
        word = parts[0].lower()
        if len(parts) != 3 or (word not in _OUTCOMES and word != "event"):
            raise ValueError(
                f"line {number}, {line.strip()[:80]!r}, is not understood: write it as "
                '"opens STEP 3h", "clicks STEP 1d", "bounces STEP 1m" or "event NAME 4d"'
            )
        try:
            after = parse_duration(parts[2])
        except ValueError:
            raise ValueError(f"line {number}: {parts[2][:40]!r} is no time, such as 3h or 2d") from None
        if word == "event":
            found.append({"after": after, "event": parts[1]})
        else:
            found.append({"after": after, "outcome": _OUTCOMES[word], "step": parts[1]})
    return found


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError('it is no JSON object, such as {"amount": 12.5}')
    return found
