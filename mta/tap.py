"""What ``twistd mta`` takes on its command line, and the service it starts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.strcred import AuthOptionMixin
from twisted.python import usage


class Options(usage.Options, AuthOptionMixin):
    """Options of ``twistd mta``."""

    supportedInterfaces = (IUsernamePassword,)
    synopsis = "twistd [options] mta [--config FILE] [--auth METHOD[:ARGUMENTS]]..."
    longdesc = (
        "A mail transfer agent. Without --config and without an mta.toml here or in /etc/mta, it runs "
        "as an embedded server on loopback ports with its state in ./var."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        ["config", "c", None, "The configuration file (default: mta.toml here, or /etc/mta/mta.toml)."],
        ["state", None, None, "The state directory, instead of the configuration's."],
        ["worker", None, None, "For the supervisor's use: run as this worker."],
        ["inherit", None, None, "For the supervisor's use: sockets to adopt."],
    ]

    def postOptions(self) -> None:
        """Make the paths absolute while we still know where we are.

        :raise usage.UsageError: for a file that is not there.
        """
        if self["config"] is not None:
            path = Path(self["config"]).resolve()
            if not path.is_file():
                raise usage.UsageError(f"--config {path}: there is no such file; `mta init` writes one")
            self["config"] = str(path)
        if self["state"] is not None:
            self["state"] = os.path.abspath(self["state"])
        if self["worker"] is not None:
            try:
                self["worker"] = int(self["worker"])
                self["inherit"] = json.loads(self["inherit"] or "[]")
            except ValueError:
                raise usage.UsageError("--worker and --inherit are for the supervisor's use") from None


def makeService(options: Options) -> IService:
    """The service for twistd.

    :raise usage.UsageError: if the configuration has errors; the text lists all of them.
    """
    # Imported here, so that `twistd --help` stays quick.
    from mta.service import ConfigurationError, make

    checkers: list[Any] = list(options.get("credCheckers") or [])
    try:
        service: IService = make(
            config=Path(options["config"]) if options["config"] else None,
            state=options["state"],
            checkers=checkers,
            worker=options["worker"],
            inherit=options["inherit"],
        )
    except ConfigurationError as error:
        raise usage.UsageError(str(error)) from None
    return service
