"""Commands about folders (RFC 3501, 6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.imap import folder_name, selecting
from mta.imap.list_pattern import matches
from mta.imap.refusal import Bad
from mta.imap.status import ITEMS, status
from mta.mailbox import names

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol


async def list_folders(session: ImapProtocol, reference: bytes, pattern: bytes, command: str) -> bytes:
    """LIST and LSUB."""
    if not pattern:
        session.say(f'* {command} (\\Noselect) "." ""'.encode())
        return b"dots part levels"
    wanted = folder_name.read(session, reference + pattern)
    account = session.inside
    found = [names.name_of(one) for one in await account.run(lambda index: index.directories())]
    for name in found:
        if matches(wanted, name):
            children = any(other.startswith(name + ".") for other in found)
            word = "\\HasChildren" if children else "\\HasNoChildren"
            session.say(f'* {command} ({word}) "." '.encode() + folder_name.written(session, name))
    return b"these are there"


async def tell_status(session: ImapProtocol, name: bytes, items: list[str]) -> bytes:
    """STATUS."""
    for item in items:
        if item not in ITEMS:
            raise Bad(f"STATUS does not know {item[:20]}")
    session.say(await status(session, folder_name.read(session, name), dict.fromkeys(items).keys()))
    return b"as of now"


async def select(session: ImapProtocol, name: bytes, read_only: bool) -> bytes:
    """SELECT and EXAMINE."""
    text = folder_name.read(session, name)
    return await selecting.select(session, text, names.directory_of(text), read_only)
