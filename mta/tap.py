"""What ``twistd mta`` takes on its command line, and the service it starts."""

from __future__ import annotations

import json
import os
import pwd
import sys
from pathlib import Path
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.cred.credentials import IUsernamePassword
from twisted.python import usage
from twisted.python.logfile import LogFile

from mta.config.settings import Log
from mta.identity.strcred_factories import AuthOptions


class Options(usage.Options, AuthOptions):
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

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        #: How the log is written; known once the configuration is read.
        self.log = Log()
        self._descriptions: list[str] = []

    def opt_auth(self, description: str) -> None:
        """Add a checker: file:PATH, ldap:URI, or any of --help-auth."""
        super().opt_auth(description)
        self._descriptions.append(description)

    def parseArgs(self, *words: str) -> None:
        """Nothing but options.

        :raise usage.UsageError: for a word that stands alone.
        """
        if words:
            raise usage.UsageError(
                f"{words[0]!r} is no option; the configuration is named with --config FILE"
            )

    def postOptions(self) -> None:
        """Make the paths absolute while we still know where we are.

        :raise usage.UsageError: for a file that is not there.
        """
        if self["config"] is not None:
            path = Path(self["config"]).resolve()
            if path.is_dir():
                raise usage.UsageError(f"--config {path}: this is a directory; name the file in it")
            if not path.is_file():
                raise usage.UsageError(f"--config {path}: there is no such file; `mta init` writes one")
            self["config"] = str(path)
        if self["state"] is not None:
            self["state"] = os.path.abspath(self["state"])
        if self["worker"] is not None:
            try:
                self["worker"] = int(self["worker"])
                self["inherit"] = [tuple(item) for item in json.loads(self["inherit"] or "[]")]
            except (TypeError, ValueError):
                raise usage.UsageError("--worker and --inherit are for the supervisor's use") from None
        parent: Any = self.parent
        if parent is not None and not parent.get("logger") and not parent.get("syslog"):
            # twistd makes the observer after the configuration was read, which is when its
            # format is known; but its own postOptions, still to come, takes only a dotted name.
            finish = parent.postOptions

            def finish_and_choose() -> None:
                finish()
                parent["logger"] = self._observer

            parent.postOptions = finish_and_choose

    def worker_arguments(self) -> list[str]:
        """What a supervisor gives on to its workers."""
        arguments = []
        for name in ("config", "state"):
            if self[name] is not None:
                arguments += [f"--{name}", self[name]]
        for description in self._descriptions:
            arguments += ["--auth", description]
        return arguments

    def owner(self) -> tuple[int, int] | None:
        """User and group that twistd changes to, if it does."""
        parent: Any = self.parent
        uid = parent.get("uid") if parent is not None else None
        if uid is None:
            return None
        gid = parent.get("gid")
        return uid, pwd.getpwuid(uid).pw_gid if gid is None else gid

    def logs_to_output(self) -> bool:
        """Whether the log goes to standard output, as twistd decides it."""
        parent: Any = self.parent
        if parent is None or parent.get("syslog"):
            return False
        name = parent.get("logfile")
        return name == "-" or bool(parent.get("nodaemon") and not name)

    def _observer(self) -> Any:
        from mta.journal.log_setup import make_observer

        parent: Any = self.parent
        stream: Any
        if self.logs_to_output():
            stream = sys.__stdout__
        else:
            stream = LogFile.fromFullPath(parent.get("logfile") or "twistd.log")
        return make_observer(self.log.format, self.log.level, stream)


def makeService(options: Options) -> IService:
    """The service for twistd.

    :raise SystemExit: if the configuration has errors, after all of them are on standard error;
        a ``UsageError`` is too late here, twistd would show where in Python it comes from.
    """
    # Imported here, so that `twistd --help` stays quick.
    from mta.config.loading import load
    from mta.config.problem import ConfigurationError
    from mta.hardening import harden
    from mta.service import make

    if options.parent is not None:
        # Of the process that is to be the server, and of no other that uses this.
        harden()

    if options["worker"] is not None:
        # A terminal's Ctrl-C is for the supervisor, which then stops us; twice would be an error.
        os.setpgid(0, 0)
    checkers: list[Any] = list(options.get("credCheckers") or [])
    try:
        loaded = load(Path(options["config"]) if options["config"] else None, options["state"])
        options.log = loaded.settings.log
        return make(
            loaded,
            checkers,
            worker=options["worker"],
            inherit=options["inherit"] or (),
            arguments=options.worker_arguments(),
            relay_log=not options.logs_to_output(),
            owner=options.owner(),
        )
    except ConfigurationError as error:
        print(f"mta: the configuration has errors:\n{error}", file=sys.stderr)
        raise SystemExit(os.EX_CONFIG) from None
