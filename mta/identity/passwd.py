"""Editing a passwd-file for ``mta user``: comments stay, the file changes as a whole."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from mta.identity.entry import parse_passwd
from mta.identity.schemes import hash_password


def names(text: str) -> list[str]:
    """The accounts of a file, in order."""
    return [_name(line) for line in text.splitlines() if _name(line)]


def _name(line: str) -> str:
    name, colon, _ = line.strip().partition(":")
    return name if colon and not name.startswith("#") else ""


def added(text: str, name: str, stored: str) -> str:
    """The text with one more account.

    :raise ValueError: if it exists, or cannot stand in a file.
    """
    if name.lower() in map(str.lower, names(text)):
        raise ValueError(f"{name} exists already")
    if not name or ":" in name or not name.isprintable() or name.startswith("#"):
        raise ValueError(f"{name!r} cannot be the name of an account")
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{name}:{stored}\n"


def changed(text: str, name: str, stored: str | None) -> str:
    """The text with another password, or for ``None`` without the account.

    :raise ValueError: if there is no such account.
    """
    lines, found = [], False
    for line in text.splitlines(keepends=True):
        if _name(line).lower() != name.lower():
            lines.append(line)
            continue
        found = True
        if stored is not None:
            parts = line.rstrip("\r\n").split(":", 7)
            # Keys of the old password must not stay valid.
            rest = [" ".join(word for word in part.split() if word[:6] != "scram=") for part in parts[7:]]
            lines.append(":".join([parts[0], stored, *parts[2:7], *rest]) + "\n")
    if not found:
        raise ValueError(f"there is no account {name}")
    return "".join(lines)


def edit(path: Path, change: Callable[[str], str]) -> None:
    """Change a file under a lock, replacing it atomically, mode 0600, same owner.

    :raise ValueError: from ``change``, or if the result has errors; nothing is written.
    :raise OSError: if it cannot be read or written.
    """
    with open(f"{path}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        text = change(path.read_text("utf-8") if path.exists() else "")
        parse_passwd(text, str(path))
        draft = path.with_name(f"{path.name}.new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            if path.exists() and os.geteuid() == 0:
                # By its descriptor: the directory may be another's, who could put a link there.
                os.fchown(file.fileno(), path.stat().st_uid, path.stat().st_gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def add_user(path: Path, name: str, password: str) -> None:
    """Add an account with an argon2id hash; raises as :func:`edit`."""
    stored = hash_password(password)
    edit(path, lambda text: added(text, name, stored))


def set_password(path: Path, name: str, password: str) -> None:
    """Give an account another password; raises as :func:`edit`."""
    stored = hash_password(password)
    edit(path, lambda text: changed(text, name, stored))


def remove_user(path: Path, name: str) -> None:
    """Remove an account; raises as :func:`edit`."""
    edit(path, lambda text: changed(text, name, None))
