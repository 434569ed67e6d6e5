"""Asks the workers of this server for their numbers, each over its UNIX socket.  Everything blocks."""

from __future__ import annotations

import json
import re
import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

#: Seconds that one worker may take.
PATIENCE = 2.0
#: What each answers with.
PATH = "/metrics/worker"
_NAME = re.compile(r"api-(\d+)\.sock")


class _Connection(HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._path)


def samples(run: Path, ours: int) -> dict[str, list[dict[str, Any]]]:
    """What the others count; a worker that does not answer is left out.

    :param run: where the sockets are.
    :param ours: the number of the worker that need not be asked.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(run.glob("api-*.sock")):
        name = _NAME.fullmatch(path.name)
        if name is None or int(name[1]) == ours:
            continue
        connection = _Connection(path)
        try:
            connection.request("GET", PATH)
            answer = connection.getresponse()
            if answer.status == 200:
                found[name[1]] = json.loads(answer.read())
        except (OSError, HTTPException, ValueError):
            continue  # It has just gone, or has not come yet.
        finally:
            connection.close()
    return found
