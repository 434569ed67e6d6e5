"""Speaks with running servers: HTTP over the control socket of each shard."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from mta.cli.context import CommandError, Context, forbidden

#: Seconds for an answer; a removal of many messages takes its time.
TIMEOUT = 60.0


def sockets(state: Path) -> list[tuple[int, Path]]:
    """The control sockets, by shard.

    :raise CommandError: if there are none, or they cannot be seen.
    """
    run = state / "run"
    try:
        paths = list(run.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        paths = []
    except PermissionError:
        raise CommandError(forbidden(run), os.EX_NOPERM) from None
    found = []
    for path in paths:
        shard = path.name.removeprefix("control-").removesuffix(".sock")
        if path.name == f"control-{shard}.sock" and shard.isdigit():
            found.append((int(shard), path))
    if not found:
        raise CommandError(_not_running(state))
    return sorted(found)


def _not_running(state: Path) -> str:
    return (
        f"the server is not running (no control socket in {state / 'run'}); start it with `make run` or "
        "`twistd mta`, or name its configuration with --config"
    )


def ask(context: Context, method: str, path: str, body: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Ask every shard; one answer for each that gives one, and a warning for each that is down.

    :raise CommandError: if none answers, or one refuses.
    """
    answers, silent = [], []
    for shard, socket in sockets(context.state):
        try:
            answers.append(_ask(shard, socket, context.state, method, path, body))
        except CommandError as error:
            # A worker that is just being started again must not keep the others from acting.
            if error.status != os.EX_UNAVAILABLE:
                raise
            silent.append((shard, error))
    if not answers:
        raise silent[0][1]
    for shard, _ in silent:
        context.out.warn(f"worker {shard} does not answer; its messages were not touched")
    return answers


def ask_one(state: Path, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask the first shard only, where every one knows the same.

    :raise CommandError: if it does not answer, or refuses.
    """
    shard, socket = sockets(state)[0]
    return _ask(shard, socket, state, method, path, body)


def ask_api(
    state: Path,
    tenant: str,
    method: str,
    path: str,
    body: dict[str, Any] | list[Any] | None = None,
    *,
    whole: bool = False,
) -> dict[str, Any]:
    """Ask the application API of the first shard as the operator, for a tenant.

    :param whole: the answer is no JSON, and comes as ``content``.
    :raise CommandError: if it does not answer, or refuses.
    """
    shard, control = sockets(state)[0]
    socket = control.with_name(f"api-{shard}.sock")
    headers = {"mta-tenant": tenant, "mta-operator": user()}
    return _ask(shard, socket, state, method, path, body, headers, whole)


def send_api(state: Path, tenant: str, path: str, content: Iterable[bytes]) -> dict[str, Any]:
    """Send a file to the application API of the first shard, piece by piece; see :func:`ask_api`."""
    with _api(state, tenant, "POST", path, content) as answer:
        answer.read()
        return _answered(answer, {})


def stream_api(state: Path, tenant: str, path: str) -> Iterator[bytes]:
    """What the application API of the first shard answers, piece by piece; see :func:`ask_api`."""
    with _api(state, tenant, "GET", path) as answer:
        if not answer.is_success:
            answer.read()
            _answered(answer, {})
        yield from answer.iter_bytes()


@contextmanager
def _api(
    state: Path, tenant: str, method: str, path: str, content: Iterable[bytes] | None = None
) -> Iterator[httpx.Response]:
    shard, control = sockets(state)[0]
    socket = control.with_name(f"api-{shard}.sock")
    headers = {"mta-tenant": tenant, "mta-operator": user(), "content-type": "application/octet-stream"}
    try:
        with (
            httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=TIMEOUT) as client,
            client.stream(method, f"http://mta{path}", content=content, headers=headers) as answer,
        ):
            yield answer
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        if not os.access(socket, os.R_OK | os.W_OK):
            raise CommandError(forbidden(socket), os.EX_NOPERM) from None
        raise CommandError(f"{_not_running(state)}: {error}") from None
    except httpx.TransportError as error:
        raise CommandError(f"shard {shard} broke off: {error}", os.EX_TEMPFAIL) from None


def _ask(
    shard: int,
    socket: Path,
    state: Path,
    method: str,
    path: str,
    body: dict[str, Any] | list[Any] | None,
    headers: dict[str, str] | None = None,
    whole: bool = False,
) -> dict[str, Any]:
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=TIMEOUT) as client:
            content = None if method == "GET" else body or {}
            answer = client.request(method, f"http://mta{path}", json=content, headers=headers)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        if not os.access(socket, os.R_OK | os.W_OK):
            raise CommandError(forbidden(socket), os.EX_NOPERM) from None
        raise CommandError(f"{_not_running(state)}: {error}") from None
    except httpx.TimeoutException:
        raise CommandError(
            f"shard {shard} did not answer within {TIMEOUT:.0f} s; what was asked may still be carried out",
            os.EX_TEMPFAIL,
        ) from None
    except httpx.TransportError as error:
        raise CommandError(f"shard {shard} broke off: {error}", os.EX_TEMPFAIL) from None
    if answer.is_success and (whole or not answer.content):
        return {"content": answer.content.decode("utf-8", "surrogateescape")} if whole else {}
    return _answered(answer, headers)


def _answered(answer: httpx.Response, headers: dict[str, str] | None) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        content = {}
    if answer.is_success and isinstance(content, dict):
        return content
    raise CommandError(_told(content, answer.status_code), _api_status(answer.status_code, headers))


def _told(content: Any, status: int) -> str:
    if not isinstance(content, dict):
        content = {}
    errors = content.get("errors")
    if isinstance(errors, list) and errors and "detail" in content:
        said = content["detail"]
        # What the summary says already is not said twice.
        lines = [
            _place(one)
            for one in errors[:20]
            if isinstance(one, dict) and str(one.get("detail", "")) not in said
        ]
        if lines:
            content = {**content, "detail": "\n".join([content["detail"], *lines])}
    title = content.get("title", f"the server answered {status}")
    detail = content.get("detail", "")
    joint = ":\n" if "\n" in detail else ": "
    return f"{title}{joint}{detail}" if detail else title


def _api_status(status: int, headers: dict[str, str] | None) -> int:
    # Of the control API 422 says that the configuration is wrong.
    return os.EX_DATAERR if status == 422 and headers is not None else problem_status(status)


def problem_status(status: int) -> int:
    """The exit status for one of HTTP that is an error."""
    if status == 422:
        return os.EX_CONFIG
    if status == 503:
        return os.EX_TEMPFAIL
    return os.EX_USAGE if status < 500 else os.EX_SOFTWARE


def _place(error: dict[str, Any]) -> str:
    """One error of a request, with where it stands."""
    where = str(error.get("pointer") or error.get("parameter") or error.get("header") or "")
    detail = str(error.get("detail", ""))
    return f"{where}: {detail}" if where else detail


def user() -> str:
    """Who acts, for the journal; with sudo the person behind it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    behind = os.environ.get("SUDO_USER", "")
    return f"{behind} as {name}" if behind and behind != name else name
