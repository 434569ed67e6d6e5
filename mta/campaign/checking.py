"""What is looked at before a campaign begins: what stops it, what is worth a thought, and what to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from mta.audience.condition import ConditionError
from mta.audience.contact import Contact
from mta.campaign.contents import Contents, Unready
from mta.campaign.definition import Definition
from mta.campaign.people import People
from mta.campaign.sending import Way
from mta.campaign.statistics import visible
from mta.engagement.unsubscribing import PLACEHOLDER
from mta.registry.tenants import Tenant

#: People of the audience with whom the templates are tried.
SAMPLE = 20
#: People who are asked about one by one, at the most.
_COUNTED = 50_000
_PAGE = 1000
#: The rate for which it is told what a test can find.
_USUAL = 0.1


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    :ivar level: ``error``: it cannot begin; ``warning``; ``note``.
    :ivar code: what it is about, for programs.
    """

    level: str
    code: str
    words: str
    remedy: str = ""


@dataclass(slots=True)
class Report:
    """All that was found.

    :ivar size: how many are in the audience now; -1: it cannot be told.
    :ivar barred: how many of them get nothing, as they stand now.
    :ivar looked: how many of them that was asked of.
    """

    findings: list[Finding] = field(default_factory=list)
    size: int = -1
    barred: int = 0
    looked: int = 0

    @property
    def fit(self) -> bool:
        """Whether it may begin."""
        return not any(one.level == "error" for one in self.findings)

    def add(self, level: str, code: str, words: str, remedy: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(level, code, words, remedy))


class Checks:
    """See the module.

    :param people: the audience.
    :param contents: of variants.
    :param way: how recipients of a tenant reach us.
    :param may_send: why a tenant may not send from an address; ``""``: it may.
    :param per_day: how many a tenant may send to in a day; 0: no limit.
    """

    def __init__(
        self,
        people: People,
        contents: Contents,
        *,
        way: Callable[[Tenant, Definition], Way],
        may_send: Callable[[str, str], Awaitable[str]],
        per_day: Callable[[Tenant], int],
    ) -> None:
        self._people = people
        self._contents = contents
        self._way = way
        self._may_send = may_send
        self._per_day = per_day

    async def run(self, tenant: Tenant, definition: Definition, now: float) -> Report:
        """Look at everything.

        :raise TemporarilyUnavailable: if that cannot be done now.
        """
        report = Report()
        if tenant.suspended:
            report.add(
                "error", "suspended", f"the tenant may not send: {tenant.suspended}", "ask the operator"
            )
        await self._senders(tenant, definition, report)
        self._links(tenant, definition, report)
        sample = await self._audience(tenant, definition, report, now)
        await self._templates(tenant, definition, sample, report)
        self._sizes(tenant, definition, report)
        return report

    async def _senders(self, tenant: Tenant, definition: Definition, report: Report) -> None:
        addresses = [definition.sender[0], *(one.sender[0] for one in definition.variants if one.sender[0])]
        for address in dict.fromkeys(addresses):
            why = await self._may_send(tenant.name, address)
            if why:
                report.add("error", "sender", why, "verify the domain, or send from another one")

    def _links(self, tenant: Tenant, definition: Definition, report: Report) -> None:
        way = self._way(tenant, definition)
        if not way.base:
            report.add(
                "error",
                "unsubscribe",
                "recipients could not unsubscribe: it is not known how they reach this server",
                "set api.url in mta.toml, or url with PUT /v1/engagement",
            )
        test = definition.test
        if test is not None and not (way.clicks if test.metric == "clicked" else way.opens):
            report.add(
                "error",
                "metric",
                f"the test goes by who has {test.metric}, and that is not counted",
                'set "track" of the campaign, or PUT /v1/engagement',
            )

    async def _audience(
        self, tenant: Tenant, definition: Definition, report: Report, now: float
    ) -> list[Contact]:
        unknown = await self._people.unknown(tenant.name, definition.target)
        for words in unknown:
            report.add("error", "audience", words, "correct the name, or make it first")
        if unknown:
            return []
        sample: list[Contact] = []
        after: int | None = 0
        try:
            report.size = await self._people.count(tenant.name, definition.target, now)
            while after is not None and report.looked < _COUNTED:
                some, after = await self._people.page(tenant.name, definition.target, after, _PAGE, now)
                sample += some[: SAMPLE - len(sample)]
                report.looked += len(some)
                barred = await self._people.barred(tenant.name, some, definition.target.list, None)
                report.barred += len(barred)
        except ConditionError as error:
            report.add("error", "audience", str(error), "correct the segment")
            return []
        if not report.size:
            report.add("error", "empty", "nobody is in the audience", "choose other lists or segments")
        elif report.barred:
            of = "" if report.looked >= report.size else f" of the first {report.looked}"
            report.add(
                "note",
                "suppressed",
                f"{report.barred}{of} of {report.size} get nothing: suppressed, or unsubscribed",
            )
        return sample

    async def _templates(
        self, tenant: Tenant, definition: Definition, sample: list[Contact], report: Report
    ) -> None:
        for variant in definition.variants:
            try:
                bundle = await self._contents.bundle(tenant.name, definition, variant)
            except Unready as error:
                report.add("error", "template", str(error), "correct it; /v1/preview shows what comes out")
                continue
            common: Mapping[str, object] = {**definition.data, **variant.data}
            data = [({**common, **one.data}, one.locale) for one in sample]
            found = await self._contents.tried(bundle, data)
            wrong = [(one, what) for one, what in zip(sample, found, strict=True) if isinstance(what, str)]
            if wrong:
                who, what = wrong[0]
                report.add(
                    "error",
                    "data",
                    f"variant {variant.name}: nothing comes out for {len(wrong)} of {len(sample)} tried,"
                    f" such as for {who.address}: {what}",
                    "complete the contacts, give a default in the template, or put it into `data`",
                )
            texts = "".join(f"{one.text}\n{one.html}" for one in found[:1] if not isinstance(one, str))
            if texts and PLACEHOLDER not in texts:
                report.add(
                    "warning",
                    "link",
                    f"variant {variant.name}: people see no link to unsubscribe, but only what their mailbox"
                    " provider offers",
                    f"write {PLACEHOLDER} where its address belongs",
                )

    def _sizes(self, tenant: Tenant, definition: Definition, report: Report) -> None:
        if report.size <= 0:
            return
        left = report.size - report.barred
        if definition.throttle:
            seconds = left / definition.pace.rate
            report.add("note", "throttle", f"by its throttle it takes {_span(seconds)}")
        per_day = self._per_day(tenant)
        if per_day and left > per_day:
            report.add(
                "warning",
                "quota",
                f"the tenant may send to {per_day} people in a day: it takes {left // per_day + 1} days",
                "ask the operator for more",
            )
        weights = sum(definition.weights)
        share = definition.test.share if definition.test is not None else 1.0
        if len(definition.variants) < 2:
            return
        least = int(left * share * min(definition.weights) / weights)
        finds = visible(_USUAL, least)
        report.add(
            "note",
            "sample",
            f"the smallest variant is for about {least} people: "
            + (
                f"where {_USUAL:.0%} do what is counted, four of five differences of {finds * 100:.1f}"
                " points are found, and smaller ones seldom"
                if finds < 1
                else "too few to find any difference"
            ),
        )
        if definition.test is not None and least < definition.test.least:
            report.add(
                "warning",
                "least",
                f"the test asks for {definition.test.least} people of each variant: it cannot be clear",
                "raise its share, or have fewer variants",
            )


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
