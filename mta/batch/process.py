"""The process in which copies of a batch are rendered and put together; see :mod:`mta.template.child`.

``common`` of a request is what all copies share, and ``more`` of an item what is only its own.  The key
that comes with an item signs the links of that message, and no others.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mta.batch.skeleton import Copy, Skeleton, composed
from mta.engagement.links import MessageLinks
from mta.engagement.rewriting import rewritten
from mta.engagement.unsubscribing import unsubscribe_fields
from mta.template.bundle import Rendered
from mta.template.child import main


def finished(rendered: Rendered, common: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The octets of a copy; or its parts, if there is no skeleton.

    :param common: ``skeleton``; ``base``, ``tenant``, ``clicks``, ``opens``, ``unsubscribe`` (a list's
        name; ``None``: no such fields); or ``look``: nothing is put together.
    :param more: ``id``, ``to`` (the field's value), ``recipient`` (the address), ``key`` (hexadecimal),
        ``fields``.
    """
    if common.get("look"):
        return {}
    if "skeleton" not in common:
        return asdict(rendered)
    html, own = rendered.html, str(more.get("fields", ""))
    wanted = common.get("unsubscribe")
    if common.get("clicks") or common.get("opens") or wanted is not None:
        links = MessageLinks(
            bytes.fromhex(more["key"]), common["base"], more["id"], common["tenant"], more["recipient"]
        )
        if html:
            html = rewritten(html, links, clicks=common["clicks"], opens=common["opens"])
        if wanted is not None:
            # No field of free text: a link that is folded in its midst is none.
            own += "".join([f"{name}: {value}\r\n" for name, value in unsubscribe_fields(links, wanted)])
    copy = Copy(more["id"], more["to"], rendered.subject, rendered.text, html, own)
    return {"octets": composed(Skeleton(**common["skeleton"]), copy), "subject": rendered.subject}


#: What processes run that do this.
PROCESS = "mta.batch.process"

if __name__ == "__main__":
    main(sys.argv[1:], finished)
