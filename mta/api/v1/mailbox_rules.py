"""``/v1/mailboxes``: the rules of mailboxes in the tenant's domains."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import Field

from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown
from mta.config.problem import ConfigurationError
from mta.interfaces import Answer, settle
from mta.rules.desk import Desk, NoMailbox, NoRules
from mta.rules.rule_file import LARGEST

T = TypeVar("T")


class NewRules(Model):
    """The rules of a mailbox."""

    toml: str = Field(max_length=LARGEST, description="as the file rules.toml has them")


class RulesShown(Shown):
    """The rules of a mailbox."""

    address: str
    toml: str = Field(description="empty: there are none")


class MailboxRulesRoutes:
    """Answers for rules.

    :param desk: keeps them.
    :param may: whether an address is of the tenant.
    """

    def __init__(self, desk: Desk, may: Callable[[str, str], Answer[bool]]) -> None:
        self._desk = desk
        self._may = may

    def routes(self) -> list[Route]:
        """What it answers."""
        place, scope = "/v1/mailboxes/{address}/rules", "mailboxes"
        named, conflict = {"address": "of the mailbox"}, ("conflict",)
        return [
            Route(
                "GET",
                place,
                self.get,
                scope,
                "The rules of a mailbox",
                answer=RulesShown,
                path_help=named,
                refusals=conflict,
            ),
            Route(
                "PUT",
                place,
                self.put,
                scope,
                "Give a mailbox other rules",
                "They count from the next message on. If there is any mistake, those before stay.",
                body=NewRules,
                answer=RulesShown,
                path_help=named,
                refusals=conflict,
                examples={"file lists": {"toml": '[[rule]]\nlist = "dev.example.net"\nfile = "Lists"\n'}},
            ),
            Route(
                "DELETE",
                place,
                self.remove,
                scope,
                "Take its rules away",
                status=204,
                path_help=named,
                refusals=conflict,
            ),
        ]

    async def get(self, call: Call) -> RulesShown:
        """Show them."""
        address = await self._address(call)
        text = await self._of(self._desk.get(address))
        return RulesShown(address=address, toml=text or "")

    async def put(self, call: Call) -> RulesShown:
        """Change them."""
        address, body = await self._address(call), call.body
        try:
            await self._of(self._desk.put(address, body.toml, call.who))
        except ConfigurationError as error:
            errors = [{"pointer": "#/toml", "detail": str(problem)} for problem in error.problems[:50]]
            raise Refusal("invalid", str(error.problems[0]), errors) from None
        return RulesShown(address=address, toml=body.toml)

    async def remove(self, call: Call) -> Response:
        """Take them away."""
        address = await self._address(call)
        await self._of(self._desk.put(address, None, call.who))
        return Response(None, 204)

    async def _address(self, call: Call) -> str:
        address = call.path["address"].lower()
        if not await settle(self._may(call.tenant.name, address)):
            raise Refusal("not-found", "the tenant has no mailbox of this address")
        return address

    @staticmethod
    async def _of(act: Awaitable[T]) -> T:
        try:
            return await act
        except (NoMailbox, NoRules) as error:
            raise Refusal("conflict", str(error)) from None
