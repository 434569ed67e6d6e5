"""A network of its own, with nothing but loopback: servers have their usual ports there, and meet nobody."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.scenario import program


@contextmanager
def inside(pid: int) -> Iterator[None]:
    """What this thread opens meanwhile, it opens in the network of a process; it stays there.

    :raise OSError: if the kernel refuses.
    """
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        _enter(other)
        try:
            yield
        finally:
            _enter(own)
    finally:
        os.close(own)
        os.close(other)


def _enter(descriptor: int) -> None:
    # Python has os.setns from 3.12 on.
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def entering(pid: int, path: str, file: Path) -> str:
    """Write a program that runs another one in the network of a process.

    :param path: of the other.
    :param file: where it is written.
    """
    file.write_text(f'#!/bin/sh\nexec {program("nsenter")} --net --target {pid} {path} "$@"\n')
    file.chmod(0o755)
    return str(file)
