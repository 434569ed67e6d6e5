"""A client of the sending API, sync and async, typed.

It needs httpx and nothing else of the server: applications import it without Twisted, and its name
stays when it becomes a distribution of its own.  :mod:`~mta_client.calls` builds requests and reads
answers and knows no network; :mod:`~mta_client.sync` and :mod:`~mta_client.asynchronous` carry them out.

    >>> from mta_client import Client, Message
    >>> with Client("https://mail.example.org", key) as client:
    ...     sent = client.send(Message(sender="shop@example.org", to=["ann@example.net"], text="Hello"))
"""

from mta_client.asynchronous import AsyncClient
from mta_client.batches import Batch, BatchError, BatchResult, Recipient
from mta_client.campaigns import Campaign, NewCampaign, Numbers, Report, Series, Variant
from mta_client.contacts import Contact, Fact, Happened, Happening, Import, Joined, MailingList, Segment
from mta_client.errors import (
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    MtaError,
    NoAnswer,
    NotFound,
    Refused,
    TooMany,
    Unauthorized,
    Unavailable,
)
from mta_client.events import Event
from mta_client.messages import Attachment, Message, Sent, SentTo
from mta_client.sequences import Checked, Enrolled, Enrolment, Flow, Kept
from mta_client.suppressions import Suppression
from mta_client.sync import Client
from mta_client.templates import Preview, Template, TemplateVersion

__all__ = [
    "ApiError",
    "AsyncClient",
    "Attachment",
    "Batch",
    "BatchError",
    "BatchResult",
    "Campaign",
    "Checked",
    "Client",
    "Conflict",
    "Contact",
    "Enrolled",
    "Enrolment",
    "Event",
    "Fact",
    "Flow",
    "Forbidden",
    "Happened",
    "Happening",
    "Import",
    "Invalid",
    "Joined",
    "Kept",
    "MailingList",
    "Message",
    "MtaError",
    "NewCampaign",
    "NoAnswer",
    "NotFound",
    "Numbers",
    "Preview",
    "Recipient",
    "Refused",
    "Report",
    "Segment",
    "Sent",
    "SentTo",
    "Series",
    "Suppression",
    "Template",
    "TemplateVersion",
    "TooMany",
    "Unauthorized",
    "Unavailable",
    "Variant",
]
