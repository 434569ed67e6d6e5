"""Makes the POP3 sessions of one listener."""

from __future__ import annotations

from mta.mailbox.factory import VisitFactory
from mta.pop3.protocol import Pop3Protocol


class Pop3Factory(VisitFactory):
    """See the module."""

    visit = Pop3Protocol
