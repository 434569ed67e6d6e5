"""One request for a page, checked, as handlers see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mta.dashboard.filled import Filled
from mta.dashboard.page import Page
from mta.dashboard.role import STRANGER, Person, Right
from mta.dashboard.session import Session


@dataclass(slots=True)
class Visit:
    """See the module.

    :ivar request: as Twisted has it.
    :ivar id: of the request, in the log where it failed.
    :ivar now: when it was received, in seconds since 1970.
    :ivar address: of the client.
    :ivar secure: whether it came by TLS.
    :ivar page: what is asked for.
    :ivar path: what stands in the path's braces.
    :ivar query: of the page's model ``query``.
    :ivar form: what was filled in; ``form.value`` is of the page's model ``form``.
    :ivar person: who asks.
    :ivar tenant: whose contacts, keys and so on are shown: the only one of a person with the role
        tenant, the one that was chosen by others.  Every store is asked with it first.
    :ivar tenants: those among which they may choose.
    :ivar session: of the person; ``None``: nobody is signed in.
    :ivar csrf: what every form has to send.
    """

    request: Any
    id: str
    now: float
    address: str
    secure: bool
    page: Page
    path: Mapping[str, str] = field(default_factory=dict)
    query: Any = None
    form: Filled = field(default_factory=Filled)
    person: Person = STRANGER
    tenant: str = ""
    tenants: tuple[str, ...] = ()
    session: Session | None = None
    csrf: str = ""

    @property
    def by(self) -> str:
        """Who acts, for the journal."""
        return f"{self.person.account} (dashboard)"

    @property
    def sender(self) -> str:
        """What a form offers as the address that mail comes from: their own, if the account is one."""
        return self.person.account if "@" in self.person.account else ""

    @property
    def confined(self) -> bool:
        """Whether they see nothing but what is of their tenant."""
        return bool(self.person.tenant)

    def may(self, right: Right | str) -> bool:
        """Whether they have a right; templates give its name, such as ``ACT``."""
        return self.person.may(Right[right] if isinstance(right, str) else right)

    def header(self, name: str) -> str:
        """A header field of the request; ``""``: there is none."""
        found = self.request.getHeader(name)
        return found if isinstance(found, str) else ""

    def cookie(self, name: str) -> str:
        """A cookie; ``""``: there is none."""
        found = self.request.getCookie(name.encode())
        return found.decode("ascii", "replace") if isinstance(found, bytes) else ""

    @property
    def here(self) -> str:
        """The path and query of this page."""
        return str(self.request.uri.decode("ascii", "replace"))
