"""Takes out of gzip and zip what strangers packed, so much and no more: it may be a bomb; pure."""

from __future__ import annotations

import io
import zipfile
import zlib

#: Files of an archive that are looked at.
_MOST_FILES = 20


class BadPacking(ValueError):
    """It cannot be unpacked, for a reason in words."""


def gunzipped(data: bytes, most: int) -> bytes:
    """What was compressed with gzip.

    :param most: octets.
    :raise BadPacking: if it was not, is cut off, or is larger.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        found = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise BadPacking(f"it is not compressed with gzip: {error}") from None
    if len(found) > most:
        raise BadPacking(_too_large(most))
    if not unpacker.eof:
        raise BadPacking("it is cut off")
    return found


def unzipped(data: bytes, most: int, ending: str) -> bytes:
    """The first file of a zip archive whose name has an ending.

    :param most: octets.
    :raise BadPacking: if there is none, or it is encrypted, damaged, or larger.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [one for one in archive.infolist()[:_MOST_FILES] if one.filename.lower().endswith(ending)]
            if not files:
                raise BadPacking(f"the zip archive has no file that ends in {ending}")
            # Others are unpacked by the library whatever becomes of it.
            if files[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BadPacking("the zip archive is compressed in another way than usual")
            with archive.open(files[0]) as file:
                found = file.read(most + 1)
    except BadPacking:
        raise
    except Exception as error:
        # The library raises whatever comes to its mind: BadZipFile, RuntimeError, struct.error, zlib.error.
        raise BadPacking(f"it is no zip archive that can be read: {error}") from None
    if len(found) > most:
        raise BadPacking(_too_large(most))
    return found


def _too_large(most: int) -> str:
    return f"it unpacks to more than {most >> 20} MiB"
