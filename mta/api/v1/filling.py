"""Makes a message of a template, and puts the links of recipients into it, before it is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mta.api.v1.engagement import engagement_of
from mta.api.v1.message_models import SendMessage, Track, Written
from mta.api.v1.messages import Sending
from mta.api.v1.refusal import field_refusal
from mta.api.v1.template_rendering import Renderers, template_refusal
from mta.compose.message import Draft
from mta.engagement.links import MessageLinks, message_key
from mta.engagement.rewriting import rewritten
from mta.engagement.unsubscribing import fill, unsubscribe_fields
from mta.registry.templates import NoTemplate, Templates
from mta.template.bundle import Rendered
from mta.template.problem import TemplateError


class Filling:
    """See the module.

    :param templates: keeps them.
    :param renderers: render them.
    :param master: the key from which those of links are made.
    :param base: the address under which recipients reach us; ``""``: it is not set.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        templates: Templates,
        renderers: Renderers,
        master: bytes,
        base: Callable[[], str],
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._templates = templates
        self._renderers = renderers
        self._master = master
        self._base = base
        self._run = run_in_thread

    async def __call__(self, sending: Sending) -> None:
        """Fill the draft of a message."""
        body, draft = sending.body, sending.draft
        if isinstance(body, Written):
            # The intake puts links into what was written elsewhere, by SMTP and here alike.
            self._base_of(sending, body.track, body.unsubscribe)
        if not isinstance(body, SendMessage) or draft is None:
            return
        if body.template is not None:
            await self._fill(sending.tenant.name, body, draft)
        await self._link(sending, body, draft)

    async def _fill(self, tenant: str, body: SendMessage, draft: Draft) -> None:
        assert body.template is not None
        try:
            bundle, _ = await self._templates.bundle(tenant, body.template, body.version)
            (found,) = await self._renderers.render(bundle, [(body.data, body.locale)])
        except NoTemplate as error:
            raise field_refusal("/template", str(error)) from None
        except TemplateError as error:
            raise template_refusal(error.problems) from None
        if not isinstance(found, Rendered):
            raise template_refusal(found)
        draft.subject = found.subject
        draft.text = found.text or ("" if not found.html else None)
        draft.html = found.html or None

    async def _link(self, sending: Sending, body: SendMessage, draft: Draft) -> None:
        wanted = body.unsubscribe
        clicks, opens, base = self._base_of(sending, body.track, wanted)
        if not (clicks or opens) and wanted is None:
            return
        one = next(iter(sending.recipients)) if len(sending.recipients) == 1 else ""
        key = message_key(self._master, sending.identifier)
        links = MessageLinks(key, base, sending.identifier, sending.tenant.name, one)
        if wanted is not None:
            draft.text = None if draft.text is None else fill(draft.text, links, wanted, html=False)
            draft.html = None if draft.html is None else fill(draft.html, links, wanted, html=True)
            draft.headers = {**draft.headers, **dict(unsubscribe_fields(links, wanted))}
        if draft.html and (clicks or opens):
            draft.html = await self._run(_rewritten, draft.html, links, clicks, opens)

    def _base_of(self, sending: Sending, track: Track, wanted: str | None) -> tuple[bool, bool, str]:
        """Whether clicks and opens are counted, and where links begin."""
        settings = engagement_of(sending.tenant)
        clicks = settings.clicks if track.clicks is None else track.clicks
        opens = settings.opens if track.opens is None else track.opens
        base = settings.url or self._base()
        if (clicks or opens or wanted is not None) and not base:
            raise field_refusal(
                "/unsubscribe" if wanted is not None else "/track",
                "links need an address under which recipients reach the server: api.url, or /v1/engagement",
            )
        if wanted is not None and len(sending.recipients) != 1:
            raise field_refusal(
                "/unsubscribe", "only a message to one recipient has a link of that one's; send a batch"
            )
        return clicks, opens, base


def _rewritten(html: str, links: MessageLinks, clicks: bool, opens: bool) -> str:
    return rewritten(html, links, clicks=clicks, opens=opens)
