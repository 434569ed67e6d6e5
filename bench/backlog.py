"""Fills a shard with deferred messages: ``python -m bench.backlog DIRECTORY COUNT``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Received
from mta.model.message import Addressee, InlineContent, Message
from mta.queue.spool import Spool

#: Messages that wait for the disk at the same time.
TOGETHER = 2000
CONTENT = InlineContent(b"Subject: backlog\r\n\r\n" + (b"x" * 76 + b"\r\n") * 10)


def message(identifier: str, number: int, now: float) -> Message:
    """One that was tried already, and is due in an hour or more."""
    to = f"far{number}@remote{number % 1000}.test"
    session = f"s{number}"
    return Message(
        id=identifier,
        envelope=Envelope("backlog@client.test", [Recipient(to)]),
        client=Client(session, "mx", "127.0.0.1", helo="client.test"),
        trace=b"Received: from client.test by mx.example.org; today\r\n",
        content=CONTENT,
        addressees=[
            Addressee(
                0,
                to,
                to,
                "relay",
                to.partition("@")[2],
                attempts=3,
                due=now + 3600 + number % 7200,
                last_reply="451 4.4.1 No mail server answers",
            )
        ],
        created=now - 3600,
        expires=now + 432000,
    )


async def fill(reactor: Any, directory: Path, count: int) -> None:
    """Put so many into the shard in a directory."""
    spool = Spool(directory, reactor, shard=0)
    await spool.start()
    now = time.time()
    for start in range(0, count, TOGETHER):
        waiting = []
        for number in range(start, min(start + TOGETHER, count)):
            made = message(spool.new_id(), number, now)
            event = Received(
                at=made.created,
                message=made.id,
                session=made.client.session,
                sender=made.envelope.reverse_path,
                recipients=[made.addressees[0].address],
                size=made.size,
            )
            admitted: Any = spool.admit(made, [event])
            waiting.append(admitted if isinstance(admitted, Deferred) else Deferred.fromCoroutine(admitted))
        await gatherResults(waiting)
    await spool.stop()


def main(reactor: Any, directory: str, count: str) -> Deferred[None]:
    """For :func:`twisted.internet.task.react`."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    return Deferred.fromCoroutine(fill(reactor, Path(directory), int(count)))


if __name__ == "__main__":
    react(main, sys.argv[1:])
