"""What those who submit may say of their messages: how urgent they are, and whose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from mta.config.settings import Submission
from mta.intake.options import FIELDS
from mta.model.envelope import Client, Envelope
from mta.model.options import NO_OPTIONS, Options

T = TypeVar("T")

#: Roles in which an account may say something of its messages.
LABELLED_ROLES = frozenset({"submission", "submissions"})
#: The role of messages that are handed over through the API.
API_ROLE = "api"
#: Characters of a tenant or a campaign.
_LONGEST = 100
#: RFC 6710, 7: priority-value.
_PRIORITY = re.compile(r"(?:-?[1-9]|0)\Z")


@dataclass(frozen=True, slots=True)
class Stated:
    """What holds for a message.

    :ivar asked: the priority that was asked for, where it is not what it got.
    :ivar claimed: the tenant that its header names, where it is not believed.
    """

    priority: int = 0
    asked: str = ""
    tenant: str = ""
    claimed: str = ""
    campaign: str = ""


class Labels:
    """The ``[submission]`` table, as messages are received by it.

    :param settings: ``None``: nobody may say anything.
    :ivar fields: header fields that are for us, with the names of what they say.
    :ivar furthest: seconds for which a message may be scheduled ahead.
    """

    __slots__ = ("_ceilings", "_claims", "_tenants", "fields", "furthest")

    def __init__(self, settings: Submission | None) -> None:
        of = settings or Submission(tenant_field="", campaign_field="", priority_field="")
        named = (
            ("tenant", of.tenant_field),
            ("campaign", of.campaign_field),
            ("priority", of.priority_field if of.priorities else ""),
        )
        own = FIELDS if settings is not None and settings.options else ()
        self.fields = (*((name, field.encode()) for name, field in named if field), *own)
        self.furthest = of.future_release
        self._ceilings = of.priority_ceilings
        self._tenants = of.tenants
        self._claims = dict.fromkeys(of.tenant_field_from, True)

    def ceiling(self, account: str) -> int:
        """The highest priority that an account may ask for.

        RFC 6710, 4.1: nobody has more than 0 who was not given it.

        :param account: ``""``: a client without one.
        """
        found = _of(self._ceilings, account)
        return (0 if found is None else found) if account else min(0, self._ceilings.get("*", 0))

    def tenant(self, account: str, claimed: str = "") -> str:
        """Whose a message is.

        :param claimed: what its header says; believed from those that may speak for any tenant.
        """
        believed = bool(claimed) and _of(self._claims, account) is True
        return claimed if believed else _of(self._tenants, account) or ""

    def stated(
        self, client: Client, envelope: Envelope, said: Mapping[str, str], options: Options = NO_OPTIONS
    ) -> Stated:
        """What holds for a message, going by its envelope and what its header says.

        :param said: by the names in ``fields``.
        :param options: what is said by who hands it over.
        """
        if client.role == API_ROLE:
            wanted = envelope.asked
            if wanted is None:
                wanted = priority(said.get("priority", "")) or 0
            given = min(wanted, self.ceiling(client.account))
            lowered = "" if given == wanted else str(wanted)
            campaign = options.campaign or said.get("campaign", "")
            return Stated(given, lowered, options.tenant, "", campaign)
        if client.role not in LABELLED_ROLES:
            return Stated(envelope.priority)
        asked = envelope.asked
        if asked is None:
            # MAIL counts before the header.
            asked = priority(said.get("priority", "")) or 0
        given = min(asked, self.ceiling(client.account))
        claimed = said.get("tenant", "")
        tenant = self.tenant(client.account, claimed) if client.account else ""
        return Stated(
            given,
            "" if given == asked else str(asked),
            tenant,
            "" if claimed == tenant else claimed,
            said.get("campaign", ""),
        )


def _of(table: Mapping[str, T], account: str) -> T | None:
    """What a table says of an account: by its name, by its domain, of all."""
    if not table:
        return None
    name = account.lower()
    domain = name.rpartition("@")
    for key in (name, f"@{domain[2]}" if domain[1] else "", "*"):
        if key in table:
            return table[key]
    return None


def label(octets: bytes, longest: int = _LONGEST) -> str:
    """What a header field says, as it may stand in a table; ``""``: nothing."""
    text = "".join(c if c.isprintable() else " " for c in octets.decode("utf-8", "replace"))
    return text.strip()[:longest]


def priority(text: str) -> int | None:
    """What a header field says, if it is a priority."""
    return int(text) if _PRIORITY.match(text) else None
