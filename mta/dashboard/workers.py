"""All workers: ours is asked here, the others over their control sockets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from twisted.internet.defer import DeferredList, ensureDeferred
from twisted.logger import Logger

from mta.interfaces import IQueue, TemporarilyUnavailable
from mta.model.ids import shard_of

_log = Logger()

#: Seconds for an answer.
_PATIENCE = 20.0
Act: TypeAlias = Literal["hold", "release", "retry", "bounce", "remove"]


class Workers:
    """See the module.

    :param state: the state directory.
    :param shard: ours.
    :param queue: ours.
    :param status: numbers about ours.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        state: Path,
        shard: int,
        queue: IQueue,
        status: Callable[[], dict[str, Any]],
        run_in_thread: Callable[..., Any],
    ) -> None:
        self._run_directory = state / "run"
        self.spool = state / "spool"
        self._shard = shard
        self._queue = queue
        self._status = status
        self._run = run_in_thread

    def directories(self) -> list[Path]:
        """Those of all shards, whether a worker has them or not."""
        found = [path.parent for path in self.spool.glob("*/queue.db") if path.parent.name.isdigit()]
        return sorted(found, key=lambda path: int(path.name))

    def journals(self) -> list[Path]:
        """The databases with the journal, in the order of shards."""
        return [path / "queue.db" for path in self.directories()]

    def shards(self) -> list[int]:
        """The numbers of workers that run, ours among them."""
        found = {self._shard}
        for path in self._run_directory.glob("control-*.sock"):
            number = path.name.removeprefix("control-").removesuffix(".sock")
            if number.isdigit():
                found.add(int(number))
        return sorted(found)

    async def status(self) -> dict[int, dict[str, Any] | None]:
        """Numbers of each, by shard; ``None``: it does not answer."""
        return dict(await self._ask_all("GET", "/v1/status", self._status))

    async def alerts(self) -> list[dict[str, Any]]:
        """The rules for alerts, and how they stand; the first worker knows."""
        try:
            answer = await self._run(self._asked, 0, "GET", "/v1/alerts", None)
        except TemporarilyUnavailable:
            return []
        return list(answer.get("rules") or [])

    async def try_alert(self, rule: str) -> list[dict[str, Any]]:
        """Have everybody of a rule told that somebody tries it; whom, and why that could not be.

        :raise TemporarilyUnavailable: if the first worker does not answer, or there is no such rule.
        """
        answer = await self._run(self._asked, 0, "POST", "/v1/alerts/test", {"rule": rule})
        return list(answer.get("told") or [])

    async def act(self, what: Act, ids: Sequence[str], by: str, reason: str, **more: Any) -> int:
        """Do something to messages of the queue; answers how many it was done to.

        :param more: as the method of ``IQueue`` takes it.
        :raise TemporarilyUnavailable: if a worker that has some of them does not answer.
        """
        by_shard: dict[int, list[str]] = {}
        for identifier in ids:
            by_shard.setdefault(shard_of(identifier), []).append(identifier)
        count = 0
        for shard, some in sorted(by_shard.items()):
            if shard == self._shard:
                count += await getattr(self._queue, what)(some, by, reason, **more)
            else:
                body = {"ids": some, "by": by, "reason": reason, **more}
                answer = await self._run(self._asked, shard, "POST", f"/v1/queue/{what}", body)
                count += int(answer.get("count") or 0)
        return count

    async def suspend(self, pattern: str, by: str, reason: str, until: float) -> int:
        """Let nothing go to destinations; all workers know it."""
        count: int = await self._queue.suspend(pattern, by, reason, until)
        return count

    async def resume(self, pattern: str, by: str, reason: str) -> int:
        """End that."""
        count: int = await self._queue.resume(pattern, by, reason)
        return count

    async def _ask_all(
        self, method: str, path: str, own: Callable[[], dict[str, Any]]
    ) -> list[tuple[int, dict[str, Any] | None]]:
        shards = self.shards()

        async def one(shard: int) -> dict[str, Any] | None:
            if shard == self._shard:
                return own()
            try:
                found: dict[str, Any] = await self._run(self._asked, shard, method, path, None)
            except TemporarilyUnavailable as trouble:
                _log.warn("Worker {shard} does not answer: {why}", shard=shard, why=str(trouble))
                return None
            return found

        found = await DeferredList([ensureDeferred(one(shard)) for shard in shards], consumeErrors=True)
        return [(shard, value if done else None) for shard, (done, value) in zip(shards, found, strict=True)]

    def _asked(self, shard: int, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """In a thread.

        :raise TemporarilyUnavailable: if it does not answer, or refuses.
        """
        # It takes five megabytes, and a server with one worker never needs it.
        import httpx

        socket = self._run_directory / f"control-{shard}.sock"
        try:
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=_PATIENCE) as client:
                answer = client.request(method, f"http://mta{path}", json=body)
                found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise TemporarilyUnavailable(f"worker {shard} does not answer: {error}") from None
        if answer.status_code >= 400:
            raise TemporarilyUnavailable(f"worker {shard}: {found.get('detail') or found.get('title')}")
        return found
