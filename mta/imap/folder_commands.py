"""Commands about folders (RFC 3501, 6.3; RFC 5258; RFC 5819; RFC 6154)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mta.imap import folder_name, listing, selecting, updates
from mta.imap.listing import Line, Wish
from mta.imap.refusal import Refused
from mta.imap.resync import Known
from mta.imap.status import status
from mta.mailbox import names
from mta.mailbox.mailroom import Account
from mta.model.event_mailbox import FolderChanged

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol

#: Lines that are written at once.
_AT_ONCE = 200


async def list_folders(session: ImapProtocol, wish: Wish) -> bytes:
    """LIST.  A pattern that is empty asks for the separator."""
    if wish.patterns == ("",):
        session.say(b'* LIST (\\Noselect) "." ""')
        return b"dots part levels"
    folders = session.terms.folders
    # In a thread: there may be many folders, and odd patterns.
    lines = await session.inside.run(lambda index: listing.listed(folders.listed(index), wish))
    await _tell(session, "LIST", lines, wish)
    return b"these are there"


async def list_subscribed(session: ImapProtocol, pattern: str) -> bytes:
    """LSUB."""
    if not pattern:
        session.say(b'* LSUB (\\Noselect) "." ""')
        return b"dots part levels"
    folders = session.terms.folders
    lines = await session.inside.run(lambda index: listing.subscribed(folders.listed(index), (pattern,)))
    await _tell(session, "LSUB", lines, Wish((pattern,)))
    return b"these are subscribed"


async def _tell(session: ImapProtocol, command: str, lines: Sequence[Line], wish: Wish) -> None:
    written: list[bytes] = []
    for line in lines:
        text = f'* {command} ({" ".join(line.attributes)}) "." '.encode()
        text += folder_name.written(session, line.name)
        if line.below and wish.recursive:
            text += b' ("CHILDINFO" ("SUBSCRIBED"))' if wish.subscribed else b""
        written.append(text + b"\r\n")
        if wish.status and line.exists:
            # It may have gone meanwhile.
            with suppress(Refused):
                written.append(await status(session, line.name, wish.status) + b"\r\n")
        if len(written) >= _AT_ONCE:
            if not await session.write(b"".join(written)):
                return
            written.clear()
    if written:
        await session.write(b"".join(written))


async def tell_status(session: ImapProtocol, name: bytes, items: Sequence[str]) -> bytes:
    """STATUS."""
    found = await status(session, folder_name.read(session, name), items)
    session.say(found)
    await updates.tell(session)
    return b"as of now"


async def select(session: ImapProtocol, name: bytes, read_only: bool, known: Known | None = None) -> bytes:
    """SELECT and EXAMINE."""
    text = folder_name.read(session, name)
    try:
        directory = names.directory_of(text)
    except Refused:
        # Whatever cannot be a folder is none.
        session.leave_folder()
        raise
    return await selecting.select(session, text, directory, read_only, known)


# --- changing them -----------------------------------------------------------


async def create(session: ImapProtocol, name: bytes, uses: Sequence[str]) -> bytes:
    """CREATE, also for a purpose."""
    text = folder_name.read(session, name)
    folders = session.terms.folders
    await session.inside.run(lambda index: folders.create(index, text, uses))
    _note(session, "made", text)
    return b"made"


async def delete(session: ImapProtocol, name: bytes) -> bytes:
    """DELETE.  If the folder is selected, it is so no more."""
    text = folder_name.read(session, name)
    folders = session.terms.folders
    count = await session.inside.run(lambda index: folders.delete(index, text))
    _note(session, "removed", text, messages=count)
    directory = names.directory_of(text)
    if session.selected is not None and session.selected.directory == directory:
        session.leave_folder()
    _wake(session.inside, [directory])
    return b"removed"


async def rename(session: ImapProtocol, source: bytes, target: bytes) -> bytes:
    """RENAME.  If the folder is selected, it is so no more."""
    old, new = folder_name.read(session, source), folder_name.read(session, target)
    folders = session.terms.folders
    touched = await session.inside.run(lambda index: folders.rename(index, old, new))
    _note(session, "renamed", old, to=new)
    selected = session.selected
    if selected is not None and selected.directory and selected.directory in touched:
        session.leave_folder()
    _wake(session.inside, touched)
    return b"renamed"


def _note(session: ImapProtocol, action: str, name: str, **more: Any) -> None:
    session.premises.note(
        FolderChanged(
            at=session.premises.reactor.seconds(),
            session=session.client.session,
            action=action,
            account=session.account_name,
            folder=name.removesuffix("."),
            client=session.client.address,
            program=session.program,
            **more,
        )
    )


def _wake(account: Account, directories: Sequence[bytes]) -> None:
    for directory in directories:
        account.wake(directory)


async def subscribe(session: ImapProtocol, name: bytes, subscribed: bool) -> bytes:
    """SUBSCRIBE and UNSUBSCRIBE."""
    text = folder_name.read(session, name)
    folders = session.terms.folders
    changed = await session.inside.run(lambda index: folders.subscribe(index, text, subscribed))
    if changed:
        # Programs say at each start what they want to see.
        _note(session, "subscribed" if subscribed else "unsubscribed", text)
    return b"done"
