"""Signs what is posted to an application, as Standard Webhooks has it; pure.

The header ``webhook-signature`` holds ``v1,`` and the base64 of HMAC-SHA256 over
``id.timestamp.body``, once for each secret, separated by spaces: while a secret is
exchanged for another, both sides go on.  A secret is base64 behind ``whsec_``.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable

#: What a secret begins with, so that it is known for one wherever it turns up.
PREFIX = "whsec_"
#: Octets of a secret: fewer can be guessed (Standard Webhooks asks for 24 to 64).
SHORTEST, LONGEST = 24, 64


def parse_secrets(text: str) -> tuple[bytes, ...]:
    """The secrets of a file, one a line; ``#`` begins a comment.

    :raise ValueError: in words that tell nothing of a secret.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        try:
            secret = b64decode(word.removeprefix(PREFIX), validate=True)
        except ValueError:
            raise ValueError(f"line {number} is not base64 behind {PREFIX}") from None
        if not SHORTEST <= len(secret) <= LONGEST:
            raise ValueError(
                f"the secret in line {number} has {len(secret)} octets; it has {SHORTEST} to {LONGEST}: "
                f'`echo "{PREFIX}$(openssl rand -base64 32)"` makes one'
            )
        found.append(secret)
    if not found:
        raise ValueError("there is no secret in it")
    return tuple(found)


def signature(secrets: Iterable[bytes], identity: str, timestamp: int, blocks: Iterable[bytes]) -> str:
    """The value of ``webhook-signature``.

    :param identity: the value of ``webhook-id``.
    :param timestamp: that of ``webhook-timestamp``, seconds since 1970.
    :param blocks: the body; read once.
    """
    start = f"{identity}.{timestamp}.".encode()
    digests = [hmac.new(secret, start, "sha256") for secret in secrets]
    for block in blocks:
        for digest in digests:
            digest.update(block)
    return " ".join(f"v1,{b64encode(digest.digest()).decode()}" for digest in digests)
