"""What an application's answer over HTTP means for a recipient; pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC
from email.utils import parsedate_to_datetime

from mta.deliver.webhook_post import Answer, NoAnswer
from mta.model.catalogue import REPLIES
from mta.model.outcome import Delivered, Failed, Outcome, Postponed, RemoteReply

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
#: Seconds for which an application may have a message wait by Retry-After.
LONGEST_WAIT = 86400.0

#: Enhanced status codes (RFC 3463) of refusals, where there is a closer one than 5.3.0.
_REFUSED = {
    400: "5.6.0",
    401: "5.7.0",
    403: "5.7.0",
    404: "5.1.1",
    407: "5.7.0",
    410: "5.1.1",
    413: "5.3.4",
    415: "5.6.0",
    422: "5.6.0",
}
_BUSY = frozenset({429, 503})


def outcome_of(place: str, answer: Answer, postpone: Collection[int], now: float) -> Outcome:
    """What the status means.

    :param place: the application, for a person.
    :param postpone: statuses of 4xx that may pass.
    :param now: seconds since 1970.
    """
    said = _CONTROLS.sub(" ", answer.said.decode("utf-8", "replace")).strip()
    status = answer.status
    if 200 <= status < 300:
        return Delivered(_reply("delivered", said, place=f"the application {place}"))
    words = _CONTROLS.sub(" ", f"{status} {answer.phrase}").strip()
    problem = f"it answered {words}"
    if 400 <= status < 500 and status not in postpone:
        reply = _reply("webhook-refused", said, place=place, problem=problem)
        return Failed(RemoteReply(reply.code, _REFUSED.get(status, "5.3.0"), reply.text))
    if 300 <= status < 400:
        problem += "; redirects are not followed"
    reply = _reply("webhook-postponed", said, place=place, problem=problem)
    if status in _BUSY:
        reply = RemoteReply(reply.code, "4.3.2", reply.text)
    return Postponed(reply, retry_after(answer.fields.get("retry-after", ""), now))


def outcome_without(place: str, trouble: NoAnswer) -> Outcome:
    """What it means that there was no answer."""
    if trouble.kind in ("connect", "tls"):
        reply = _reply("webhook-unreachable", place=place, problem=trouble)
        enhanced = "4.7.5" if trouble.kind == "tls" else reply.enhanced
        return Postponed(RemoteReply(reply.code, enhanced, reply.text, command="connect"))
    return Postponed(_reply("webhook-postponed", place=place, problem=trouble))


def retry_after(value: str, now: float) -> float:
    """Seconds that a Retry-After field asks to wait (RFC 9110, 10.2.3); 0 without one.

    :param now: seconds since 1970, for the form that is a date.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return min(max(moment.timestamp() - now, 0.0), LONGEST_WAIT)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _reply(name: str, said: str = "", **values: object) -> RemoteReply:
    reply = REPLIES.reply(name, **values)
    return RemoteReply(reply.code, reply.enhanced, f"{reply.text}: {said}" if said else reply.text)
