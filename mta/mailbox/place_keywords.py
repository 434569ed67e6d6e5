"""Keywords of a message that is being delivered: which letters its name gets.

The index is where all processes agree on what a letter means, so it is asked, though the message is not put
into it: the next look at the folder finds it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from mta.mailbox import keywords
from mta.mailbox.opening import OpenIndex
from mta.mailbox.schema import Damaged


def keyword_bits(indexes: Path, maildir: bytes, directory: bytes, words: Iterable[str]) -> int:
    """The bits of keywords in a folder, which are made known there; those without room are left out.

    :param indexes: the directory of all indexes.
    :param directory: of the folder, below the Maildir.
    :raise sqlite3.Error: if the index cannot be used.
    :raise OSError: if the folder's list of keywords cannot be written.
    """
    path = maildir + b"/" + directory if directory else maildir
    name = hashlib.sha256(maildir).hexdigest()[:32]
    place = indexes / name[:2] / f"{name}.db"
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    opened = OpenIndex(place, maildir)
    try:
        with opened.use() as index, index.transaction():
            known = keywords.load(path)
            before = list(known)
            found = 0
            for word in words:
                found |= keywords.bit_of(known, word) or 0
            if known != before:
                keywords.save(path, known)
            return found
    except Damaged as error:
        raise sqlite3.DatabaseError(str(error)) from error
    finally:
        opened.release()
