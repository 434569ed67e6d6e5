"""What twistd starts: one worker, or with ``workers = N`` a supervisor that starts N of them.

A worker is put together by :class:`~mta.server.Server`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from twisted.application.service import IService, MultiService

from mta.config.loading import Loaded
from mta.config.problem import ConfigurationError
from mta.environment import endpoints
from mta.examination import problems_of
from mta.first_run import announcement, first_account
from mta.hangup import Hangup
from mta.identity.passwd import add_user
from mta.listener import Listener
from mta.server import Server
from mta.shards import workers_needed
from mta.state_directory import check_owner, own, prepare
from mta.supervisor import Leash, Supervisor


def make(
    loaded: Loaded,
    checkers: Sequence[Any] = (),
    worker: int | None = None,
    inherit: Sequence[tuple[str, str, int]] = (),
    arguments: Sequence[str] = (),
    relay_log: bool = True,
    owner: tuple[int, int] | None = None,
) -> IService:
    """The service for twistd.

    :param loaded: the configuration.
    :param checkers: further credentials checkers, of ``--auth``.
    :param worker: which worker this process is, when a supervisor started it.
    :param inherit: (role, endpoint, descriptor) of each socket to adopt.
    :param arguments: what a supervisor gives to its workers.
    :param relay_log: whether it writes their log into its own, instead of leaving them its output.
    :param owner: user and group that twistd changes to; owns what is made here.
    :raise ConfigurationError: with everything that is wrong.
    """
    from twisted.internet import reactor

    # Until there is something to reload, a reload must not end us, as the default would, nor be forgotten.
    hangup = Hangup()
    hangup.listen()
    password = None
    if worker is None:
        prepare(loaded)
        if loaded.embedded:
            password = first_account(loaded.state / "users", add_user)
            if password:
                # twistd turns sys.stdout into log lines, or closes it behind a daemon.
                print(announcement(password), file=sys.__stdout__, flush=True)
        own(loaded.state, owner)
        check_owner(loaded, os.geteuid() if owner is None else owner[0])
    workers = 1 if worker is not None else workers_needed(loaded)
    if workers == 1:
        server = Server(reactor, loaded, checkers, worker or 0, inherit, password, hangup)
        own(loaded.state, owner)
        if worker is None:
            return server.service
        both = MultiService()
        server.service.setServiceParent(both)  # type: ignore[no-untyped-call]
        Leash(reactor).setServiceParent(both)  # type: ignore[no-untyped-call]
        return both
    # Found here, while a person looks, and not by each worker.
    problems = [problem for problem in problems_of(loaded, checkers) if problem.severity == "error"]
    if problems:
        raise ConfigurationError(problems)
    listeners = [Listener(reactor, role, description) for role, description in endpoints(loaded)]
    return Supervisor(reactor, workers, listeners, arguments, relay_log)
