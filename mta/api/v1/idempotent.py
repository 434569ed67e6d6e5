"""``Idempotency-Key``: what a request was answered before, it is answered again."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence

from pydantic import BaseModel

from mta.api.problem import ApiProblem
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Response
from mta.registry.idempotency import Answered, Busy, Idempotency, Mismatch

#: The header field, and what it is for.
HEADER = {
    "Idempotency-Key": "of the application's choice: the same request with the same key is carried out once"
}
#: What routes with it may answer besides.
REFUSALS = ("idempotency-busy", "idempotency-mismatch")


def key_of(call: Call) -> str:
    """The key of a request; ``""``: it has none.

    :raise Refusal: if it is none.
    """
    if call.once:
        return call.once
    text = call.header("idempotency-key").strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        # The draft has it as a string of structured fields (RFC 8941); most clients leave the quotes out.
        text = text[1:-1]
    if len(text) > 255 or not text.isprintable():
        detail = "it has at most 255 printable characters"
        error = {"header": "Idempotency-Key", "detail": detail}
        raise Refusal("invalid", f"Idempotency-Key: {detail}", [error])
    return text


async def once(
    store: Idempotency,
    call: Call,
    ids: Sequence[str],
    act: Callable[[], Awaitable[tuple[int, BaseModel]]],
    again: Callable[[Sequence[str]], Awaitable[tuple[int, BaseModel] | None]],
) -> Response:
    """Carry a request out, once for its key.

    :param ids: queue ids that it will use.
    :param act: does it; answers with status and model.
    :param again: what was done by an attempt that was broken off, by its queue ids; ``None``: nothing.
    """
    key = key_of(call)
    if not key:
        status, model = await act()
        return Response(model, status)
    name = call.tenant.name
    fingerprint = hashlib.sha256(b"\0".join((call.request.method, call.request.uri, call.content))).digest()
    try:
        begun = await store.begin(name, key, fingerprint, ids, call.now)
    except Busy:
        raise Refusal("idempotency-busy", headers={"retry-after": "1"}) from None
    except Mismatch:
        raise Refusal("idempotency-mismatch") from None
    if isinstance(begun, Answered):
        return Response(begun.answer, begun.status, {"idempotent-replayed": "true"})
    try:
        done = await again(begun.before) if begun.before else None
        status, model = done or await act()
    except ApiProblem:
        # Nothing was done.
        await store.forget(name, key)
        raise
    except BaseException:
        await store.leave(name, key)
        raise
    answer = type(model).__pydantic_serializer__.to_json(model) + b"\n"
    # What is answered now would be found out again from the journal: nobody waits for this.
    store.keep_soon(name, key, status, answer)
    return Response(answer, status)
