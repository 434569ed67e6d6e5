"""A variable that the data has not: remembered with its path and its place, and empty."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from jinja2 import ChainableUndefined
from jinja2.exceptions import SecurityError

#: Different ones that are remembered of one rendering.
_MOST = 50


class Missing:
    """The variables that one rendering has asked for in vain.

    :ivar found: by path: the name of the template, the line, and whether it is HTML.
    """

    def __init__(self) -> None:
        self.found: dict[str, tuple[str, int, bool]] = {}

    def clear(self) -> None:
        """Begin another rendering."""
        self.found = {}

    def note(self, path: str) -> None:
        """Remember one."""
        if path not in self.found and len(self.found) < _MOST:
            self.found[path] = _place()


def _place() -> tuple[str, int, bool]:
    """Where in which template we are."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        template = frame.f_globals.get("__jinja_template__")
        if template is not None:
            line = template.get_corresponding_lineno(frame.f_lineno)
            return template.name or "", line, bool(template.environment.autoescape)
        frame = frame.f_back
    return "", 0, False


#: Its methods are declared to fail; ours give something that is empty.
_Base: Any = ChainableUndefined


def undefined_class(missing: Missing) -> type[ChainableUndefined]:
    """The class of variables that are not there; using one is noted, asking whether it is there is not."""

    class Remembered(_Base):  # type: ignore[misc]
        __slots__ = ()

        def _path(self) -> str:
            above = self._undefined_obj
            name = str(self._undefined_name)
            if isinstance(above, Remembered):
                return f"{above._path()}.{name}"
            # What is there has no name here; the last one tells the most.
            return name

        def _refuse(self) -> None:
            if self._undefined_exception is SecurityError:
                # It is there, but not for a template.
                raise SecurityError(self._undefined_message)

        def _used(self) -> None:
            self._refuse()
            missing.note(self._path())

        def __getattr__(self, name: str) -> Any:
            if name[:2] == "__":
                raise AttributeError(name)
            self._refuse()
            return Remembered(obj=self, name=name)

        def __getitem__(self, name: Any) -> Any:
            self._refuse()
            return Remembered(obj=self, name=str(name)[:100])

        def __str__(self) -> str:
            self._used()
            return ""

        def __html__(self) -> str:
            self._used()
            return ""

        def __iter__(self) -> Iterator[Any]:
            self._used()
            return iter(())

        def __len__(self) -> int:
            self._used()
            return 0

        def __bool__(self) -> bool:
            self._used()
            return False

        def __eq__(self, other: object) -> bool:
            self._used()
            return isinstance(other, ChainableUndefined)

        def __ne__(self, other: object) -> bool:
            return not self == other

        def __hash__(self) -> int:
            self._used()
            return 0

        def __call__(self, *args: Any, **named: Any) -> Any:
            self._used()
            return self

        def _nothing(self, *args: Any) -> Any:
            self._used()
            return self

        def _never(self, *args: Any) -> bool:
            self._used()
            return False

        def _zero(self, *args: Any) -> int:
            self._used()
            return 0

        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _nothing
        __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _nothing
        __mod__ = __rmod__ = __pow__ = __rpow__ = __pos__ = __neg__ = _nothing
        __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _never
        __int__ = _zero

        def __float__(self) -> float:
            self._used()
            return 0.0

    found: type[ChainableUndefined] = Remembered
    return found
