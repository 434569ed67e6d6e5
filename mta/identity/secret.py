"""The secret by which unknown accounts look like known ones, kept in the state directory."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

_NAME = "identity.secret"
_SIZE = 32


def load_secret(state: str | Path) -> bytes:
    """Read the secret, or make it the first time.  Blocks: call it at start-up.

    Two workers that start at once agree: the file appears whole, under a link
    that only one of them can make.

    :param state: the state directory; it exists.
    :raise OSError: if it can be neither read nor written.
    """
    path = Path(state) / _NAME
    try:
        return _checked(path)
    except FileNotFoundError:
        pass
    draft = path.with_name(f"{_NAME}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    # EXCL: root may do this in a directory of the server's user, where a link may lie in wait.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SIZE))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return _checked(path)


def read_secret(state: str | Path) -> bytes:
    """Read the secret, and make none.

    :param state: the state directory.
    :raise OSError: if it is not there, or cannot be read.
    """
    return _checked(Path(state) / _NAME)


def _checked(path: Path) -> bytes:
    secret = path.read_bytes()
    if len(secret) != _SIZE:
        raise OSError(f"{path} is damaged: it has {len(secret)} octets, not {_SIZE}; remove it")
    return secret
