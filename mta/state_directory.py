"""The state directory before the server runs: it is there, and belongs to whom the server runs as."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from twisted.logger import Logger

from mta.config.loading import Loaded
from mta.config.problem import ConfigurationError, Problem
from mta.ownership import foreign, give_away

_log = Logger()


def prepare(loaded: Loaded) -> None:
    """Make the state directory.

    :raise ConfigurationError: if it cannot be made or written.
    """
    try:
        for directory in (loaded.state, loaded.state / "run", loaded.state / "spool"):
            if not directory.is_dir():
                # Others may pass through to the socket that takes their mail, but see nothing.
                directory.mkdir(parents=True)
                # Whatever the process's umask is.
                directory.chmod(0o711)
        if not os.access(loaded.state, os.W_OK):
            raise PermissionError(13, "not writable")
    except OSError as error:
        line = loaded.locations.line(("state",))
        what = f"{loaded.state} cannot be used: {error.strerror}"
        remedy = "make it writable for the server's user, or set another directory"
        raise ConfigurationError([Problem(loaded.file, line, "state", what, remedy)]) from None


def own(state: Path, owner: tuple[int, int] | None) -> None:
    """Give what was made here as root to the user that the server will run as."""
    if owner is not None and os.geteuid() == 0:
        give_away(state, owner)


def check_owner(loaded: Loaded, user: int) -> None:
    """Warn of a server that stays root, and find what an earlier one has left that did.

    :raise ConfigurationError: if there is any.
    """
    if user == 0:
        if not loaded.embedded:
            _log.warn(
                "The server runs as root, and so does whoever breaks into it: "
                "start it with twistd's --uid and --gid, or as a user of its own"
            )
        return
    path = foreign(loaded.state, user)
    if path is None:
        return
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    what = f"{path} is not for {name}, whom the server runs as; one that ran as somebody else has made it"
    remedy = f"`chown -R {name}: {loaded.state}`, as root, gives it all to {name}"
    raise ConfigurationError([loaded.problem(("state",), what, remedy)])
