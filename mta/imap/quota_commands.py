"""How much an account may keep, and how much it has (RFC 9208, and RFC 2087 before it)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.imap import folder_name
from mta.imap.refusal import Refused

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol

#: There is one for all folders of an account.
ROOT = b"mailbox"


async def of_folder(session: ImapProtocol, name: bytes) -> bytes:
    """GETQUOTAROOT."""
    text = folder_name.read(session, name)
    folders = session.terms.folders
    await session.inside.run(lambda index: folders.find(index, text))
    written = folder_name.written(session, text)
    if not session.inside.quota:
        session.say(b"* QUOTAROOT " + written)
        return b"there is no quota"
    session.say(b"* QUOTAROOT %s %s" % (written, ROOT))
    await _tell(session)
    return b"there is one quota for all folders"


async def of_root(session: ImapProtocol, root: bytes) -> bytes:
    """GETQUOTA."""
    if root.lower() != ROOT or not session.inside.quota:
        raise Refused("there is no such quota", "NONEXISTENT")
    await _tell(session)
    return b"as of now"


async def change(session: ImapProtocol) -> bytes:
    """SETQUOTA."""
    raise Refused("quotas are set by who runs the server", "NOPERM")


async def _tell(session: ImapProtocol) -> None:
    _, octets = await session.inside.run(lambda index: index.usage())
    limit = session.inside.quota
    # Units of 1,024 octets: what there is rounded up, what there may be down.
    session.say(b"* QUOTA %s (STORAGE %d %d)" % (ROOT, -(-octets // 1024), limit // 1024))
