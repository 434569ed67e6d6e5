"""Makes the IMAP sessions of one listener."""

from __future__ import annotations

from mta.imap.protocol import ImapProtocol
from mta.visit.factory import VisitFactory


class ImapFactory(VisitFactory):
    """See the module."""

    visit = ImapProtocol
