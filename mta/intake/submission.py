"""What a submitted message lacks and we add (RFC 6409, 8)."""

from __future__ import annotations

from mta.model.header import has_field


def missing_fields(header: bytes, queue_id: str, hostname: str, date: str, sender: str) -> bytes:
    """The fields that a client should have sent: Date, Message-ID and, lacking both, From.

    :param header: the header section as sent.
    :param queue_id: makes the Message-ID unique.
    :param hostname: stands on its right.
    :param date: now, as RFC 5322 writes it.
    :param sender: the reverse-path; ``""`` for none.
    :return: whole fields, each ended by CRLF; ``b""`` if nothing is missing.
    """
    fields = b""
    if not has_field(header, b"date"):
        fields += f"Date: {date}\r\n".encode()
    if not has_field(header, b"message-id"):
        fields += f"Message-ID: <{queue_id}@{hostname}>\r\n".encode()
    if sender and not has_field(header, b"from"):
        fields += f"From: <{sender}>\r\n".encode()
    return fields
