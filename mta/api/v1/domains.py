"""``/v1/domains``: a tenant adds the domains that it sends from, and sees what they must publish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field

from mta.api.v1.keys import moment
from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown
from mta.model.a_labels import a_labels
from mta.model.event import Administered, Event
from mta.registry.domains import NoDomain
from mta.registry.registry import Registry
from mta.registry.verifications import NoClaim, Record, Verification


class Watch(Protocol):
    """See :class:`mta.verifying.DomainWatch`."""

    def claim(self, tenant: str, domain: str, tracking: str = "") -> Awaitable[Verification]:
        """Begin to prove a domain."""

    def check(self, verification: Verification) -> Awaitable[Verification]:
        """Ask the DNS."""

    def is_given(self, tenant: str, domain: str) -> Awaitable[bool]:
        """Whether the tenant may send from it."""


def domain_name(text: str) -> str:
    """A domain, lower case, with A-labels.

    :raise ValueError: if it is none that one can send from.
    """
    try:
        name = a_labels(text.strip().rstrip("."))
    except UnicodeError as error:
        raise ValueError(f"{text[:100]!r} is no domain: {error}") from None
    if "." not in name:
        raise ValueError(f"{name!r} is no domain with a dot, such as example.org")
    return name


Domain = Annotated[str, AfterValidator(domain_name)]


class NewDomain(Model):
    """A domain to be added."""

    domain: Domain = Field(max_length=255)
    tracking: Domain | None = Field(
        None, max_length=255, description="host of links in its mail, such as links.example.org"
    )


class RecordShown(Shown):
    """One record of the DNS."""

    purpose: str = Field(description="ownership, dkim, spf, dmarc, return_path or tracking")
    name: str
    type: str
    value: str = Field(description="what to publish")
    state: str = Field(description="good, missing, wrong or unknown")
    said: str = Field(description="what was found")
    required: bool


class DomainShown(Shown):
    """A domain, and what it publishes."""

    domain: str
    sending: bool = Field(description="whether the tenant may send from it")
    tracking: str | None
    created: str | None
    checked: str | None
    failing: str | None = Field(description="since when a required record is gone")
    records: list[RecordShown]


class DomainsShown(Shown):
    """The domains of the tenant."""

    domains: list[DomainShown]
    next: str | None = None


class DomainRoutes:
    """Answers for domains.

    :param registry: keeps them.
    :param watch: asks the DNS.
    :param required: gives the purposes of records that must be there.
    :param note: puts an event into the journal.
    """

    def __init__(
        self,
        registry: Registry,
        watch: Watch,
        required: Callable[[], list[str]],
        note: Callable[[Event], None],
    ) -> None:
        self._registry = registry
        self._watch = watch
        self._required = required
        self._note = note

    def routes(self) -> list[Route]:
        """What it answers."""
        scope, place, one = "domains", "/v1/domains", "/v1/domains/{domain}"
        named = {"domain": "its name"}
        return [
            Route("GET", place, self.list, scope, "All domains of the tenant", answer=DomainsShown),
            Route(
                "POST",
                place,
                self.add,
                scope,
                "Add a domain",
                "Keys are made for it, and the answer has the records to publish. Mail may be sent from it "
                "once those that are required were seen.",
                body=NewDomain,
                answer=DomainShown,
                status=201,
                examples={"a domain": {"domain": "news.example.org"}},
            ),
            Route("GET", one, self.get, scope, "One domain", answer=DomainShown, path_help=named),
            Route(
                "POST",
                f"{one}/verify",
                self.verify,
                scope,
                "Look now whether its records are there",
                answer=DomainShown,
                path_help=named,
            ),
            Route(
                "DELETE",
                one,
                self.remove,
                scope,
                "Remove a domain",
                status=204,
                path_help=named,
                refusals=("conflict",),
            ),
        ]

    async def list(self, call: Call) -> DomainsShown:
        """All of them: claimed, given, and configured."""
        tenant = call.tenant.name
        claims = {one.domain: one for one in await self._registry.verifications.of(tenant)}
        given = {one.name: one.created for one in await self._registry.domains.of(tenant)}
        shown = []
        for name in sorted({*claims, *given}):
            claim = claims.get(name) or Verification(tenant, name, "", created=given.get(name, 0.0))
            shown.append(self._shown(claim, name in given))
        return DomainsShown(domains=shown)

    async def add(self, call: Call) -> DomainShown:
        """Claim one."""
        body: NewDomain = call.body
        tenant = call.tenant.name
        try:
            found = await self._watch.claim(tenant, body.domain, body.tracking or "")
        except ValueError as error:
            raise field_refusal("/domain", str(error)) from None
        self._record(call, "domain claim", body.domain)
        return self._shown(found, await self._watch.is_given(tenant, body.domain))

    async def get(self, call: Call) -> DomainShown:
        """One."""
        claim, given = await self._own(call)
        return self._shown(claim, given)

    async def verify(self, call: Call) -> DomainShown:
        """Ask the DNS now."""
        claim, given = await self._own(call)
        if not claim.token:
            claim = await self._watch.claim(call.tenant.name, claim.domain)
        found = await self._watch.check(claim)
        given = await self._watch.is_given(call.tenant.name, claim.domain)
        return self._shown(found, given)

    async def remove(self, call: Call) -> Response:
        """Give one up."""
        tenant = call.tenant.name
        claim, given = await self._own(call)
        done = False
        try:
            await self._registry.verifications.remove(tenant, claim.domain)
            done = True
        except NoClaim:
            pass
        if given:
            try:
                await self._registry.domains.remove(tenant, claim.domain)
                done = True
            except NoDomain:
                pass
        if not done:
            raise Refusal("conflict", "this domain stands in the configuration: the operator takes it away")
        self._record(call, "domain remove", claim.domain)
        return Response()

    async def _own(self, call: Call) -> tuple[Verification, bool]:
        tenant = call.tenant.name
        try:
            name = domain_name(call.path["domain"])
        except ValueError:
            raise Refusal("not-found", "this is no domain") from None
        given = await self._watch.is_given(tenant, name)
        try:
            return await self._registry.verifications.get(tenant, name), given
        except NoClaim:
            if not given:
                raise Refusal("not-found", "the tenant has no such domain") from None
            created = {one.name: one.created for one in await self._registry.domains.of(tenant)}
            return Verification(tenant, name, "", created=created.get(name, 0.0)), given

    def _shown(self, one: Verification, given: bool) -> DomainShown:
        required = self._required()
        return DomainShown(
            domain=one.domain,
            sending=given,
            tracking=one.tracking or None,
            created=moment(one.created),
            checked=moment(one.checked),
            failing=moment(one.failing),
            records=[_record_shown(record, required) for record in one.records],
        )

    def _record(self, call: Call, action: str, target: str) -> None:
        self._note(
            Administered(at=call.now, action=action, tenant=call.tenant.name, target=target, by=call.who)
        )


def _record_shown(one: Record, required: list[str]) -> RecordShown:
    return RecordShown(
        purpose=one.purpose,
        name=one.name,
        type=one.type,
        value=one.value,
        state=one.state,
        said=one.said,
        required=one.purpose in required,
    )


async def why_not(registry: Registry, tenant: str, domain: str, required: list[str]) -> str:
    """Why a tenant may not send from a domain, with what to publish."""
    try:
        claim = await registry.verifications.get(tenant, domain)
    except NoClaim:
        return f"{domain} is no domain of the tenant {tenant}: add it with POST /v1/domains"
    if not claim.checked:
        return f"{domain} is not verified yet: publish its records, then POST /v1/domains/{domain}/verify"
    lacking = claim.lacking(required)
    if not lacking:
        return f"{domain} is not verified: POST /v1/domains/{domain}/verify"
    first = lacking[0]
    more = f", and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    said = f" ({first.said})" if first.said else ""
    return (
        f"{domain} is not verified: the {first.purpose} record is {first.state}{said}{more}; publish "
        f"{first.name} {first.type} {first.value}, then POST /v1/domains/{domain}/verify"
    )
