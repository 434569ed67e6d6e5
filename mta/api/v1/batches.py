"""``/v1/batches``: one request, up to 10,000 personalised messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, field_validator, model_validator

from mta.api.v1.allowance import Allowance
from mta.api.v1.cursor import Page, cursor
from mta.api.v1.engagement import engagement_of
from mta.api.v1.idempotent import HEADER, REFUSALS, once
from mta.api.v1.keys import moment
from mta.api.v1.message_models import Attachment, Line, Metadata, Terms, Text
from mta.api.v1.person import OnePerson, People, canonical
from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown
from mta.api.v1.template_models import Locale, Name, Source
from mta.api.v1.template_rendering import Renderers, template_refusal
from mta.api.v1.tenant_account import TenantAccount
from mta.batch.batcher import Batcher, Outcome
from mta.batch.plan import Person, Plan, Trouble
from mta.compose.fields import checked_field
from mta.interfaces import TemporarilyUnavailable, settle
from mta.registry.batches import Batch, NoBatch
from mta.registry.idempotency import Idempotency
from mta.registry.registry import Registry
from mta.registry.templates import NoTemplate
from mta.template.bundle import Bundle
from mta.template.problem import TemplateError

#: Recipients of one batch.
MOST_RECIPIENTS = 10_000
#: Octets of attachments in all copies of one batch.
MOST_COPIED = 4 << 30
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _list_name(value: str) -> str:
    if _UNSEEN.search(value):
        raise ValueError("it has no line breaks and no controls in it")
    return value


class BatchRecipient(Model):
    """One recipient; a wrong address is told, and the others get theirs."""

    email: str = Field(max_length=1000, description="who gets it")
    name: Line = Field("", max_length=200)
    locale: Locale = ""
    data: dict[str, Any] = Field({}, description="for the template, over the `data` of the batch")
    metadata: Metadata = Field({}, description="beside that of the batch")
    attachments: list[Attachment] = Field([], max_length=20, description="beside those of the batch")


class SendBatch(Terms):
    """A message for many, each with data of its own."""

    sender: OnePerson = Field(alias="from", description="of a domain of the tenant")
    recipients: list[BatchRecipient] = Field(min_length=1, max_length=MOST_RECIPIENTS)
    reply_to: People = Field([], max_length=20)
    template: Name | None = Field(
        None, description="the live version of a template; or give subject and so on"
    )
    version: int = Field(0, ge=0, description="of the template; 0: the live one")
    subject: Source | None = Field(None, description="in Jinja2, in place of a template")
    text: Source | None = None
    html: Source | None = None
    strict: bool = Field(True, description="of what stands here: whether missing variables refuse a message")
    data: dict[str, Any] = Field({}, description="for all recipients")
    attachments: list[Attachment] = Field([], max_length=100, description="go with every copy")
    headers: dict[str, Text] = Field({}, max_length=100, description="further header fields")
    unsubscribe: Annotated[str, AfterValidator(_list_name)] | None = Field(
        None,
        max_length=100,
        description="the list that may be left with one click (RFC 8058); empty: all the tenant's mail",
    )
    all_or_nothing: bool = Field(False, description="whether one that is wrong stops all")

    @field_validator("headers")
    @classmethod
    def _may_be_set(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            checked_field(name, text)
        if len({name.lower() for name in value}) < len(value):
            raise ValueError("a field stands there twice")
        return value

    @model_validator(mode="after")
    def _is_complete(self) -> SendBatch:
        own = self.subject is not None or self.text is not None or self.html is not None
        if (self.template is not None) == own:
            raise ValueError("give either a template, or subject and text or html")
        if own and (not self.subject or not (self.text or self.html)):
            raise ValueError("without a template there are a subject, and text or html")
        return self


class RecipientTaken(Shown):
    """One recipient."""

    id: str = Field(description="for looking at what becomes of it; empty: there is no message")
    email: str
    state: str = Field(description="queued, scheduled, refused, suppressed, waiting; in a dry run accepted")


class BatchError(Shown):
    """Why one recipient gets nothing."""

    place: int = Field(description="position in the request")
    email: str
    kind: str = Field(description="address, template, refused, suppressed or unavailable")
    detail: str
    errors: list[dict[str, Any]] = Field([], description="of the template, with part, line and column")


class BatchShown(Shown):
    """How a batch is."""

    id: str
    state: str = Field(
        description="accepted: all that can be are on disk; accepting: some are to be tried again"
    )
    created: str
    total: int
    accepted: int
    refused: int
    suppressed: int
    waiting: int = Field(description="are to be tried again, or are just being taken")
    errors: list[BatchError]


class BatchTaken(BatchShown):
    """A batch that is on disk now."""

    recipients: list[RecipientTaken]
    dry_run: bool = False


class BatchesShown(Shown):
    """A page of batches, the last first."""

    batches: list[BatchShown]
    next: str | None = None


class PeopleShown(Shown):
    """A page of a batch's recipients."""

    recipients: list[RecipientTaken]
    next: str | None = None


class BatchRoutes:
    """Answers for batches.

    :param registry: has templates, domains, batches.
    :param idempotency: keeps what was answered.
    :param batcher: takes them.
    :param renderers: look at templates.
    :param new_id: gives queue ids.
    :param base: the address under which recipients reach us; ``""``: it is not set.
    :param furthest: seconds for which messages may be scheduled ahead.
    :param largest: octets that a message may have.
    :param allowance: what tenants may send.
    """

    def __init__(
        self,
        registry: Registry,
        idempotency: Idempotency,
        batcher: Batcher,
        renderers: Renderers,
        *,
        new_id: Callable[[], str],
        session_id: Callable[[], str],
        base: Callable[[], str],
        furthest: Callable[[], float],
        largest: Callable[[], int],
        allowance: Allowance,
    ) -> None:
        self._registry = registry
        self._idempotency = idempotency
        self._batcher = batcher
        self._renderers = renderers
        self._new_id = new_id
        self._session_id = session_id
        self._base = base
        self._furthest = furthest
        self._largest = largest
        self._allowance = allowance

    def routes(self) -> list[Route]:
        """What it answers."""
        named = {"id": "of the batch"}
        return [
            Route(
                "POST",
                "/v1/batches",
                self.send,
                "messages:send",
                "Send a personalised message to many",
                "The answer comes when every message is on disk. Recipients that are wrong are told, and the "
                "others get theirs, unless `all_or_nothing` is set.",
                body=SendBatch,
                answer=BatchTaken,
                status=202,
                headers=HEADER,
                refusals=("sender", "suspended", "template", "refused", "quota", *REFUSALS),
                examples=_EXAMPLES,
            ),
            Route(
                "GET",
                "/v1/batches",
                self.list,
                "messages:read",
                "All batches, the last first",
                query=Page,
                answer=BatchesShown,
            ),
            Route(
                "GET",
                "/v1/batches/{id}",
                self.get,
                "messages:read",
                "How a batch was accepted",
                answer=BatchShown,
                path_help=named,
            ),
            Route(
                "GET",
                "/v1/batches/{id}/recipients",
                self.people,
                "messages:read",
                "The recipients of a batch with their messages, once all were tried",
                query=Page,
                answer=PeopleShown,
                path_help=named,
            ),
        ]

    # --- sending -------------------------------------------------------------------

    async def send(self, call: Call) -> Response:
        """Take a batch."""
        body: SendBatch = call.body
        if call.tenant.suspended:
            raise Refusal("suspended", call.tenant.suspended)
        await self._own_domain(call, body.sender.email, "/from")
        if body.return_path:
            await self._own_domain(call, body.return_path, "/return_path")
        release = body.send_at.timestamp() if body.send_at is not None else 0.0
        if release > call.now + self._furthest():
            raise field_refusal("/send_at", "it is further ahead than messages may be scheduled")
        self._check_files(body)
        batch = self._new_id()

        async def act() -> tuple[int, BaseModel]:
            return await self._act(call, body, batch, release)

        if body.dry_run:
            status, model = await act()
            return Response(model, status)

        async def again(ids: Sequence[str]) -> tuple[int, BaseModel] | None:
            return await self._done_before(call.tenant.name, ids)

        return await once(self._idempotency, call, [batch], act, again)

    def _check_files(self, body: SendBatch) -> None:
        """Refuse at once what no copy could carry."""
        common = sum(len(one.content) for one in body.attachments)
        # Three octets become four, and two more end each line of 76.
        if common * 78 // 57 > self._largest():
            raise field_refusal(
                "/attachments",
                f"they have {common} octets, and a message may have {self._largest()} with them in base64",
            )
        own = sum(len(file.content) for one in body.recipients for file in one.attachments)
        total = common * len(body.recipients) + own
        if total > MOST_COPIED:
            raise field_refusal(
                "/attachments",
                f"all copies together would have {total} octets of attachments, and {MOST_COPIED} is the "
                "most: send links to the files, or several batches",
            )

    async def _act(self, call: Call, body: SendBatch, batch: str, release: float) -> tuple[int, BaseModel]:
        bundle = await self._bundle(call, body)
        count = len(body.recipients)
        if body.dry_run:
            return await self._taken(call, body, batch, bundle, release)
        await self._allowance.take(call, count)
        try:
            return await self._taken(call, body, batch, bundle, release)
        except (Refusal, TemporarilyUnavailable, TemplateError):
            # Nothing was taken.  A client that goes away is another thing: its batch goes on.
            self._allowance.give_back(call, count)
            raise

    async def _taken(
        self, call: Call, body: SendBatch, batch: str, bundle: Bundle, release: float
    ) -> tuple[int, BaseModel]:
        plan, troubles = self._plan(call, body, batch, bundle, release if release > call.now else 0.0)
        if body.dry_run or body.all_or_nothing:
            rehearsed = await self._batcher.rehearse(plan, troubles)
            if body.all_or_nothing and rehearsed.troubles:
                raise _all_refused(rehearsed)
            if body.all_or_nothing and rehearsed.left:
                raise Refusal("unavailable", headers={"retry-after": "60"})
            if body.dry_run:
                return 200, _taken(plan, rehearsed, call.now, dry=True)
        outcome = await self._batcher.take(plan, troubles)
        return 202, _taken(plan, outcome, call.now)

    async def _bundle(self, call: Call, body: SendBatch) -> Bundle:
        """The template, looked at."""
        templates = self._registry.templates
        try:
            if body.template is not None:
                bundle, _ = await templates.bundle(call.tenant.name, body.template, body.version)
            else:
                names = ("subject", "text", "html")
                source = {name: value for name in names if (value := getattr(body, name)) is not None}
                source["strict"] = body.strict
                bundle = await templates.with_included(call.tenant.name, "template", "", source)
        except NoTemplate as error:
            raise field_refusal("/template", str(error)) from None
        try:
            await self._renderers.about(bundle)
        except TemplateError as error:
            raise template_refusal(error.problems) from None
        return bundle

    def _plan(
        self, call: Call, body: SendBatch, batch: str, bundle: Bundle, release: float
    ) -> tuple[Plan, list[Trouble]]:
        settings = engagement_of(call.tenant)
        clicks = settings.clicks if body.track.clicks is None else body.track.clicks
        opens = settings.opens if body.track.opens is None else body.track.opens
        base = settings.url or self._base()
        if not base and (clicks or opens or body.unsubscribe is not None):
            what = "/unsubscribe" if body.unsubscribe is not None else "/track"
            raise field_refusal(
                what,
                "links need an address under which recipients reach the server: api.url, or /v1/engagement",
            )
        people: list[Person] = []
        troubles: list[Trouble] = []
        for place, one in enumerate(body.recipients):
            try:
                email = canonical(one.email)
                if not email.isascii():
                    raise ValueError("an address of a batch is ASCII left of the @")
            except ValueError as error:
                troubles.append(Trouble(place, one.email[:320], "address", str(error)))
                continue
            files = tuple(file.file() for file in one.attachments)
            person = Person(self._new_id(), email, place, one.name, one.locale, one.data, one.metadata, files)
            people.append(person)
        options = body.options(call.tenant.name, "")
        assert call.key is not None
        plan = Plan(
            batch=batch,
            tenant=call.tenant.name,
            key=call.key.id,
            address=call.address,
            session=self._session_id(),
            bundle=bundle.encode(),
            named=body.template or "",
            sender=(body.sender.email, body.sender.name),
            people=tuple(people),
            reply_to=tuple((one.email, one.name) for one in body.reply_to),
            headers=body.headers,
            return_path=body.return_path,
            release=release,
            priority=body.priority,
            notify=tuple(word.upper() for word in body.notify) or ("NEVER",),
            campaign=body.campaign,
            tags=options.tags,
            metadata=body.metadata,
            data=body.data,
            unsubscribe=body.unsubscribe,
            clicks=clicks,
            opens=opens,
            base=base,
            files=tuple(one.file() for one in body.attachments),
        )
        return plan, troubles

    async def _done_before(self, tenant: str, ids: Sequence[str]) -> tuple[int, BaseModel] | None:
        """What an attempt that was broken off has done, or is doing still."""
        for identifier in ids:
            try:
                batch = await self._batcher.settled(tenant, identifier)
            except NoBatch:
                continue
            people = await self._registry.batches.people(tenant, identifier)
            return 202, BatchTaken(**_facts(batch), recipients=_people(people))
        return None

    async def _own_domain(self, call: Call, address: str, pointer: str) -> None:
        if not address.isascii():
            raise field_refusal(pointer, "an address of a batch is ASCII left of the @")
        account = TenantAccount(self._registry, call.tenant.name)
        if not await settle(account.may_send_as(address)):
            domain = address.rpartition("@")[2]
            raise field_refusal(pointer, f"{domain} is no domain of the tenant {call.tenant.name}", "sender")

    # --- looking -------------------------------------------------------------------

    async def list(self, call: Call) -> BatchesShown:
        """A page."""
        page: Page = call.query
        before = page.after(float, str) or ()
        found = await self._registry.batches.page(call.tenant.name, before, page.limit + 1)
        last = found[page.limit - 1] if len(found) > page.limit else None
        more = cursor(last.created, last.id) if last is not None else None
        # A page of all their errors would be too long: each batch has its own.
        shown = [BatchShown(**{**_facts(one), "errors": []}) for one in found[: page.limit]]
        return BatchesShown(batches=shown, next=more)

    async def get(self, call: Call) -> BatchShown:
        """One."""
        try:
            found = await self._registry.batches.get(call.tenant.name, call.path["id"])
        except NoBatch:
            raise Refusal("not-found", f"there is no batch {call.path['id']!r:.80}") from None
        return BatchShown(**_facts(found))

    async def people(self, call: Call) -> PeopleShown:
        """A page of its recipients."""
        page: Page = call.query
        start = (page.after(int) or [0])[0]
        try:
            found = await self._registry.batches.people(call.tenant.name, call.path["id"])
        except NoBatch:
            raise Refusal("not-found", f"there is no batch {call.path['id']!r:.80}") from None
        end = start + page.limit
        return PeopleShown(
            recipients=_people(found[start:end]), next=cursor(end) if len(found) > end else None
        )


def _facts(batch: Batch) -> dict[str, Any]:
    facts = batch.facts
    return {
        "id": batch.id,
        "state": "accepting" if batch.open else "accepted",
        "created": moment(batch.created) or "",
        **{name: facts[name] for name in ("total", "accepted", "refused", "suppressed", "waiting")},
        "errors": [BatchError(**{"errors": [], **one}) for one in facts["errors"]],
    }


def _people(rows: Sequence[Sequence[str]]) -> list[RecipientTaken]:
    return [
        RecipientTaken.model_construct(id=f"{one}.0" if one else "", email=email, state=state)
        for one, email, state in rows
    ]


def _taken(plan: Plan, outcome: Outcome, now: float, dry: bool = False) -> BatchTaken:
    total = len(plan.people) + sum(one.kind == "address" for one in outcome.troubles)
    facts = _facts(Batch(plan.tenant, plan.batch, 0, now, bool(outcome.left), outcome.facts(total)))
    people = outcome.people(plan)
    if dry:
        people = [
            ["", email, "accepted" if state in ("queued", "scheduled") else state]
            for _, email, state in people
        ]
    return BatchTaken(**facts, recipients=_people(people), dry_run=dry)


def _all_refused(outcome: Outcome) -> Refusal:
    errors = [
        {"pointer": f"#/recipients/{one.place}", "detail": one.detail, "kind": one.kind, "errors": one.errors}
        for one in outcome.troubles[:1000]
    ]
    return Refusal(
        "refused", f"{len(outcome.troubles)} recipients are refused, and so nobody gets it", errors
    )


_EXAMPLES: dict[str, dict[str, Any]] = {
    "with a template": {
        "from": {"email": "shop@example.org", "name": "The Shop"},
        "template": "welcome",
        "unsubscribe": "news",
        "tags": ["welcome"],
        "recipients": [
            {"email": "ann@example.net", "name": "Ann", "data": {"name": "Ann"}},
            {"email": "bob@example.net", "locale": "de", "data": {"name": "Bob"}},
        ],
    },
    "without": {
        "from": "shop@example.org",
        "subject": "Order {{ order }}",
        "text": "Hello {{ name }}, it is on its way.",
        "recipients": [{"email": "ann@example.net", "data": {"name": "Ann", "order": 17}}],
    },
}
