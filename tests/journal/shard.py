"""A shard's database, written as the spool writes it, without a spool."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Event
from mta.model.event_rows import BUCKET_BITS, event_keys, event_row
from mta.model.ids import IdSource
from mta.model.message import Addressee, InlineContent, Message
from mta.queue.rows import ADDRESSEE_COLUMNS, MESSAGE_COLUMNS, addressee_row, message_row
from mta.queue.schema import open_writer

#: 2026-01-15, noon in UTC.
NOON = 1_768_478_400.0


class Shard:
    """One shard.

    :param directory: made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "queue.db"
        self.base = open_writer(self.path)

    def close(self) -> None:
        self.base.close()

    def write(self, events: Iterable[Event], indexed: bool = True, first: int | None = None) -> None:
        """Append events; with ``indexed`` their keys too.

        :param first: the number of the first one, to leave a gap.
        """
        (last,) = self.base.execute("SELECT events FROM counters").fetchone()
        number = last if first is None else first - 1
        self.base.execute("BEGIN")
        for event in events:
            number += 1
            self.base.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", (number, *event_row(event)))
            if indexed:
                for key in event_keys(event):
                    self.base.execute(
                        "INSERT INTO event_keys VALUES (?, ?, ?)", (number >> BUCKET_BITS, key, number)
                    )
        self.base.execute("UPDATE counters SET events = ?", (number,))
        if indexed:
            self.base.execute("UPDATE counters SET indexed = ?", (number,))
        self.base.execute("COMMIT")

    def admit(self, message: Message) -> None:
        """Put a message into the queue."""
        self.base.execute("BEGIN")
        row = message_row(message)
        marks = ", ".join("?" * len(row))
        self.base.execute(f"INSERT INTO messages ({MESSAGE_COLUMNS}) VALUES ({marks})", row)
        for addressee in message.addressees:
            row = addressee_row(message_number(message), addressee)
            marks = ", ".join("?" * len(row))
            self.base.execute(f"INSERT INTO addressees ({ADDRESSEE_COLUMNS}) VALUES ({marks})", row)
        self.base.execute(
            "UPDATE counters SET messages = messages + 1, addressees = addressees + ?, octets = octets + ?",
            (len(message.addressees), message.size),
        )
        self.base.execute("COMMIT")


def message_number(message: Message) -> int:
    from mta.model.ids import decode_id

    return decode_id(message.id)


def ids(count: int, at: float = NOON, shard: int = 0) -> list[str]:
    """Queue ids."""
    source = IdSource(shard)
    return [source.next(at) for _ in range(count)]


def queued(
    identifier: str,
    sender: str = "ann@example.org",
    recipient: str = "bob@example.net",
    state: str = "queued",
    attempts: int = 0,
    last_reply: str = "",
    created: float = NOON,
) -> Message:
    """A message in the queue."""
    return Message(
        id=identifier,
        envelope=Envelope(sender, [Recipient(recipient)]),
        client=Client("s1", "submission", "192.0.2.1", helo="laptop", protocol="ESMTPSA"),
        trace=b"Received: by mx\r\n",
        content=InlineContent(b"Subject: Hi\r\n\r\nHello \x1b[31m\r\n"),
        addressees=[
            Addressee(
                0,
                recipient,
                recipient,
                "relay",
                recipient.partition("@")[2],
                attempts=attempts,
                due=created + 60,
                state=state,
                last_reply=last_reply,
            )
        ],
        created=created,
        expires=created + 5 * 86400,
    )
