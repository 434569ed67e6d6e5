"""Style, scripts and pictures: read once, called by their content, so that a browser keeps them for good."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

_DIRECTORY = Path(__file__).parent / "assets"
_MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".txt": "text/plain; charset=utf-8",
}
#: Octets below which packing gains nothing.
_SMALL = 800
#: A year, as nothing lasts longer.
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file.

    :ivar packed: by gzip; ``b""``: that is not worth while.
    """

    name: str
    content: bytes
    packed: bytes
    media: str


class Assets:
    """All of them.

    The mark of all files together stands in the directory of their paths, so that a script imports
    another one by its plain name, and has it from the same version.
    """

    def __init__(self, directory: Path = _DIRECTORY) -> None:
        self._found: dict[str, Asset] = {}
        whole = hashlib.sha256()
        for path in sorted(directory.iterdir()):
            if path.suffix not in _MEDIA:
                continue
            content = path.read_bytes()
            whole.update(path.name.encode() + b"\0" + hashlib.sha256(content).digest())
            packed = b""
            if len(content) > _SMALL and path.suffix in (".css", ".js", ".svg", ".txt"):
                packed = gzip.compress(content, 9, mtime=0)
            self._found[path.name] = Asset(path.name, content, packed, _MEDIA[path.suffix])
        #: Stands in the path of all of them: another version of the program has other paths.
        self.mark = whole.hexdigest()[:16]

    def path(self, name: str) -> str:
        """Where a page finds one.

        :raise KeyError: if there is no such file.
        """
        return f"/dashboard/assets/{self.mark}/{self._found[name].name}"

    def get(self, name: str) -> Asset | None:
        """One of them."""
        return self._found.get(name)

    @property
    def names(self) -> list[str]:
        """All names."""
        return sorted(self._found)
