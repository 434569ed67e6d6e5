"""What a judge knows when it is asked (see ``IJudge``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mta.model.authentication import AuthenticationResult
from mta.model.change import Change
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.message import Content
from mta.model.revision import Revision


@dataclass(slots=True)
class Facts:
    """What a judge knows at its stage; later stages know more.

    :ivar client: the session's client.
    :ivar envelope: from ``mail`` on.
    :ivar recipient: at ``recipient``: the one in question, not yet in the envelope.
    :ivar header: at ``message``: the header section, octets.
    :ivar content: at ``message``: all of it.
    :ivar results: what earlier judges left for later ones at the same stage, by their kind.
    :ivar authentication: what earlier judges have found out about who sends this, at this
        stage and the stages before.
    :ivar trusted: whether the client may send to anywhere: it has logged in, is a program on
        this machine, or is in ``access.relay_from``.
    :ivar id: at ``message``: the queue id that it will have.
    :ivar revision: at ``message``: what earlier judges have changed; ``envelope``, ``header``
        and ``content`` have it in them.
    """

    client: Client
    envelope: Envelope | None = None
    recipient: Recipient | None = None
    header: bytes = b""
    content: Content | None = None
    results: dict[str, Any] = field(default_factory=dict)
    authentication: list[AuthenticationResult] = field(default_factory=list)
    trusted: bool = False
    id: str = ""
    revision: Revision | None = None

    def revise(self, changes: Iterable[Change]) -> None:
        """Change the message for whoever is asked next, and for good.

        :raise ValueError: if a change cannot be made; then none of them is.
        """
        if self.envelope is None or self.content is None:
            raise ValueError("a message is changed when all of it is there")
        before = self.revision or Revision(self.header, self.content, self.envelope)
        self.revision = revision = before.revised(changes)
        self.envelope, self.header, self.content = revision.envelope, revision.header, revision.content
