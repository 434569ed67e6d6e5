"""Links of ours in a message that was written elsewhere: what is wanted, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be put into a message.

    :ivar clicks: whether links of its HTML lead over this server.
    :ivar opens: whether a picture tells of opens.
    :ivar unsubscribe: the list that may be left with one click, ``""``: all mail; ``None``: none may be.
    :ivar base: the address under which recipients reach us; ``""``: there is none.
    """

    clicks: bool = False
    opens: bool = False
    unsubscribe: str | None = None
    base: str = ""


@dataclass(frozen=True, slots=True)
class Linked:
    """What became of it.

    :ivar content: the message.
    :ivar links: how many lead over this server.
    :ivar opens: whether the picture is in it.
    :ivar unsubscribe: whether it has the fields by which one unsubscribes.
    :ivar why: why nothing was put in, or not all.
    """

    content: bytes
    links: int = 0
    opens: bool = False
    unsubscribe: bool = False
    why: str = ""

    @property
    def changed(self) -> bool:
        """Whether it is another message than before."""
        return bool(self.links or self.opens or self.unsubscribe)

    @property
    def words(self) -> str:
        """For a person."""
        return linked_words(self.links, self.opens, self.unsubscribe, self.why)


def linked_words(links: int, opens: bool, unsubscribe: bool, why: str) -> str:
    """What was put into a message, and why not more."""
    done = []
    if links:
        done.append("1 link leads over the server" if links == 1 else f"{links} links lead over the server")
    if opens:
        done.append("a picture tells of opens")
    if unsubscribe:
        done.append("it can be unsubscribed from with one click")
    if not done:
        return f"nothing was put in: {why}" if why else "nothing was put in"
    return ", ".join(done) + (f"; {why}" if why else "")
