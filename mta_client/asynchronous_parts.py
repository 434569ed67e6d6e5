"""What the client does with contacts, sequences, campaigns and statistics, for programs on asyncio;
:mod:`mta_client.parts` with ``await``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from mta_client import campaigns, contacts, sequences
from mta_client.calls import Call, Page
from mta_client.campaigns import Campaign, NewCampaign, Numbers, Person, Report, Series
from mta_client.contacts import Contact, Fact, Happened, Happening, Import, Joined, MailingList, Segment
from mta_client.sequences import Checked, Enrolled, Enrolment, Flow, Kept

T = TypeVar("T")


class Asking(Protocol):
    """Carries requests out: the client."""

    async def ask(self, call: Call[T]) -> T:
        """What a request answers."""

    def pages(self, part: Callable[[str | None], Call[Page[T]]]) -> AsyncIterator[T]:
        """A whole list, part by part."""


class Contacts:
    """Contacts, and what they do.

    :param client: asks.
    """

    def __init__(self, client: Asking) -> None:
        self._client = client

    def all(self, *, address: str = "") -> AsyncIterator[Contact]:
        """All of them, or those with this part of an address."""
        return self._client.pages(lambda cursor: contacts.contacts(address, cursor))

    async def get(self, address: str) -> Contact:
        """One, with its lists and why nothing is sent to it."""
        return await self._client.ask(contacts.contact(address))

    async def put(self, contact: Contact, *, replace: bool = False) -> Contact:
        """Keep one; what the server knows besides stays, unless it is to be replaced."""
        return await self._client.ask(contacts.put(contact, replace))

    async def change(self, address: str, **changes: Any) -> Contact:
        """Change what is named; an attribute that is ``None`` is taken away."""
        return await self._client.ask(contacts.change(address, changes))

    async def erase(self, address: str, *, for_good: bool = False) -> None:
        """Forget one; for good: nobody imports the person again."""
        await self._client.ask(contacts.erase(address, for_good))

    def activity(self, address: str, *, kind: str = "") -> AsyncIterator[Fact]:
        """What one did, the last first."""
        return self._client.pages(lambda cursor: contacts.activity(address, kind, cursor))

    async def history(self, address: str) -> Sequence[Mapping[str, Any]]:
        """How one came on lists and left them, with the evidence."""
        return await self._client.ask(contacts.history(address))

    async def tell(self, happenings: Sequence[Happening], *, create: bool = True) -> Happened:
        """Tell what people did; each once, by its id.

        :param create: whether a contact is made of an address that there is none of.
        """
        return await self._client.ask(contacts.tell(happenings, create))

    async def bring(
        self, file: bytes, *, media: str = "text/csv", lists: Sequence[str] = (), **more: Any
    ) -> Import:
        """Take a file in.

        :param more: ``update``, ``confirm``, ``dry_run`` and so on, as the server's reference has them.
        """
        return await self._client.ask(contacts.bring(file, media, lists, more))

    async def brought(self, identifier: str) -> Import:
        """How far a file is."""
        return await self._client.ask(contacts.brought(identifier))

    async def export(self, *, format: str = "csv", list: str = "", segment: str = "") -> bytes:
        """All contacts as a file, or those of a list or a segment."""
        return await self._client.ask(contacts.export(format, list, segment))


class Lists:
    """Lists.

    :param client: asks.
    """

    def __init__(self, client: Asking) -> None:
        self._client = client

    def all(self) -> AsyncIterator[MailingList]:
        """All of them."""
        return self._client.pages(contacts.lists)

    async def get(self, name: str) -> MailingList:
        """One, with how many are on it."""
        return await self._client.ask(contacts.list_(name))

    async def put(self, one: MailingList) -> MailingList:
        """Keep one."""
        return await self._client.ask(contacts.put_list(one))

    async def remove(self, name: str) -> None:
        """Remove one; contacts stay."""
        await self._client.ask(contacts.remove_list(name))

    def members(self, name: str, *, state: str = "") -> AsyncIterator[Contact]:
        """Those on it."""
        return self._client.pages(lambda cursor: contacts.members(name, state, cursor))

    async def join(self, name: str, contact: Contact, *, confirmed: bool = False) -> Joined:
        """Put somebody on it; whoever has left it stays away."""
        return await self._client.ask(contacts.join(name, contact, confirmed))

    async def take_off(self, name: str, address: str, *, forget: bool = False) -> None:
        """Take somebody off it; forget: as if they had never been on it."""
        await self._client.ask(contacts.take_off(name, address, forget))


class Segments:
    """Segments.

    :param client: asks.
    """

    def __init__(self, client: Asking) -> None:
        self._client = client

    def all(self) -> AsyncIterator[Segment]:
        """All of them."""
        return self._client.pages(contacts.segments)

    async def get(self, name: str) -> Segment:
        """One."""
        return await self._client.ask(contacts.segment(name))

    async def put(self, name: str, condition: Mapping[str, Any], *, title: str = "") -> Segment:
        """Keep one."""
        return await self._client.ask(contacts.put_segment(name, condition, title))

    async def remove(self, name: str) -> None:
        """Remove one."""
        await self._client.ask(contacts.remove_segment(name))

    def members(self, name: str) -> AsyncIterator[Contact]:
        """Those in it."""
        return self._client.pages(lambda cursor: contacts.in_segment(name, cursor))

    async def count(self, condition: Mapping[str, Any]) -> int:
        """How many meet a condition."""
        return await self._client.ask(contacts.count(condition))


class Sequences:
    """Sequences.

    :param client: asks.
    """

    def __init__(self, client: Asking) -> None:
        self._client = client

    def all(self) -> AsyncIterator[Flow]:
        """All of them."""
        return self._client.pages(sequences.sequences)

    async def get(self, name: str) -> Flow:
        """One, and who is where."""
        return await self._client.ask(sequences.sequence(name))

    async def put(
        self, name: str, definition: Mapping[str, Any], *, note: str = "", activate: bool = True
    ) -> Kept:
        """Keep a version; the same again is none."""
        return await self._client.ask(sequences.put(name, definition, note, activate))

    async def check(self, definition: Mapping[str, Any]) -> Checked:
        """Look at a definition; keep nothing."""
        return await self._client.ask(sequences.check(definition))

    async def remove(self, name: str) -> None:
        """Remove one, with all who are in it."""
        await self._client.ask(sequences.remove(name))

    async def activate(self, name: str, version: int) -> Flow:
        """Let those who come in have a version."""
        return await self._client.ask(sequences.activate(name, version))

    async def pause(self, name: str, reason: str = "") -> Flow:
        """Let nobody come in or go on."""
        return await self._client.ask(sequences.pause(name, reason))

    async def resume(self, name: str) -> Flow:
        """Let them go on."""
        return await self._client.ask(sequences.resume(name))

    async def enrol(
        self, name: str, addresses: Sequence[str], properties: Mapping[str, Any] | None = None
    ) -> Enrolled:
        """Let contacts in."""
        return await self._client.ask(sequences.enrol(name, addresses, properties or {}))

    def enrolments(self, name: str, *, state: str = "") -> AsyncIterator[Enrolment]:
        """Those in it."""
        return self._client.pages(lambda cursor: sequences.enrolments(name, state, cursor))

    async def take_out(self, name: str, enrolment: int, reason: str = "") -> None:
        """Take a contact out."""
        await self._client.ask(sequences.take_out(name, enrolment, reason))


class Campaigns:
    """Campaigns.

    :param client: asks.
    """

    def __init__(self, client: Asking) -> None:
        self._client = client

    def all(self, *, state: str = "") -> AsyncIterator[Campaign]:
        """All of them, the last made first."""
        return self._client.pages(lambda cursor: campaigns.campaigns(state, cursor))

    async def get(self, name: str) -> Campaign:
        """One, and how far it is."""
        return await self._client.ask(campaigns.campaign(name))

    async def create(self, campaign: NewCampaign) -> Campaign:
        """Make one, as a draft."""
        return await self._client.ask(campaigns.create(campaign))

    async def change(self, campaign: NewCampaign) -> Campaign:
        """Change a draft."""
        return await self._client.ask(campaigns.change(campaign))

    async def remove(self, name: str) -> None:
        """Remove one that was never started."""
        await self._client.ask(campaigns.remove(name))

    async def check(self, name: str) -> Report:
        """Look at everything before it begins."""
        return await self._client.ask(campaigns.check(name))

    async def test(self, name: str, to: Sequence[str], **more: Any) -> None:
        """Send test messages.

        :param more: ``variant``, ``contact``.
        """
        await self._client.ask(campaigns.test(name, to, more))

    async def start(self, name: str, reason: str = "") -> Campaign:
        """Start it now."""
        return await self._client.ask(campaigns.act(name, "start", reason=reason))

    async def schedule(self, name: str, send_at: str = "", reason: str = "") -> Campaign:
        """Have it begin at its time, or at this one."""
        return await self._client.ask(campaigns.act(name, "schedule", send_at=send_at, reason=reason))

    async def unschedule(self, name: str, reason: str = "") -> Campaign:
        """Make it a draft again."""
        return await self._client.ask(campaigns.act(name, "unschedule", reason=reason))

    async def pause(self, name: str, *, hold: bool = False, reason: str = "") -> Campaign:
        """Hand nothing more to the queue; hold: nor deliver what is there."""
        return await self._client.ask(campaigns.act(name, "pause", hold=hold, reason=reason))

    async def resume(self, name: str, reason: str = "") -> Campaign:
        """Go on."""
        return await self._client.ask(campaigns.act(name, "resume", reason=reason))

    async def stop(self, name: str, reason: str = "") -> Campaign:
        """End it for good."""
        return await self._client.ask(campaigns.act(name, "stop", reason=reason))

    async def decide(self, name: str, variant: str, reason: str = "") -> Campaign:
        """Choose what the rest gets."""
        return await self._client.ask(campaigns.act(name, "decide", variant=variant, reason=reason))

    async def result(self, name: str) -> Mapping[str, Any]:
        """What came of it, by variant, and how sure that is."""
        return await self._client.ask(campaigns.result(name))

    def recipients(self, name: str, *, state: str = "") -> AsyncIterator[Person]:
        """Who gets it, and how they stand."""
        return self._client.pages(lambda cursor: campaigns.recipients(name, state, cursor))


class Statistics:
    """Numbers.

    :param client: asks.
    """

    def __init__(self, client: Asking) -> None:
        self._client = client

    async def series(
        self, *, since: str = "", until: str = "", step: str = "", by: str = "", value: str = ""
    ) -> Series:
        """Over time.

        :param since: and ``until``: times of RFC 3339; without them, the last day.
        :param step: ``minute``, ``hour``, ``day`` and so on.
        :param by: with ``value``: of one value of this dimension.
        """
        query = {"since": since, "until": until, "step": step, "by": by, "value": value}
        return await self._client.ask(campaigns.series(query))

    def breakdown(
        self, by: str, *, since: str = "", until: str = "", sort: str = ""
    ) -> AsyncIterator[Numbers]:
        """By the values of a dimension, such as ``domain`` or ``tag``."""
        query = {"by": by, "since": since, "until": until, "sort": sort}
        return self._client.pages(lambda cursor: campaigns.breakdown(query, cursor))

    async def campaign(self, name: str, *, since: str = "", until: str = "") -> Mapping[str, Any]:
        """How far the recipients of a campaign came, with its variants."""
        return await self._client.ask(campaigns.funnel({"campaign": name, "since": since, "until": until}))
