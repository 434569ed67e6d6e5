"""The keys that sign bounce addresses, and how they change.

A file has one key a line, as that of postsrsd: the first signs, any of them verifies.  To
change keys, put a new line on top; take the old one away once no address that it signed counts
any more.  Behind them stands a key that is derived from the server's own secret, so that a
server without a file has one, and one that is given a file loses no bounce.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from pathlib import Path

#: A shorter one is guessed sooner than a signature.
_SHORTEST = 16


def derived_key(secret: bytes) -> bytes:
    """The key of a server without a file.

    :param secret: of the server; all its workers have the same.
    """
    return hmac.new(secret, b"feedback", sha256).digest()


def read_keys(path: str | Path) -> list[bytes]:
    """The keys of a file.  Empty lines, and those that begin with ``#``, are passed over.

    :raise ValueError: with a text for the operator.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None
    keys = [line.strip().encode() for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise ValueError(f"{path} has no key; `openssl rand -base64 24` makes one")
    if min(map(len, keys)) < _SHORTEST:
        raise ValueError(f"{path} has a key of less than {_SHORTEST} characters")
    return keys
