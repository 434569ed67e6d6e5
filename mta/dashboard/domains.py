"""Domains that a tenant sends from, with what they publish; and, for staff, those of this server."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import Field

from mta.dashboard.asked import Ask, Refused, place_of
from mta.dashboard.page import Answered, Confirmation, Form, Html, Page, Query, Redirect
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit

PLACE = "/dashboard/domains"
#: Of this server, on a page: each is several questions to the DNS.
_ON_PAGE = 20
#: By purpose of a record: how people call it, and what it is for.
PURPOSES = {
    "ownership": ("Ownership", "It proves that whoever adds the domain can write into its zone."),
    "spf": ("SPF", "It says that the addresses from which this server sends may send for the domain."),
    "dkim": ("DKIM", "Others check our signatures with this key."),
    "dmarc": ("DMARC", "It says what others shall do with mail that is forged in the domain's name."),
    "return_path": ("Return path", "Bounces come back to this server by it."),
    "tracking": ("Tracking", "Links in the mail lead to this host."),
}
_WORST = ("good", "unknown", "missing", "wrong")


@dataclass(frozen=True, slots=True)
class Finding:
    """What others find in the DNS about one thing.

    :ivar topic: such as ``SPF``.
    :ivar state: ``good``, ``bad``, ``none`` where nothing must be there, or ``unknown``.
    :ivar what: was found, in words.
    :ivar remedy: what to do.
    :ivar record: to be published.
    """

    topic: str
    state: str
    what: str
    remedy: str = ""
    record: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """All of one name.

    :ivar name: of the server, or a domain.
    :ivar at: when it was looked at.
    """

    name: str
    at: float
    findings: tuple[Finding, ...]


class Present(Protocol):
    """Looks at what others find of this server."""

    def domains(self) -> list[str]:
        """Those that it serves."""

    def look(self, domains: Sequence[str], again: bool = False) -> Awaitable[list[Findings]]:
        """Of the server itself, first, and of these domains."""


class Some(Query):
    """Which part of the server's domains."""

    part: int = Field(0, ge=0, le=100_000)


class New(Form):
    """A domain to be added."""

    domain: str = Field(max_length=255)
    tracking: str = Field("", max_length=255)


class One(Form):
    """A domain that something is done to."""

    domain: str = Field(max_length=255)


class Part(Form):
    """Which part of the server's domains is looked at again."""

    part: int = Field(0, ge=0, le=100_000)


class DomainPages:
    """See the module.

    :param ask: asks the API.
    :param present: looks at this server.
    """

    def __init__(self, ask: Ask, present: Present) -> None:
        self._ask = ask
        self._present = present

    def pages(self) -> list[Page]:
        """What there is."""
        new, server = f"{PLACE}/new", f"{PLACE}/server"
        look, manage = Right.LOOK_OWN, Right.MANAGE_OWN
        return [
            Page("GET", PLACE, self.list, look, "Domains"),
            Page("GET", new, self.form, manage, "Add a domain"),
            Page("POST", new, self.add, manage, "Add a domain", form=New, again=self.form),
            Page("GET", PLACE + "/at/{name}", self.one, look, "Domain"),
            Page("POST", f"{PLACE}/verify", self.verify, Right.ACT_OWN, "Verify", form=One),
            Page(
                "POST",
                f"{PLACE}/remove",
                self.remove,
                manage,
                "Remove a domain",
                form=One,
                confirm=self.confirm_remove,
            ),
            Page("GET", server, self.server, Right.LOOK, "Domains", query=Some),
            Page("POST", server, self.look_again, Right.ACT, "Look again", form=Part),
        ]

    # --- of a tenant -------------------------------------------------------------------

    async def list(self, visit: Visit) -> Answered:
        """All of them."""
        answer = await self._ask(visit, "GET", "/v1/domains")
        domains = [
            {**_dated(one), "badges": badges(one["records"], bool(one["checked"]))}
            for one in answer["domains"]
        ]
        return Html("domains.html", {"domains": domains})

    async def one(self, visit: Visit) -> Answered:
        """One, with its records."""
        found = await self._ask(visit, "GET", "/v1/domains/{domain}", {"domain": visit.path["name"]})
        shown = _dated(found)
        records = [
            {
                **one,
                "title": _title(one),
                "purpose": PURPOSES[one["purpose"]][1],
                "badge": _badge(one["state"], one["required"], bool(found["checked"])),
                "todo": _todo(one, bool(found["checked"])),
            }
            for one in found["records"]
        ]
        lacking = [one for one in records if one["required"] and one["state"] != "good"]
        return Html("domain.html", {"domain": shown, "records": records, "lacking": lacking})

    async def form(self, visit: Visit) -> Answered:
        """The form for a new one."""
        return Html("domain_form.html")

    async def add(self, visit: Visit) -> Answered:
        """Begin to prove one."""
        form: New = visit.form.value
        body = {"domain": form.domain}
        if form.tracking.strip():
            body["tracking"] = form.tracking
        try:
            made = await self._ask(visit, "POST", "/v1/domains", body=body)
        except Refused as refused:
            raise refused.invalid({"domain": "domain", "tracking": "tracking"}) from None
        return Redirect(place_of(PLACE, made["domain"]), f"{made['domain']} is added: publish its records.")

    async def verify(self, visit: Visit) -> Answered:
        """Ask the DNS now."""
        name = visit.form.value.domain
        try:
            found = await self._ask(visit, "POST", "/v1/domains/{domain}/verify", {"domain": name})
        except Refused as refused:
            return refused.back(place_of(PLACE, name))
        lacking = [one for one in found["records"] if one["required"] and one["state"] != "good"]
        back = place_of(PLACE, found["domain"])
        if lacking:
            several = f"{len(lacking)} required records are" if lacking[1:] else "A required record is"
            return Redirect(back, f"Looked at.  {several} not there yet.", "warn")
        if not found["sending"]:
            return Redirect(back, "Looked at.  Mail may not be sent from it; see below.", "warn")
        return Redirect(back, "Looked at.  All that is required is there.")

    async def confirm_remove(self, visit: Visit) -> Confirmation:
        """What is lost then."""
        name = visit.form.value.domain
        found = await self._ask(visit, "GET", "/v1/domains/{domain}", {"domain": name})
        return Confirmation(
            "Remove this domain?",
            "Mail may not be sent from it any more.  Its keys are kept; to have it again, it must be proved "
            "again.",
            "Remove",
            place_of(PLACE, found["domain"]),
            [("Domain", found["domain"])],
        )

    async def remove(self, visit: Visit) -> Answered:
        """Give one up."""
        name = visit.form.value.domain
        try:
            await self._ask(visit, "DELETE", "/v1/domains/{domain}", {"domain": name})
        except Refused as refused:
            return refused.back(place_of(PLACE, name))
        return Redirect(PLACE, f"{name} is removed.")

    # --- of the server -----------------------------------------------------------------

    async def server(self, visit: Visit) -> Answered:
        """What others find of this server and of its own domains."""
        part = visit.query.part
        chosen, more = self._part(part)
        host, *domains = await self._present.look(chosen)
        values = {"host": host, "domains": domains, "part": part, "more": more}
        return Html("domains_server.html", values)

    async def look_again(self, visit: Visit) -> Answered:
        """Ask the DNS now."""
        part = visit.form.value.part
        await self._present.look(self._part(part)[0], again=True)
        return Redirect(f"{PLACE}/server?part={part}" if part else f"{PLACE}/server", "Looked at again.")

    def _part(self, part: int) -> tuple[Sequence[str], bool]:
        names = self._present.domains()
        begin = part * _ON_PAGE
        return names[begin : begin + _ON_PAGE], len(names) > begin + _ON_PAGE


def badges(records: Sequence[Mapping[str, Any]], asked: bool) -> Sequence[tuple[str, str]]:
    """The state of each purpose, as words and tone: of several records the worst.

    :param asked: whether the DNS was asked at all.
    """
    found = []
    for purpose, (title, _) in PURPOSES.items():
        of = [one for one in records if one["purpose"] == purpose]
        if of:
            worst = max(of, key=lambda one: _WORST.index(one["state"]))
            words, tone = _badge(worst["state"], worst["required"], asked)
            found.append((f"{title}: {words}", tone))
    return found


def _badge(state: str, required: bool, asked: bool) -> tuple[str, str]:
    if not asked:
        return "not looked at", ""
    if state == "good":
        return "good", "good"
    if state == "unknown":
        return "no answer", "note"
    return state, "bad" if required else "warn"


def _todo(record: Mapping[str, Any], asked: bool) -> str:
    """What to do about a record."""
    if record["state"] == "good":
        return ""
    if record["state"] == "unknown":
        return "The DNS did not answer: verify again later."
    if not asked or record["state"] == "missing":
        return f"Publish this {record['type']} record, then verify."
    if record["purpose"] == "spf":
        return "Put what is missing into the record that is there: there must be one SPF record only."
    if record["purpose"] == "ownership" and "another tenant" in record["said"]:
        return "Ask the operator."
    if "beside another" in record["said"]:
        return "Take the other record away, then verify."
    return f"Put this in place of the {record['type']} record that is there, then verify."


def _title(record: Mapping[str, Any]) -> str:
    """How a record is called; of several keys, each by its kind."""
    title = PURPOSES[record["purpose"]][0]
    kinds = {"k=rsa": "RSA", "k=ed25519": "Ed25519"}
    kind = next((words for tag, words in kinds.items() if tag in record["value"]), "")
    return f"{title}, {kind}" if record["purpose"] == "dkim" and kind else title


def _dated(shown: Mapping[str, Any]) -> dict[str, Any]:
    """With times in seconds, as pages have them."""
    times = {
        name: datetime.fromisoformat(shown[name]).timestamp() if shown[name] else 0.0
        for name in ("created", "checked", "failing")
    }
    return {**shown, **times}
