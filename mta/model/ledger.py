"""What all workers remember together, as those see it who ask (``PluginContext.ledger``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

#: The kind of entries about clients at which some account has logged in.
KNOWN_CLIENT = "known-client"


class Book(Protocol):
    """The entries, within one transaction; each has a kind, a key, a JSON value, and an end.

    :ivar now: seconds since 1970.
    """

    now: float

    def get(self, kind: str, key: str) -> Any:
        """The value; ``None`` if there is none, or its time is over."""

    def put(self, kind: str, key: str, value: Any, seconds: float = ...) -> None:
        """Write an entry that is forgotten after so many seconds; without, never."""

    def delete(self, kind: str, key: str) -> bool:
        """Forget one; whether there was one."""
        ...

    def entries(self, kind: str) -> Iterator[tuple[str, Any, float]]:
        """Key, value and end of all entries of a kind."""
        ...


class View(Protocol):
    """The entries of one kind in memory, as they were a second ago at the most.

    :ivar told: called after they have changed.
    """

    told: Callable[[], None]

    def __bool__(self) -> bool: ...

    def __iter__(self) -> Iterator[tuple[str, Any, float]]: ...

    def get(self, key: str) -> Any:
        """The value; ``None`` if there is none, or its time is over."""

    def end(self, key: str) -> float:
        """When an entry ends."""
        ...


class Ledger(Protocol):
    """``mta.ledger`` provides it.  Nothing may depend on it: who gets no answer goes on without one."""

    def ask(self, question: Callable[[Book], T], patience: float | None = None) -> Awaitable[T]:
        """Have a function of a book run in a transaction, and answer after its commit.

        It runs in a thread, perhaps twice, so it changes nothing but the book.

        :param patience: seconds to wait for the answer; ``None``: as long as an SMTP client may be kept.
        :raise TemporarilyUnavailable: if that cannot be done soon.
        """
        ...

    def view(self, kind: str) -> View:
        """The entries of a kind, in memory."""
        ...
