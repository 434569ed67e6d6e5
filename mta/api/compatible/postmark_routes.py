"""Answers to Postmark's calls for sending: ``/postmark/email`` and its kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mta.api.compatible.postmark import (
    MOST_MESSAGES,
    PostmarkAnswer,
    PostmarkAnswers,
    PostmarkBatch,
    PostmarkError,
    PostmarkMessage,
    PostmarkTemplated,
    PostmarkTemplatedBatch,
    answer_of,
    error_of,
    told,
    translated,
)
from mta.api.compatible.sending import Filling, NoSuchTemplate, Sender
from mta.api.problem import ApiProblem
from mta.api.v1.idempotent import HEADER, REFUSALS
from mta.api.v1.message_models import MessageTaken, SendMessage
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Response, Route
from mta.interfaces import TemporarilyUnavailable
from mta.template.bundle import Rendered

#: Clients that are given only a host name put their paths right below it.
_PLACES = ("/postmark", "")


def token(request: Any) -> str:
    """The key of a request, which stands where Postmark's token would."""
    return (request.getHeader("x-postmark-server-token") or "").strip()


class PostmarkRoutes:
    """Answers Postmark's calls.

    :param sender: sends messages.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def routes(self) -> list[Route]:
        """What it answers."""
        calls: list[tuple[str, Any, str, str, dict[str, Any]]] = [
            (
                "/email",
                self.send,
                "Send a message, as Postmark takes it",
                "The key stands in `X-Postmark-Server-Token`. Metadata, Tag, TrackOpens and TrackLinks mean "
                "what they mean at Postmark; MessageStream is the campaign.",
                {"body": PostmarkMessage, "answer": PostmarkAnswer, "examples": _EXAMPLES},
            ),
            (
                "/email/batch",
                self.send_batch,
                f"Send up to {MOST_MESSAGES} messages, as Postmark takes them",
                "Each is answered for itself; what is wrong with one does not stop the others.",
                {"body": PostmarkBatch, "answer": PostmarkAnswers},
            ),
            (
                "/email/withTemplate",
                self.send_templated,
                "Fill a template and send it, as Postmark does",
                "TemplateAlias or TemplateId is the name of a template here, in lower case.",
                {"body": PostmarkTemplated, "answer": PostmarkAnswer, "examples": _TEMPLATED},
            ),
            (
                "/email/batchWithTemplates",
                self.send_templated_batch,
                f"Fill templates for up to {MOST_MESSAGES} messages, as Postmark does",
                "",
                {
                    "body": PostmarkTemplatedBatch,
                    "answer": PostmarkAnswers,
                    "examples": {"two": {"Messages": [_TEMPLATED["by alias"]]}},
                },
            ),
        ]
        refusals = ("sender", "suspended", "refused", "quota", "template", *REFUSALS)
        return [
            Route(
                "POST",
                f"{place}{path}{end}",
                handler,
                "messages:send",
                summary,
                description,
                group="as Postmark",
                token=token,
                key_in="X-Postmark-Server-Token",
                told=told,
                headers=HEADER,
                refusals=refusals,
                hidden=bool(end) or not place,
                **more,
            )
            for path, handler, summary, description, more in calls
            for place in _PLACES
            for end in ("", "/")
        ]

    async def send(self, call: Call) -> Response:
        """One message."""
        return await self._one(call, call.body, None)

    async def send_templated(self, call: Call) -> Response:
        """One message of a template."""
        message: PostmarkTemplated = call.body
        try:
            (content,) = await self._filled(call, [message])
            if isinstance(content, PostmarkError):
                raise content
        except PostmarkError as error:
            return _refused(error)
        return await self._one(call, message, content)

    async def _one(self, call: Call, message: PostmarkMessage, content: Rendered | None) -> Response:
        try:
            ours = translated(message, content, self._sender.has_links(call))
            try:
                taken = await self._sender.send(call, ours)
            except Refusal as problem:
                return _refused(error_of(problem, ours), problem)
            return Response(answer_of(message, taken, call.now))
        except PostmarkError as error:
            return _refused(error)

    async def send_batch(self, call: Call) -> Response:
        """Several messages."""
        messages: list[PostmarkMessage] = call.body.root
        if len(messages) > MOST_MESSAGES:
            return _too_many(len(messages))
        return await self._several(call, messages, None)

    async def send_templated_batch(self, call: Call) -> Response:
        """Several messages of templates."""
        messages: list[PostmarkTemplated] = call.body.Messages
        if len(messages) > MOST_MESSAGES:
            return _too_many(len(messages))
        return await self._several(call, messages, await self._filled(call, messages))

    async def _several(
        self,
        call: Call,
        messages: Sequence[PostmarkMessage],
        contents: Sequence[Rendered | PostmarkError] | None,
    ) -> Response:
        linked = self._sender.has_links(call)
        answers: list[PostmarkAnswer | None] = [None] * len(messages)
        ours: list[SendMessage] = []
        places: list[int] = []
        for place, message in enumerate(messages):
            content = None if contents is None else contents[place]
            try:
                if isinstance(content, PostmarkError):
                    raise content
                ours.append(translated(message, content, linked))
                places.append(place)
            except PostmarkError as error:
                answers[place] = error.answer_among(message, call.now)
        outcomes = await self._sender.send_each(call, ours)
        if outcomes and all(isinstance(one, TemporarilyUnavailable) for one in outcomes):
            # Nothing was taken, so the whole request may be sent again.
            raise Refusal("unavailable", headers={"retry-after": "10"})
        for place, one, outcome in zip(places, ours, outcomes, strict=True):
            answers[place] = _answer(messages[place], one, outcome, call.now)
        return Response(PostmarkAnswers([one for one in answers if one is not None]))

    async def _filled(
        self, call: Call, messages: Sequence[PostmarkTemplated]
    ) -> list[Rendered | PostmarkError]:
        fillings = [Filling(message.template, message.TemplateModel or {}) for message in messages]
        found: list[Rendered | PostmarkError] = []
        for filling, one in zip(fillings, await self._sender.fill(call, fillings), strict=True):
            if isinstance(one, NoSuchTemplate):
                name = filling.template
                text = f"The template {name!r:.80} is not there, or has no live version."
                found.append(PostmarkError(1101, text if name else "Give a TemplateAlias or TemplateId."))
            else:
                found.append(one if isinstance(one, Rendered) else error_of(one))
        return found


def _too_many(count: int) -> Response:
    text = f"There are {count} messages, and there may be {MOST_MESSAGES}: send several requests."
    return _refused(PostmarkError(410, text))


def _answer(
    message: PostmarkMessage, ours: SendMessage, outcome: MessageTaken | Exception, now: float
) -> PostmarkAnswer:
    if isinstance(outcome, ApiProblem):
        return error_of(outcome, ours).answer_among(message, now)
    if not isinstance(outcome, MessageTaken):
        text = "The server cannot take it just now: send this message again later."
        return PostmarkError(100, text).answer_among(message, now)
    try:
        return answer_of(message, outcome, now)
    except PostmarkError as error:
        return error.answer_among(message, now)


def _refused(error: PostmarkError, problem: ApiProblem | None = None) -> Response:
    headers = dict(getattr(problem, "headers", {}))
    return Response(error.answer(), error.status, headers)


_EXAMPLES: dict[str, dict[str, Any]] = {
    "a message": {
        "From": "Shop <orders@example.org>",
        "To": "Ann <ann@example.net>",
        "Subject": "Your order",
        "HtmlBody": "<p>It is on its way.</p>",
        "TextBody": "It is on its way.",
        "Tag": "order",
        "Metadata": {"order": "17"},
        "MessageStream": "outbound",
    }
}
_TEMPLATED: dict[str, dict[str, Any]] = {
    "by alias": {
        "From": "Shop <orders@example.org>",
        "To": "Ann <ann@example.net>",
        "TemplateAlias": "order",
        "TemplateModel": {"name": "Ann"},
    }
}
