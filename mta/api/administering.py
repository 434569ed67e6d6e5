"""What ``mta tenant`` and ``mta key`` ask through the control socket."""

from __future__ import annotations

from typing import Any

from mta.api.bodies import Administer, read_body
from mta.api.problem import ApiProblem
from mta.registry.administration import Administration


async def administered(
    administration: Administration, action: str, content: bytes, who: str
) -> dict[str, Any]:
    """Do something with tenants, domains and keys.

    :param action: such as ``key-create``.
    :param content: the request's body.
    :param who: the user at the other end.
    :raise ApiProblem: if it cannot be done.
    """
    asked = read_body(Administer, content)
    by = who if asked.by in ("", who) else f"{asked.by} ({who})"
    try:
        return await administration.act(action, {**(asked.model_extra or {}), "by": by})
    except KeyError:
        raise ApiProblem(404, "No such act", f"{action} is nothing that is done here") from None
    except ValueError as error:
        raise ApiProblem(400, "This was not done", str(error)) from None
