"""Who may do what: roles of accounts, and rights that pages ask for; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from mta.config.settings import Dashboard


class Role(Enum):
    """What an account is to this server."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"
    TENANT = "tenant"


class Right(Enum):
    """What a page asks for.

    Those that end in ``_OWN`` are open to a tenant too, who sees and changes only what is theirs:
    such a page takes the tenant of :attr:`mta.dashboard.visit.Visit.tenant`, and no other.
    """

    ANYBODY = "anybody"
    SIGNED_IN = "signed in"
    LOOK = "look"
    LOOK_OWN = "look at one's own"
    ACT = "act"
    ACT_OWN = "act on one's own"
    MANAGE_OWN = "manage what is one's own"
    ADMINISTER = "administer"


_STAFF = frozenset({Role.VIEWER, Role.OPERATOR, Role.ADMINISTRATOR})
_ACTING = frozenset({Role.OPERATOR, Role.ADMINISTRATOR})
_ALLOWED: dict[Right, frozenset[Role]] = {
    Right.ANYBODY: frozenset(Role),
    Right.SIGNED_IN: frozenset(Role),
    Right.LOOK: _STAFF,
    Right.LOOK_OWN: frozenset(Role),
    Right.ACT: _ACTING,
    Right.ACT_OWN: _ACTING | {Role.TENANT},
    Right.MANAGE_OWN: frozenset({Role.ADMINISTRATOR, Role.TENANT}),
    Right.ADMINISTER: frozenset({Role.ADMINISTRATOR}),
}


@dataclass(frozen=True, slots=True)
class Person:
    """Who looks at a page.

    :ivar account: as the checkers call it; ``""``: nobody is signed in.
    :ivar role: ``None``: nobody is.
    :ivar tenant: the one and only that the role ``tenant`` is bound to; else ``""``.
    """

    account: str = ""
    role: Role | None = None
    tenant: str = ""

    @property
    def named(self) -> str:
        """The role in words."""
        if self.role is None:
            return "none"
        return f"{self.role.value} of {self.tenant}" if self.tenant else self.role.value

    def may(self, right: Right) -> bool:
        """Whether they have a right."""
        return right is Right.ANYBODY or (self.role is not None and self.role in _ALLOWED[right])


#: Nobody who is known.
STRANGER = Person()


def person_of(account: str, settings: Dashboard) -> Person:
    """Who an account is; of several roles the one that may most.

    :return: without a role if none is given to it.
    """
    for role, accounts in (
        (Role.ADMINISTRATOR, settings.administrators),
        (Role.OPERATOR, settings.operators),
        (Role.VIEWER, settings.viewers),
    ):
        if _fits(account, accounts):
            return Person(account, role)
    for tenant, accounts in settings.tenants.items():
        if _fits(account, accounts):
            return Person(account, Role.TENANT, tenant)
    return Person(account)


def nobody_has_a_role(settings: Dashboard) -> bool:
    """Whether the table says nothing at all."""
    return not (settings.administrators or settings.operators or settings.viewers or settings.tenants)


def _fits(account: str, patterns: Iterable[str]) -> bool:
    name = account.lower()
    _, at, domain = name.rpartition("@")
    return any(name == one or (at and one == f"*@{domain}") for one in patterns)
