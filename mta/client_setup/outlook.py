"""What Outlook and other programs of Microsoft ask for (Autodiscover, the form for plain mail servers)."""

from __future__ import annotations

import json
import re
from html import unescape
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from mta.client_setup.offer import Offer, Service

_OUTER = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
_INNER = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_ADDRESS = re.compile(r"<(?:\w+:)?EMailAddress\s*>\s*([^<]{1,400}?)\s*</", re.IGNORECASE)
#: The forms in which the newer protocol gives a place.
_PLACES = {"autodiscoverv1": "AutodiscoverV1"}


def address_in(body: bytes) -> str:
    """The address that a request asks about; ``""`` if there is none.

    The body is a stranger's: nothing in it is parsed but the one element.
    """
    found = _ADDRESS.search(body[:65536].decode("utf-8", "replace"))
    return unescape(found[1]) if found else ""


def document(offer: Offer, address: str) -> bytes:
    """The answer about an address, XML."""
    root, response = _response(_INNER)
    SubElement(SubElement(response, "User"), "DisplayName").text = address
    account = SubElement(response, "Account")
    SubElement(account, "AccountType").text = "email"
    SubElement(account, "Action").text = "settings"
    for protocol in ("imap", "pop3", "smtp"):
        service = offer.best(protocol)
        if service is not None:
            _protocol(account, offer, service, address)
    return _text(root)


def _protocol(account: Element, offer: Offer, service: Service, address: str) -> None:
    protocol = SubElement(account, "Protocol")
    values = [
        ("Type", service.protocol.upper()),
        ("Server", offer.host),
        ("Port", str(service.port)),
        ("DomainRequired", "off"),
        ("LoginName", address),
        ("SPA", "off"),
        ("SSL", "on"),
        # Stands above SSL where a program knows it.
        ("Encryption", "SSL" if service.implicit else "TLS"),
        ("AuthRequired", "on"),
    ]
    if service.protocol == "smtp":
        values += [("UsePOPAuth", "on"), ("SMTPLast", "off")]
    for name, value in values:
        SubElement(protocol, name).text = value


def refusal(code: int, words: str) -> bytes:
    """An answer that has no settings.

    :param code: 500: the address is not known; 600: the request is none.
    """
    root, response = _response("")
    error = SubElement(response, "Error", Time="00:00:00", Id="0")
    SubElement(error, "ErrorCode").text = str(code)
    SubElement(error, "Message").text = words
    return _text(root)


def place(protocol: str, host: str) -> tuple[int, bytes]:
    """Where a protocol is spoken, for the newer form, JSON; with the status."""
    name = _PLACES.get(protocol.lower())
    if name is None:
        told = {"ErrorCode": "InvalidProtocol", "ErrorMessage": "Only AutodiscoverV1 is spoken here."}
        return 400, json.dumps(told).encode()
    return 200, json.dumps(
        {"Protocol": name, "Url": f"https://{host}/autodiscover/autodiscover.xml"}
    ).encode()


def _response(namespace: str) -> tuple[Element, Element]:
    root = Element("Autodiscover", xmlns=_OUTER)
    return root, SubElement(root, "Response", {"xmlns": namespace} if namespace else {})


def _text(root: Element) -> bytes:
    indent(root)
    text: bytes = tostring(root, "utf-8", xml_declaration=True)
    return text
