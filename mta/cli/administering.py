"""Asks the server to change tenants and keys; without one, changes them itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mta.cli.context import CommandError, Context, forbidden


def administer(context: Context, action: str, request: dict[str, Any]) -> dict[str, Any]:
    """Do something (see ``mta.registry.administration``).

    :raise CommandError: with what is wrong.
    """
    from mta.cli.control import ask_one, user

    asked = {**request, "by": user()}
    try:
        return ask_one(context.state, "POST", f"/v1/registry/{action}", asked)
    except CommandError as error:
        if error.status != os.EX_UNAVAILABLE:
            raise
    state = context.state
    owned(state)
    domains = [name.lower() for name in context.load().settings.domains]
    try:
        return context.seams.administer(state, domains, action, asked)
    except ValueError as error:
        raise CommandError(str(error), os.EX_USAGE) from None


def owned(state: Path) -> None:
    """See that a state directory is there, and that what is made there is the server's.

    :raise CommandError: if it is not.
    """
    if not state.is_dir():
        raise CommandError(f"{state}: there is no state directory; start the server once", os.EX_NOINPUT)
    owner = state.stat().st_uid
    if owner != os.geteuid():
        # What another user made here, the server could not write.
        raise CommandError(forbidden(state), os.EX_NOPERM)
