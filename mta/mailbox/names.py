"""What folders are called: names as people see them, and directories below the Maildir (Maildir++).  Pure.

``Projects.Größe`` is the directory ``.Projects.Gr&APYA3w-e``: dots part levels, the rest is modified UTF-7.
``INBOX``, in any case, is the Maildir itself, ``b""``; and it is spelt so also where it is the first
level of a name.

Other programs leave directories that are not written so.  They have names too, because nobody should
miss mail that is there: each octet that cannot be understood is the character of Unicode's private
area that lies :data:`OCTETS` above it.  So every directory has a name that leads back to it.
"""

from __future__ import annotations

from mta.mailbox.refusal import Refused
from mta.model import utf7

#: Between two levels.
SEPARATOR = "."
INBOX = "INBOX"
#: Octets of a directory's name that we make; file systems take 255, and programs append to it.
LONGEST = 200
#: Levels of a name that we make.
DEEPEST = 32
#: Characters from here on stand for single octets.
OCTETS = 0xF000

_LONGEST_THERE = 255


def directory_of(name: str) -> bytes:
    """The directory of a folder, below the Maildir; ``b""`` for the inbox.

    :raise Refused: if no folder can have this name, with words for its user.
    """
    if not name:
        raise Refused("a folder must have a name", "CANNOT")
    first, separator, rest = name.partition(SEPARATOR)
    if first.upper() == INBOX:
        if not separator:
            return b""
        name = INBOX + separator + rest
    if not all(name.split(SEPARATOR)):
        raise Refused(
            "a folder's name must have something before and behind each dot, which parts levels", "CANNOT"
        )
    if "/" in name:
        raise Refused("a folder's name cannot have a slash in it: levels are parted by dots", "CANNOT")
    if any(character < " " or character == "\x7f" for character in name):
        raise Refused("a folder's name cannot have control characters in it", "CANNOT")
    directory = b"." + _encoded(name)
    if len(directory) > _LONGEST_THERE:
        raise Refused("the folder's name is too long", "CANNOT")
    if b"/" in directory or b"\0" in directory or not directory.strip(b"."):
        # Octets that stand for themselves must not lead out of the Maildir.
        raise Refused("no folder can have this name", "CANNOT")
    return directory


def new_directory_of(name: str) -> bytes:
    """The same for a folder that is to be made: what is there already may have worse names.

    :raise Refused: if there should be no folder of this name.
    """
    directory = directory_of(name)
    if len(directory) > LONGEST:
        raise Refused(
            f"the folder's name is too long: it takes {len(directory)} octets of {LONGEST}", "CANNOT"
        )
    if name.count(SEPARATOR) >= DEEPEST:
        raise Refused(f"there are at most {DEEPEST} levels of folders", "CANNOT")
    if any("\x7f" <= one <= "\x9f" or one in "\u2028\u2029" or _is_octet(one) for one in name):
        raise Refused(
            "a folder's name cannot have control characters in it, or others that show nothing", "CANNOT"
        )
    return directory


def name_of(directory: bytes) -> str:
    """The name of the folder in a directory, such that :func:`directory_of` leads back.

    :param directory: begins with a dot, or is ``b""``.
    """
    if not directory:
        return INBOX
    octets = directory[1:]
    try:
        text = utf7.decode(octets)
        if _leads(text, directory):
            return text
    except ValueError:
        pass
    # As much of it in plain letters as can be.
    for plain in (b"&", b"&.", None):
        text = "".join(
            chr(octet)
            if plain is not None and 32 <= octet < 127 and octet not in plain
            else chr(OCTETS + octet)
            for octet in octets
        )
        if _leads(text, directory):
            break
    return text


def _leads(text: str, directory: bytes) -> bool:
    try:
        return directory_of(text) == directory
    except (Refused, UnicodeEncodeError):
        return False


def _is_octet(character: str) -> bool:
    return OCTETS <= ord(character) <= OCTETS + 0xFF


def _encoded(name: str) -> bytes:
    if not any(map(_is_octet, name)):
        try:
            return utf7.encode(name)
        except UnicodeEncodeError:
            raise Refused("the folder's name is no text", "CANNOT") from None
    parts: list[bytes] = []
    plain = ""
    for character in name + "\0":
        if _is_octet(character) or character == "\0":
            parts.append(utf7.encode(plain))
            plain = ""
            if character != "\0":
                parts.append(bytes([ord(character) - OCTETS]))
        else:
            plain += character
    return b"".join(parts)


def parents_of(name: str) -> list[str]:
    """The names of the levels above, the highest first."""
    levels = name.split(SEPARATOR)
    return [SEPARATOR.join(levels[:count]) for count in range(1, len(levels))]


def canonical(name: str) -> str:
    """A name as :func:`name_of` would give it.

    :raise Refused: if no folder can have it.
    """
    return name_of(directory_of(name))


__all__ = ["INBOX", "SEPARATOR", "canonical", "directory_of", "name_of", "new_directory_of", "parents_of"]
