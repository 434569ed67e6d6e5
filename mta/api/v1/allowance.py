"""How many recipients a tenant may send to: a second, and a day."""

from __future__ import annotations

from mta.api.v1.rates import Rates, Standing
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call
from mta.registry.tenants import Tenant
from mta.registry.usage import Usage, until_midnight

_DAY = 86400


class Allowance:
    """What tenants may send.

    :param usage: what they sent today.
    :param workers: how many share the limits.
    :param per_second: for tenants without a limit of their own; 0: there is none.
    :param per_day: likewise.
    """

    def __init__(self, usage: Usage, workers: int, per_second: float = 0.0, per_day: int = 0) -> None:
        self._usage = usage
        self._workers = max(1, workers)
        self._rates = Rates("recipients", 0, 1)
        self.use(per_second, per_day)

    def use(self, per_second: float, per_day: int) -> None:
        """Take other limits for those without."""
        self._per_second = per_second
        self._per_day = per_day

    async def take(self, call: Call, count: int) -> None:
        """Count some recipients, unless they are too many; the answer tells how the tenant stands.

        More than may come in a second are taken at once where none came before, and then wait.

        :raise Refusal: 429, with when to come again.
        """
        tenant = call.tenant
        per_day = tenant.per_day or self._per_day
        sent = 0
        if per_day:
            sent = await self._usage.today(tenant.name)
            left = max(0, per_day - sent)
            wait = until_midnight(call.now)
            if count > left:
                call.standings.append(Standing("day", per_day, _DAY, left, wait, wait))
                raise Refusal(
                    "quota",
                    f"{tenant.name} may send to {per_day} recipients in a day of UTC, and has sent to {sent};"
                    f" this is for {count} more",
                )
            call.standings.append(Standing("day", per_day, _DAY, left - count, 0.0, wait))
        quota, window = self._quota(tenant)
        if quota:
            standing = self._rates.take(tenant.name, call.now, count, quota, window)
            call.standings.append(standing)
            if standing.wait:
                raise Refusal("quota", f"{tenant.name} may send to {quota} recipients in {window} s")
        self._usage.add(tenant.name, count)

    def give_back(self, call: Call, count: int) -> None:
        """They were not sent to after all."""
        self._usage.add(call.tenant.name, -count)
        quota, window = self._quota(call.tenant)
        if quota:
            self._rates.give_back(call.tenant.name, count, quota, window)

    def _quota(self, tenant: Tenant) -> tuple[int, int]:
        """How many in how many seconds: whole numbers, also of less than one a second."""
        rate = (tenant.per_second or self._per_second) / self._workers
        if rate <= 0:
            return 0, 1
        window = 1
        while rate * window < 1:
            window *= 10
        return int(rate * window), window
