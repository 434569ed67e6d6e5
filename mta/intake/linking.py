"""Links of ours in messages that were written elsewhere: by SMTP, or handed over raw.

A tenant that counts clicks and opens has them counted of all its mail.  What is signed or encrypted
already is not touched; the journal tells why.  What was asked for in so many words, and cannot be
done, is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from mta.interfaces import Answer, settle
from mta.model.linked import Linked, Wish
from mta.model.message import Content, InlineContent
from mta.model.options import Options

#: Octets of a message that is looked through; octets from which on that happens in a thread.
MOST, _LARGE = 32 << 20, 64 << 10
#: By the name of a tenant, what it has set; ``None``: there is no such tenant.
Settings = Callable[[str], Answer[Wish | None]]


class Change(Protocol):
    """Puts links into a message; see :func:`mta.engagement.mime.linked`."""

    def __call__(self, content: bytes, wish: Wish, message: str, tenant: str, recipient: str) -> Linked:
        """The message with them."""


class LinkError(ValueError):
    """What was asked for cannot be done; the text says why."""


class Linking:
    """See the module.

    :param settings: what tenants have set.
    :param change: puts links in.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self, settings: Settings, change: Change, run_in_thread: Callable[..., Awaitable[Any]]
    ) -> None:
        self._settings = settings
        self._change = change
        self._run = run_in_thread

    async def linked(
        self, content: Content, options: Options, message: str, tenant: str, recipients: list[str]
    ) -> Linked | None:
        """A message with links.

        :param message: its queue id.
        :return: ``None``: none are wanted.
        :raise LinkError: if somebody cannot unsubscribe from it who should.
        :raise TemporarilyUnavailable: if it is not known what the tenant wants.
        """
        asked = options.unsubscribe
        set_by = await settle(self._settings(tenant)) if tenant else None
        if set_by is None:
            if asked is not None:
                raise LinkError("the message is no tenant's, and only a tenant has lists")
            return None
        wish = Wish(
            options.track.get("clicks", set_by.clicks),
            options.track.get("opens", set_by.opens),
            asked,
            set_by.base,
        )
        if not (wish.clicks or wish.opens) and asked is None:
            return None
        if asked is not None and len(recipients) != 1:
            raise LinkError("only a message to one recipient has a link of that one's")
        if not wish.base:
            why = "links need an address under which recipients reach the server: api.url, or /v1/engagement"
            if asked is not None:
                raise LinkError(why)
            return Linked(b"", why=why)
        if content.size > MOST:
            return Linked(b"", why=f"it has {content.size} octets, and up to {MOST} are looked through")
        one = recipients[0] if len(recipients) == 1 else ""
        if isinstance(content, InlineContent) and content.size <= _LARGE:
            return self._change(content.data, wish, message, tenant, one)
        found: Linked = await self._run(self._read, content, wish, message, tenant, one)
        return found

    def _read(self, content: Content, wish: Wish, message: str, tenant: str, one: str) -> Linked:
        return self._change(content.read(), wish, message, tenant, one)
