"""Who was at the pages for people.  See :mod:`mta.model.event`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mta.model.event import Event, lower_words


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSession(Event):
    """A session of the dashboard began (``action`` is ``begun``), or was ended (``ended``), by whom and why;
    or an account with the right password has no role there (``refused``).

    ``number`` are the first letters of its id.  One that ends because nothing was asked for a while is not
    told.
    """

    kind: ClassVar[str] = "dashboard-session"
    indexed: ClassVar[bool] = True

    account: str
    action: str
    role: str = ""
    tenant: str = ""
    number: str = ""
    client: str = ""
    agent: str = ""
    by: str = ""
    reason: str = ""

    def keys(self) -> tuple[str, ...]:
        """Account and client."""
        return lower_words(self.account, self.client)
