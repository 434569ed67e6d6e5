"""Makes the POP3 sessions of one listener."""

from __future__ import annotations

from mta.pop3.protocol import Pop3Protocol
from mta.visit.factory import VisitFactory


class Pop3Factory(VisitFactory):
    """See the module."""

    visit = Pop3Protocol
