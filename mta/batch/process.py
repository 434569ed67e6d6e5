"""The process in which copies of a batch are rendered and put together; see :mod:`mta.template.child`.

``common`` of a request is what all copies share, and ``more`` of an item what is only its own.  The key
that comes with an item signs the links of that message, and no others.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mta.batch.files import marked
from mta.compose.fields import Mailbox
from mta.compose.message import Draft, written
from mta.engagement.links import MessageLinks
from mta.engagement.rewriting import rewritten
from mta.engagement.unsubscribing import fill, unsubscribe_fields
from mta.template.bundle import Rendered
from mta.template.child import main

#: What processes run that do this.
PROCESS = "mta.batch.process"


def finished(rendered: Rendered, common: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The octets of a copy; without ``common``, its parts.

    :param common: ``sender`` and ``reply_to`` (addresses with names), ``headers``, ``date``; ``base``,
        ``tenant``, ``clicks``, ``opens``, ``unsubscribe`` (the name of a list; ``None``: no such fields),
        ``files``.
    :param more: ``id``, ``recipient`` and ``name``, ``key`` (hexadecimal), ``files``.
    """
    if not common:
        return asdict(rendered)
    text, html, headers = rendered.text, rendered.html, dict(common["headers"])
    wanted = common["unsubscribe"]
    if common["clicks"] or common["opens"] or wanted is not None:
        links = MessageLinks(
            bytes.fromhex(more["key"]), common["base"], more["id"], common["tenant"], more["recipient"]
        )
        if wanted is not None:
            text, html = fill(text, links, wanted, html=False), fill(html, links, wanted, html=True)
        if html:
            html = rewritten(html, links, clicks=common["clicks"], opens=common["opens"])
        if wanted is not None:
            headers.update(unsubscribe_fields(links, wanted))
    draft = Draft(
        Mailbox(*common["sender"]),
        [Mailbox(more["recipient"], more["name"])],
        reply_to=[Mailbox(*one) for one in common["reply_to"]],
        subject=rendered.subject,
        text=text or (None if html else ""),
        html=html or None,
        headers=headers,
        files=marked([*common.get("files", ()), *more.get("files", ())]),
    )
    # Nothing of it but ASCII: recipients and senders of a batch are.
    return {"octets": written(draft, more["id"], common["date"]).decode("ascii")}


if __name__ == "__main__":
    main(sys.argv[1:], finished)
