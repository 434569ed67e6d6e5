"""The other workers, over their sockets: one answers a request about its shard, all read what is new."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Response

#: Seconds for an answer.
_PATIENCE = 20.0


_log = Logger()


class Neighbours:
    """The other workers.

    :param run: the directory of sockets.
    :param shard: which worker this is.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(self, run: Path, shard: int, run_in_thread: Callable[..., Any]) -> None:
        self._run = run
        self._shard = shard
        self._run_in_thread = run_in_thread

    async def forward(self, shard: int, method: str, path: str, call: Call) -> Response:
        """Its answer.

        :raise Refusal: 404 if there is no such worker, 503 if it does not answer.
        """
        socket = self._run / f"api-{shard}.sock"
        if not socket.exists():
            raise Refusal("not-found", "there is nothing of this id")
        headers = {
            "content-type": "application/json",
            "mta-tenant": call.tenant.name,
            "mta-operator": call.who,
        }
        answer: Response = await self._run_in_thread(_asked, socket, method, path, call.content, headers)
        return answer

    async def reload(self) -> None:
        """Have all of them read everything anew: keys, for instance."""
        await self._run_in_thread(_reload, self._run, self._shard)


def _asked(socket: Path, method: str, path: str, content: bytes, headers: dict[str, str]) -> Response:
    # It takes five megabytes, and a server with one worker never needs it.
    import httpx

    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=_PATIENCE) as client:
            answer = client.request(method, f"http://mta{path}", content=content, headers=headers)
    except httpx.HTTPError:
        detail = "the worker that has this message does not answer just now"
        raise Refusal("unavailable", detail, headers={"retry-after": "5"}) from None
    media = answer.headers.get("content-type", "application/json")
    return Response(answer.content, answer.status_code, media=media)


def _reload(run: Path, shard: int) -> None:
    import httpx

    for socket in sorted(run.glob("control-*.sock")):
        if socket.name == f"control-{shard}.sock":
            continue
        try:
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=_PATIENCE) as client:
                client.post("http://mta/v1/reload", json={})
        except httpx.HTTPError as trouble:
            # One that is not there reads them when it starts.
            _log.warn("{socket} was not told of new keys: {why}", socket=socket.name, why=str(trouble))
