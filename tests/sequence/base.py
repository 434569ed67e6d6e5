"""Sequences on a database of their own, with a clock, and fakes for the rest of a server."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mta.audience.contact import Contact
from mta.batch.acceptance import Progress
from mta.batch.plan import Person, Plan, Trouble
from mta.interfaces import TemporarilyUnavailable
from mta.model.event_sequence import SequenceStepped
from mta.model.ids import IdSource
from mta.registry.templates import NoTemplate
from mta.sequence import stores
from mta.sequence.lease import Lease
from mta.sequence.person import check_foreign
from mta.sequence.posting import Posts
from mta.sequence.reading import checked
from mta.sequence.runner import Runner
from mta.sequence.sending import Sending, Terms
from mta.sequence.stores import Sequences
from mta.sequence.transition import Waiting
from mta.template.bundle import Bundle, Parts, Rendered
from tests.audience.base import NOW, AudienceCase

HOUR, DAY = 3600.0, 86400.0


class Server:
    """What is asked of the rest of a server.

    :ivar mail: ids, addresses and steps of messages that were taken.
    :ivar journal: ids that it has.
    """

    def __init__(self, shard: int = 0) -> None:
        self.now = NOW
        self.ids = IdSource(shard)
        self.mail: list[tuple[str, str, str]] = []
        self.plans: list[Plan] = []
        self.journal: set[str] = set()
        self.suppressed: dict[str, str] = {}
        self.bounced: set[str] = set()
        self.templates = {"t", "u"}
        self.refused: dict[str, str] = {}
        self.busy = False
        self.term = Terms()
        self.posts: list[tuple[str, str, str, bytes]] = []
        self.status = 204
        self.told: list[Any] = []

    def seconds(self) -> float:
        return self.now

    def new_id(self) -> str:
        return self.ids.next(self.now)

    def note(self, events: Sequence[Any]) -> None:
        self.told += events

    async def accepted(self, identifiers: Collection[str]) -> Collection[str]:
        return self.journal & set(identifiers)

    async def barred(self, tenant: str, people: Sequence[Contact], mailing: str) -> Mapping[int, str]:
        words = {**dict.fromkeys(self.bounced, "mail came back"), **self.suppressed}
        return {one.id: words[one.address] for one in people if one.address in words}

    async def gone(self, waiting: Sequence[Waiting]) -> Mapping[int, str]:
        return {one.run.id: self.suppressed[one.address] for one in waiting if one.address in self.suppressed}

    async def terms(self, tenant: str, count: int) -> Terms:
        return self.term

    async def bundle(self, tenant: str, template: str) -> Bundle:
        if template not in self.templates:
            raise NoTemplate(f"there is no template {template}")
        return Bundle(Parts(subject=template, text="x"))

    async def render(self, bundle: Bundle, data: dict[str, Any], locale: str) -> Rendered:
        return Rendered(bundle.parts.subject, str(data["email"]), "", "en")

    async def post(
        self, tenant: str, endpoint: str, url: str, identifier: str, body: bytes
    ) -> tuple[int, str]:
        self.posts.append((endpoint, url, identifier, body))
        return self.status, "said"

    async def take(self, plan: Plan, people: Sequence[Person]) -> Progress:
        if self.busy:
            raise TemporarilyUnavailable("the disk is full")
        self.plans.append(plan)
        progress = Progress()
        for one in people:
            if one.email in self.refused:
                progress.troubles.append(Trouble(one.place, one.email, "refused", self.refused[one.email]))
                continue
            self.mail.append((one.id, one.email, plan.metadata["step"]))
            self.journal.add(one.id)
            progress.taken.append(one.place)
        return progress


class SequenceCase(AudienceCase):
    """Has sequences, and a runner."""

    more = stores.TABLES

    def setUp(self) -> None:
        super().setUp()
        self.server = Server()
        self.sequences = Sequences(self.audience)
        self.runner = self.started()

    def started(self, server: Server | None = None, shard: int = 0, piece: int = 50) -> Runner:
        """A worker's runner."""
        of = server or self.server
        runner = Runner(
            of,
            self.audience,
            Lease(Path(self.mktemp())),
            sending=Sending(self.audience, of, shard, of.seconds),
            posts=Posts(self.audience, of, of.seconds),
            barred=of.gone,
            new_id=of.new_id,
            skip_ids=of.ids.skip,
            note=of.note,
            keep=lambda: 365 * DAY,
            piece=piece,
        )
        runner._stopped = False
        return runner

    def sequence(self, *steps: dict[str, Any], name: str = "s", tenant: str = "shop", **more: Any) -> None:
        """Keep one; the ids of its steps are a, b, c and so on."""
        named = [{"id": chr(97 + number), **one} for number, one in enumerate(steps)]
        definition = checked({"from": "shop@example.org", "steps": named, **more}, check_foreign)
        self.done(self.sequences.put(tenant, name, definition, self.server.now, who="ann"))

    def enrol(self, *addresses: str, name: str = "s", tenant: str = "shop", **properties: Any) -> list[str]:
        """Let contacts in; why not, for each."""
        found = self.done(
            self.sequences.enrol(tenant, name, addresses, properties, self.server.now, "key k1 of shop")
        )
        return [why for _, _, why in found]

    def event(self, address: str, name: str, key: str = "", tenant: str = "shop", **properties: Any) -> None:
        """The application tells of something."""
        contact = self.done(self.audience.contacts.find(tenant, address))
        assert contact is not None
        self.done(
            self.audience.facts.record(
                tenant, contact.id, "event", self.server.now, name=name, properties=properties, key=key
            )
        )

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, and the runner do what there is to do."""
        self.server.now += seconds
        for _ in range(3):
            self.done(self.runner.turn())

    def runs(self, address: str, tenant: str = "shop") -> list[tuple[str, str]]:
        """Step and outcome of each run of a contact, the last first."""
        return [(one.step, one.outcome) for one in self.done(self.sequences.of(tenant, address))]

    def steps(self) -> list[str]:
        """The steps whose messages were taken."""
        return [step for _, _, step in self.server.mail]

    def said(self, action: str) -> list[SequenceStepped]:
        """What the journal was told of such actions."""
        return [one for one in self.server.told if isinstance(one, SequenceStepped) and one.action == action]
