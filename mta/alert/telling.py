"""Tells somebody of an alert: by mail through our own queue, or by a post that is signed."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater

from mta.alert.letter import body, subject, text
from mta.alert.rule import Rule
from mta.alert.watch import Untold
from mta.deliver.webhook_body import Body
from mta.deliver.webhook_post import NoAnswer, Poster
from mta.deliver.webhook_signature import parse_secrets, signature
from mta.interfaces import TemporarilyUnavailable

#: Seconds before the second, third, ... post.
PAUSES = (5.0, 60.0, 300.0)


class Teller:
    """See the module.

    :param reactor: time.
    :param poster: posts.
    :param write: queues a mail: (to, subject, text); raises ``TemporarilyUnavailable``.
    :param secrets: where a file that a rule names is.
    :param hostname: our name.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        reactor: Any,
        poster: Poster,
        write: Callable[[str, str, str], Awaitable[None]],
        secrets: Callable[[str], Path],
        hostname: str,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._reactor = reactor
        self._poster = poster
        self._write = write
        self._secrets = secrets
        self._hostname = hostname
        self._run = run_in_thread

    async def tell(self, to: str, rule: Rule, action: str) -> None:
        """Tell one of those whom a rule names.

        :raise Untold: if that cannot be done.
        """
        now = self._reactor.seconds()
        if "://" not in to:
            try:
                await self._write(
                    to, subject(rule, action, self._hostname), text(rule, action, self._hostname, now)
                )
            except TemporarilyUnavailable as trouble:
                raise Untold(str(trouble)) from None
            return
        await self._post(to, rule, action, now)

    async def _post(self, url: str, rule: Rule, action: str, now: float) -> None:
        # A person who tries it out waits for the answer.
        pauses = () if action == "tested" else PAUSES
        data = body(rule, action, self._hostname, now)
        named = f"{self._hostname}\0{rule.settings.name}\0{action}\0{now}".encode()
        identity = f"alert_{hashlib.sha256(named).hexdigest()[:32]}"
        for number in range(len(pauses) + 1):
            try:
                await self._once(url, rule.settings.secret, identity, data)
                return
            except Untold:
                if number == len(pauses):
                    raise
            await deferLater(self._reactor, pauses[number], lambda: None)

    async def _once(self, url: str, secret: str, identity: str, data: bytes) -> None:
        path = self._secrets(secret)
        try:
            secrets = parse_secrets(await self._run(path.read_text, "utf-8"))
        except OSError as trouble:
            raise Untold(f"{path}: {trouble.strerror}") from None
        except ValueError as trouble:
            raise Untold(f"{path}: {trouble}") from None
        stamp = int(self._reactor.seconds())
        fields = {
            "Content-Type": "application/json",
            "User-Agent": "mta",
            "webhook-id": identity,
            "webhook-timestamp": str(stamp),
            "webhook-signature": signature(secrets, identity, stamp, (data,)),
        }
        try:
            answer = await self._poster.post(
                url, fields, Body("application/json", len(data), lambda: iter((data,)), True)
            )
        except NoAnswer as trouble:
            raise Untold(str(trouble)) from None
        if not 200 <= answer.status < 300:
            raise Untold(f"it answered {answer.status}")
