"""The mail of one account that waits in a shard: found, and held."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from mta.queue.reader import QueueReader

#: Messages that are read, and held, at once.
_PAGE = 500


class Hold(Protocol):
    """See :meth:`mta.interfaces.IQueue.hold`."""

    def __call__(self, ids: Sequence[str], by: str, reason: str = "") -> Awaitable[int]:
        """Hold them."""


async def hold_mail_of(
    account: str,
    directory: Path,
    hold: Hold,
    run_in_thread: Callable[..., Awaitable[Any]],
    by: str,
    reason: str,
) -> int:
    """Keep what an account has sent, and what is not delivered yet, until a person has looked.

    :param account: in lower case.
    :param directory: of the shard.
    :return: how many messages were held.
    :raise TemporarilyUnavailable: if the queue cannot be read.
    """
    found: list[str] = await run_in_thread(ids_of, account, directory)
    count = 0
    for start in range(0, len(found), _PAGE):
        count += await hold(found[start : start + _PAGE], by, reason)
    return count


def ids_of(account: str, directory: Path) -> list[str]:
    """The messages of an account that wait to be delivered; blocks."""
    ids: list[str] = []
    after = ""
    with QueueReader(directory) as reader:
        while True:
            page = reader.page(after, _PAGE, state="queued")
            ids += [message.id for message in page if message.client.account.lower() == account]
            if len(page) < _PAGE:
                return ids
            after = page[-1].id
