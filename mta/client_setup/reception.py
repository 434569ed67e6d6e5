"""Answers what mail programs ask by HTTP: the path tells whose document they want."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mta.client_setup import apple, mozilla, outlook
from mta.client_setup.offer import Offer, domain_of, offer_of
from mta.config.settings import Settings

#: Paths by document, in lower case: Outlook writes them as it likes.
_MOZILLA = frozenset({"/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"})
_OUTLOOK = "/autodiscover/autodiscover.xml"
_OUTLOOK_PLACE = "/autodiscover/autodiscover.json"
_APPLE = "/mail/apple.mobileconfig"
_XML, _JSON, _TEXT = "text/xml; charset=utf-8", "application/json", "text/plain; charset=utf-8"
_PROFILE = "application/x-apple-aspen-config"
#: An address as a person types it; it goes into documents and names nothing else.
_ADDRESS = re.compile(r"[^\s@\x00-\x20\x7f<>\"]{1,128}@[^\s@\x00-\x20\x7f<>\"]{1,255}\Z")


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered.

    :ivar headers: besides the type.
    """

    status: int
    type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def is_asked(path: str) -> bool:
    """Whether a path is one of ours."""
    path = path.lower()
    return path in _MOZILLA or path in (_OUTLOOK, _APPLE) or path.startswith(_OUTLOOK_PLACE)


def answer(
    settings: Settings, method: str, path: str, query: Mapping[str, str], host: str, body: bytes = b""
) -> Reply:
    """Answer a request whose path :func:`is_asked`.

    :param query: names in lower case.
    :param host: of the request, without a port.
    """
    path = path.lower()
    if method not in ("GET", "HEAD", "POST"):
        return Reply(405, _TEXT, b"Ask by GET.\n", (("allow", "GET, HEAD, POST"),))
    if path.startswith(_OUTLOOK_PLACE):
        status, told = outlook.place(
            query.get("protocol", ""), settings.client_setup.host or settings.hostname
        )
        return Reply(status, _JSON, told) if settings.client_setup.enabled else _nothing(_JSON)
    address = outlook.address_in(body) if path == _OUTLOOK else ""
    address = (address or query.get("emailaddress") or query.get("email") or "").strip()
    if address and not _ADDRESS.match(address):
        return _refused(path, 400, 600, "what is asked about is no address")
    if not address and path == _OUTLOOK and method == "POST":
        return _refused(path, 400, 600, "the request has no EMailAddress")
    offer = offer_of(settings, domain_of(address, host, settings.domains))
    if offer is None or not offer.services:
        return _refused(path, 404, 500, "this server has nothing to tell about that domain")
    return _document(path, offer, address)


def _document(path: str, offer: Offer, address: str) -> Reply:
    if path == _OUTLOOK:
        return Reply(200, _XML, outlook.document(offer, address))
    if path == _APPLE:
        if not address:
            return _refused(path, 400, 600, "add ?emailaddress=YOU@DOMAIN")
        profile = apple.profile(offer, address)
        if profile is None:
            return _refused(
                path, 404, 500, "this server has no listener to read mail from, or none to send by"
            )
        disposition = ("content-disposition", 'attachment; filename="mail.mobileconfig"')
        return Reply(200, _PROFILE, profile, (disposition,))
    return Reply(200, _XML, mozilla.document(offer), (("cache-control", "max-age=3600"),))


def _refused(path: str, status: int, code: int, words: str) -> Reply:
    if path == _OUTLOOK:
        # Outlook reads the document, and passes over it where the status is an error.
        return Reply(200, _XML, outlook.refusal(code, words))
    return Reply(status, _TEXT, f"{words[0].upper()}{words[1:]}.\n".encode())


def _nothing(kind: str) -> Reply:
    return Reply(404, kind, json.dumps({"ErrorCode": "NotFound", "ErrorMessage": "Not told here."}).encode())
