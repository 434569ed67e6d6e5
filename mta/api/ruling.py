"""What ``mta rules`` asks through the control socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mta.api.bodies import Rules, read_body
from mta.api.problem import ApiProblem
from mta.config.problem import ConfigurationError
from mta.rules.desk import Desk, NoMailbox, NoRules


async def changed(desk: Desk, content: bytes, who: Callable[[str], str]) -> dict[str, Any]:
    """Give a mailbox other rules.

    :param content: the request's body.
    :param who: who is at the other end, by what they call themselves.
    :return: with ``missing``, if there is no such mailbox: why.
    :raise ApiProblem: if it cannot be done.
    :raise TemporarilyUnavailable: if they cannot be written.
    """
    asked = read_body(Rules, content)
    try:
        await desk.put(asked.address.lower(), asked.toml, who(asked.by))
    except NoMailbox as error:
        return {"missing": str(error)}
    except ConfigurationError as error:
        raise ApiProblem(422, "There are mistakes in the rules", str(error)) from None
    except NoRules as error:
        raise ApiProblem(409, "This cannot be done now", f"{error}; move away what is in its place") from None
    return {"ok": True}
