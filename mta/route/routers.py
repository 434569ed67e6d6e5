"""All routers in their order, as one."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from zope.interface import implementer

from mta.interfaces import Answer, IRouter, Route, RouteError, TemporarilyUnavailable, settle


@implementer(IRouter)
class Routers:
    """Asks each router until one answers; what one raises ends the questions.

    :param routers: plugins first, then the domains, then the way out.
    """

    def __init__(self, routers: Sequence[IRouter]) -> None:
        self._routers = tuple(routers)

    def route(self, address: str) -> Answer[Sequence[Route] | None]:
        """See :class:`~mta.interfaces.IRouter`; answers at once where the routers do."""
        for number, router in enumerate(self._routers):
            answer = router.route(address)
            if isinstance(answer, Awaitable):
                return self._rest(answer, address, number + 1)
            if answer is not None:
                return answer
        return None

    async def _rest(
        self, pending: Awaitable[Sequence[Route] | None], address: str, number: int
    ) -> Sequence[Route] | None:
        answer = await pending
        while answer is None and number < len(self._routers):
            answer = await settle(self._routers[number].route(address))
            number += 1
        return answer

    def is_local(self, domain: str) -> Answer[bool]:
        """Whether any router takes mail for the domain from anybody."""
        for number, router in enumerate(self._routers):
            answer = router.is_local(domain)
            if isinstance(answer, Awaitable):
                return self._is_local(answer, domain, number + 1)
            if answer:
                return True
        return False

    async def _is_local(self, pending: Awaitable[bool], domain: str, number: int) -> bool:
        answer = await pending
        while not answer and number < len(self._routers):
            answer = await settle(self._routers[number].is_local(domain))
            number += 1
        return answer

    async def trace(self, address: str) -> tuple[list[str], Sequence[Route] | Exception | None]:
        """What :meth:`route` does, in sentences, and its end.

        :return: the sentences, and routes, or the exception that :meth:`route`
            raises, or ``None`` if no router knows the address.
        """
        steps: list[str] = []
        for router in self._routers:
            name = type(router).__name__
            try:
                explain = getattr(router, "trace", None)
                if explain is not None:
                    more, found = await explain(address)
                    steps.extend(more)
                else:
                    found = await settle(router.route(address))
                    if found is not None:
                        steps.append(f"the router {name} has a way for {address}")
            except (RouteError, TemporarilyUnavailable) as trouble:
                steps.append(f"the router {name} says: {trouble}")
                return steps, trouble
            if found is not None:
                return steps, found
        steps.append(f"no router knows {address}")
        return steps, None
