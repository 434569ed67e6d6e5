"""Sends what a foreign request was translated to: through ``POST /v1/messages``, and by no other way."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from twisted.internet.defer import Deferred, gatherResults

from mta.api.problem import ApiProblem
from mta.api.v1.engagement import engagement_of
from mta.api.v1.idempotent import key_of
from mta.api.v1.message_models import MessageTaken, SendMessage
from mta.api.v1.messages import Messages
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call
from mta.api.v1.template_rendering import Renderers, template_refusal
from mta.interfaces import TemporarilyUnavailable
from mta.registry.idempotency import Idempotency
from mta.registry.templates import NoTemplate, Templates
from mta.template.bundle import Bundle, Rendered
from mta.template.problem import TemplateError

R = TypeVar("R")
#: Messages of one request that are on their way to the disk at a time: they share commits.
_AT_A_TIME = 32
#: What may go wrong with one of many messages without a mistake in the program.
TROUBLE = (ApiProblem, TemporarilyUnavailable)


class NoSuchTemplate(Exception):
    """The tenant has no live template of this name."""


@dataclass(frozen=True, slots=True)
class Filling:
    """A template, and what is put into it."""

    template: str
    data: Mapping[str, Any]


Filled: TypeAlias = Rendered | Refusal | NoSuchTemplate


class Sender:
    """Sends messages of foreign requests.

    :param messages: sends a message.
    :param templates: has templates.
    :param renderers: fill them.
    :param idempotency: remembers what was done of a request that was broken off.
    :param base: the address under which recipients reach us; ``""``: it is not set.
    """

    def __init__(
        self,
        messages: Messages,
        templates: Templates,
        renderers: Renderers,
        idempotency: Idempotency,
        base: Callable[[], str] = lambda: "",
    ) -> None:
        self._messages = messages
        self._templates = templates
        self._renderers = renderers
        self._idempotency = idempotency
        self._base = base

    def has_links(self, call: Call) -> bool:
        """Whether links can lead recipients here."""
        return bool(engagement_of(call.tenant).url or self._base())

    async def fill(self, call: Call, fillings: Sequence[Filling]) -> list[Filled]:
        """Subject, text and HTML of each; or why there are none."""
        found: list[Filled] = [NoSuchTemplate()] * len(fillings)
        by_name: dict[str, list[int]] = {}
        for place, filling in enumerate(fillings):
            by_name.setdefault(filling.template, []).append(place)
        for name, places in by_name.items():
            try:
                bundle, _ = await self._templates.bundle(call.tenant.name, name)
            except NoTemplate:
                continue
            rendered = await self._rendered(bundle, [fillings[place].data for place in places])
            for place, one in zip(places, rendered, strict=True):
                found[place] = one
        return found

    async def _rendered(self, bundle: Bundle, data: Sequence[Mapping[str, Any]]) -> list[Rendered | Refusal]:
        try:
            outcomes = await self._renderers.render(bundle, [(dict(one), "") for one in data])
        except TemplateError as error:
            return [template_refusal(error.problems)] * len(data)
        return [one if isinstance(one, Rendered) else template_refusal(one) for one in outcomes]

    async def send(self, call: Call, message: SendMessage, once: str = "") -> MessageTaken:
        """Send one.

        :param once: under which key it is sent once, in place of the request's ``Idempotency-Key``.
        :raise ApiProblem: if it is refused.
        """
        # What it is counted by stands in the answer once, and not for each message.
        part = replace(call, body=message, once=once, standings=[])
        try:
            response = await self._messages.send(part)
        finally:
            known = {standing.policy() for standing in part.standings}
            call.standings[:] = [one for one in call.standings if one.policy() not in known]
            call.standings += part.standings
        if isinstance(response.body, MessageTaken):
            return response.body
        assert isinstance(response.body, bytes)
        return MessageTaken.model_validate_json(response.body)

    async def send_each(self, call: Call, messages: Sequence[SendMessage]) -> list[MessageTaken | Exception]:
        """Send several, each for itself; what is wrong with one is in its place in the list."""
        key = key_of(call)

        def sending(place: int, message: SendMessage) -> Callable[[], Awaitable[MessageTaken]]:
            return lambda: self.send(call, message, _part(key, place) if key else "")

        return await _each([sending(place, message) for place, message in enumerate(messages)])

    async def send_all(self, call: Call, messages: Sequence[SendMessage]) -> list[MessageTaken]:
        """Send all of them, or none.

        All are asked about before the first is taken.  If the disk or a filter fails in the middle,
        or the worker dies, the same request goes on where it stopped, also without an
        ``Idempotency-Key``: it is known by its octets until it has succeeded.

        :raise Part: what is wrong with the first that is refused.
        """
        if len(messages) == 1:
            try:
                return [await self.send(call, messages[0])]
            except ApiProblem as problem:
                raise Part(0, problem) from None
        trials = [message.model_copy(update={"dry_run": True}) for message in messages]
        tried = await _each([_sending(self, call, trial) for trial in trials])
        for place, outcome in enumerate(tried):
            _or_raise(place, outcome)
        if messages[0].dry_run:
            return [one for one in tried if isinstance(one, MessageTaken)]
        key = key_of(call)
        own = key or hashlib.sha256(call.request.uri + b"\0" + call.content).hexdigest() + "\n"
        names = [_part(own, place) for place in range(len(messages))]
        pairs = zip(messages, names, strict=True)
        sent = await _each([_sending(self, call, message, name) for message, name in pairs])
        taken = []
        for place, outcome in enumerate(sent):
            taken.append(_or_raise(place, outcome))
        if not key:
            # The same content may be meant twice.  What is not forgotten now is so after a while: all
            # has been sent, and trouble with this is nothing for the client.
            await _each([self._forgetting(call, name) for name in names])
        return taken

    def _forgetting(self, call: Call, name: str) -> Callable[[], Awaitable[None]]:
        return lambda: self._idempotency.forget(call.tenant.name, name)


class Part(Exception):
    """One of several messages is refused.

    :param place: which.
    :param problem: why.
    """

    def __init__(self, place: int, problem: ApiProblem) -> None:
        super().__init__(str(problem))
        self.place = place
        self.problem = problem


def _sending(
    sender: Sender, call: Call, message: SendMessage, once: str = ""
) -> Callable[[], Awaitable[MessageTaken]]:
    return lambda: sender.send(call, message, once)


def _part(key: str, place: int) -> str:
    """The key of one message of a request; no client can send it, since it is not printable."""
    return f"{key}\n{place}"


def _or_raise(place: int, outcome: MessageTaken | Exception) -> MessageTaken:
    if isinstance(outcome, ApiProblem):
        raise Part(place, outcome)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def _each(acts: Sequence[Callable[[], Awaitable[R]]]) -> list[R | Exception]:
    """Do all, some at a time; trouble stands where a result would."""
    found: list[R | Exception] = [RuntimeError("it was not done")] * len(acts)
    waiting = iter(enumerate(acts))

    async def work() -> None:
        for place, act in waiting:
            try:
                found[place] = await act()
            except TROUBLE as trouble:
                found[place] = trouble

    workers = [Deferred.fromCoroutine(work()) for _ in range(min(_AT_A_TIME, len(acts)))]
    await gatherResults(workers, consumeErrors=True)
    return found
