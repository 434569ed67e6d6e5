"""Posts of sequences: to applications, and notifications to people who want them so; tried for a day.

A post carries the id of what was promised: who gets it twice, since a server died in between, knows by it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, gatherResults
from twisted.logger import Logger

from mta.audience import contacts
from mta.audience.audience import Audience
from mta.audience.contact import Contact
from mta.interfaces import TemporarilyUnavailable
from mta.registry.templates import NoTemplate
from mta.sequence import enrolments, outbox
from mta.sequence.definition import Definition, Notify, Webhook
from mta.sequence.enrolment import Action, Enrolment
from mta.sequence.notification import PREFIX
from mta.sequence.outbox import Promise
from mta.sequence.sequences import Definitions, NoSequence
from mta.sequence.telling import stepped, tell
from mta.template.bundle import Bundle, Rendered
from mta.template.problem import TemplateError

#: Seconds after each failure; after the last it is given up.
RETRY = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 3600.0, 7200.0, 14400.0, 28800.0)
#: Posts under way at once.
_ABREAST = 10
#: Answers after which it is not tried again: they would be the same.
_FINAL = frozenset({400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 422})


class Means(Protocol):
    """What is needed of others."""

    async def barred(self, tenant: str, people: Sequence[Contact], mailing: str) -> Mapping[int, str]:
        """To whom of these nothing may be sent, and why."""

    async def bundle(self, tenant: str, template: str) -> Bundle:
        """The live version of a template."""

    async def render(self, bundle: Bundle, data: dict[str, Any], locale: str) -> Rendered:
        """What becomes of it.

        :raise TemplateError: if the template or the data are wrong.
        """

    async def post(
        self, tenant: str, endpoint: str, url: str, identifier: str, body: bytes
    ) -> tuple[int, str]:
        """Post; answers with the status (0: there was no answer) and words.

        :raise LookupError: if there is no such endpoint.
        """


@dataclass(frozen=True, slots=True)
class _Outcome:
    promise: Promise
    run: Enrolment | None
    contact: Contact | None
    words: str
    done: bool


class _Never(Exception):
    """It will never be posted, for a reason in words."""


class Posts:
    """See the module.

    :param audience: has the database.
    :param means: what is needed of others.
    :param seconds: the time.
    """

    log = Logger()

    def __init__(self, audience: Audience, means: Means, seconds: Callable[[], float]) -> None:
        self._audience = audience
        self._means = means
        self._seconds = seconds
        self._definitions = Definitions()

    async def piece(self, limit: int) -> int:
        """Post what is due; answers how much that was.

        :raise TemporarilyUnavailable: if the database cannot be used.
        """
        now = self._seconds()
        promises = await self._audience.database.read(lambda base: outbox.due(base, now, limit, False))
        if not promises:
            return 0
        gate = DeferredSemaphore(_ABREAST)

        def begin(one: Promise) -> Deferred[_Outcome]:
            return Deferred.fromCoroutine(self._one(one))

        outcomes = await gatherResults([gate.run(begin, one) for one in promises])
        await self._audience.database.change("enrolments", lambda base: self._keep(base, outcomes))
        return len(promises)

    async def _one(self, promise: Promise) -> _Outcome:
        run, contact, definition = await self._audience.database.read(lambda base: self._known(base, promise))
        try:
            if run is None or contact is None:
                raise _Never("there is no such contact any more")
            if definition is None:
                raise _Never("there is no such sequence any more")
            status, words = await self._post(promise, run, contact, definition)
        except (_Never, LookupError) as error:
            return _Outcome(promise, run, contact, str(error), True)
        except (NoTemplate, TemplateError, TemporarilyUnavailable) as error:
            status, words = 0, str(error)
        except CancelledError:
            raise
        except Exception as error:
            # One that is broken keeps no other.
            self.log.failure("A post of sequence {sequence} fails", sequence=promise.sequence)
            status, words = 0, f"trouble on our side: {type(error).__name__}"
        if 200 <= status < 300:
            return _Outcome(promise, run, contact, f"taken: {status} {words}".strip(), True)
        told = f"{status} {words}" if status else words
        over = status in _FINAL or promise.attempts >= len(RETRY)
        return _Outcome(promise, run, contact, f"given up: {told}" if over else told, over)

    def _known(
        self, base: sqlite3.Connection, promise: Promise
    ) -> tuple[Enrolment | None, Contact | None, Definition | None]:
        try:
            definition = self._definitions.get(base, promise.tenant, promise.sequence, promise.version)
        except NoSequence:
            definition = None
        contact = contacts.get(base, promise.tenant, promise.contact)
        return enrolments.get(base, promise.enrolment), contact, definition

    async def _post(
        self, promise: Promise, run: Enrolment, contact: Contact, definition: Definition
    ) -> tuple[int, str]:
        place = definition.place(promise.step)
        step = definition.steps[place] if place is not None else None
        facts: dict[str, Any] = {
            "sequence": promise.sequence,
            "version": promise.version,
            "step": promise.step,
            "enrolment": promise.enrolment,
        }
        if promise.sequence.startswith(PREFIX):
            facts = {"notification": promise.sequence.removeprefix(PREFIX)}
        if isinstance(step, Webhook):
            about = {**facts, "contact": contact.data, "event": dict(run.properties), "data": step.data}
            body = _body("sequence.webhook", promise.made, about)
            return await self._means.post(promise.tenant, step.endpoint, step.url, promise.id, body)
        if not isinstance(step, Notify):
            raise _Never(f"version {promise.version} has no step {promise.step} that posts")
        barred = await self._means.barred(promise.tenant, [contact], definition.list)
        if contact.id in barred:
            raise _Never(barred[contact.id])
        if not contact.webhook:
            raise _Never("the contact has no webhook")
        bundle = await self._means.bundle(promise.tenant, step.template)
        if step.subject:
            bundle = replace(bundle, parts=replace(bundle.parts, subject=step.subject))
        data = {**step.data, **contact.data, "event": dict(run.properties)}
        rendered = await self._means.render(bundle, data, contact.locale)
        about = {**facts, "subject": rendered.subject, "text": rendered.text, "html": rendered.html}
        body = _body("notification", promise.made, about)
        return await self._means.post(promise.tenant, "", contact.webhook, promise.id, body)

    def _keep(self, base: sqlite3.Connection, outcomes: Sequence[_Outcome]) -> None:
        now = self._seconds()
        for one in outcomes:
            if one.done:
                outbox.done(base, [one.promise.id])
            else:
                pause = RETRY[min(one.promise.attempts, len(RETRY) - 1)]
                outbox.put_off(base, [one.promise.id], now + pause)
            # The first failure is told, and the end: what comes between is more of the same.
            if one.run is not None and (one.done or not one.promise.attempts):
                address = one.contact.address if one.contact is not None else ""
                tell(
                    base,
                    [
                        stepped(
                            one.run, Action("post", one.promise.step, reason=one.words[:500]), address, now
                        )
                    ],
                )


def _body(kind: str, at: float, data: Mapping[str, Any]) -> bytes:
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"type": kind, "timestamp": stamp, "data": data}, separators=(",", ":")).encode()
