"""Joins the pages for what is sent by itself: sequences, and campaigns."""

from __future__ import annotations

from mta.application import SendingApi
from mta.dashboard.campaign_form import CampaignFormPages
from mta.dashboard.campaigns import CampaignPages
from mta.dashboard.page import Page
from mta.dashboard.sequence_people import SequencePeoplePages
from mta.dashboard.sequences import SequencePages
from mta.environment import Environment
from mta.presenting_api import Asking


def automation_pages(api: SendingApi, environment: Environment) -> list[Page]:
    """The pages.

    :param api: has everything that tenants have.
    :param environment: has the journals.
    """
    routes = [*api.sequencing.routes(), *api.campaigning.routes(), *api.following.routes()]
    ask = Asking(routes, api.registry)
    sequences, audience = api.sequencing.sequences, api.automating.audience
    return [
        *SequencePages(ask, sequences, audience, api.registry.templates).pages(),
        *SequencePeoplePages(ask, sequences, audience, environment.journal.find).pages(),
        *CampaignPages(ask).pages(),
        *CampaignFormPages(ask, audience, api.registry.templates).pages(),
    ]
