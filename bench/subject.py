"""A server that is measured, as a workload sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

#: Mail for ``u0`` to ``u99`` at this domain is delivered to Maildirs; all else is relayed.
DOMAIN = "local.test"
BOXES = 100


class Subject(Protocol):
    """It runs already.

    :ivar name: for the table.
    :ivar port: takes mail, on loopback.
    :ivar pid: of the process from which all of its others descend.
    :ivar mail: the directory that holds its Maildirs, at any depth.
    :ivar idle: connections that it is asked to hold.
    """

    name: str
    idle: int

    @property
    def port(self) -> int:
        """See above."""

    @property
    def pid(self) -> int:
        """See above."""

    @property
    def mail(self) -> Path:
        """See above."""

    def stop(self) -> object:
        """Stop it."""
