"""One post to an endpoint, signed, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import Any

from twisted.internet.defer import CancelledError

from mta.deliver.webhook_body import Body
from mta.deliver.webhook_post import NoAnswer, Poster
from mta.deliver.webhook_signature import signature
from mta.registry.endpoints import Endpoint
from mta.webhook.formats import signed
from mta.webhook.guard import Guard
from mta.webhook.outbox import Attempt, Delivery

#: Seconds for which an idle connection to an endpoint is kept.
_IDLE = 30.0


class Posting:
    """Posts to one endpoint, over connections of its own.

    :param reactor: time and connections.
    :param guard: makes connections.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param concurrency: connections that are kept.
    :param timeout: seconds for an answer.
    :param version: of the program.
    """

    def __init__(
        self,
        reactor: Any,
        guard: Guard,
        run_in_thread: Callable[..., Awaitable[Any]],
        concurrency: int,
        timeout: float,
        version: str,
    ) -> None:
        self._reactor = reactor
        self._version = version
        self._poster = Poster(
            reactor,
            run_in_thread,
            connections=concurrency,
            connect_timeout=min(timeout, 10.0),
            timeout=timeout,
            idle=_IDLE,
            ways=guard,
        )

    def close(self) -> Awaitable[Any]:
        """Close what is idle."""
        return self._poster.close()

    async def post(self, endpoint: Endpoint, delivery: Delivery) -> tuple[Attempt, float]:
        """See :class:`~mta.webhook.lane.Post`."""
        begun = self._reactor.seconds()
        stamp = int(begun)
        data = delivery.body
        fields = {
            "Content-Type": "application/json",
            "User-Agent": f"mta/{self._version}",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": signature(endpoint.signing(begun), delivery.id, stamp, (data,)),
            **signed(endpoint.format, endpoint.signing(begun), stamp, data),
        }
        status, words, wish = 0, "", 0.0
        try:
            answer = await self._poster.post(
                endpoint.url, fields, Body("application/json", len(data), lambda: iter((data,)), True)
            )
            status = answer.status
            said = answer.said.decode("utf-8", "replace").strip()
            words = f"{answer.phrase} {said}".strip()
            if 300 <= status < 400:
                words = f"redirects are not followed: {words}"
            if status in (429, 503):
                wish = wished(answer.fields.get("retry-after", ""), self._reactor.seconds())
        except NoAnswer as trouble:
            words = str(trouble)
        except CancelledError:
            raise
        except Exception as trouble:
            # Whatever it is, it is kept as an attempt.
            words = type(trouble).__name__
        ended = self._reactor.seconds()
        clean = "".join(c if c.isprintable() else " " for c in words)
        return Attempt(ended, ended - begun, status, clean), wish


def wished(text: str, now: float) -> float:
    """Retry-After (RFC 9110, 10.2.3) as seconds; 0 if it says nothing."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0.0
