"""The document that Thunderbird, K-9, Evolution and others look for (Mozilla's autoconfig, version 1.1)."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from mta.client_setup.offer import Offer, Service


def document(offer: Offer) -> bytes:
    """The document, XML."""
    root = Element("clientConfig", version="1.1")
    provider = SubElement(root, "emailProvider", id=offer.domain)
    SubElement(provider, "domain").text = offer.domain
    SubElement(provider, "displayName").text = offer.name
    SubElement(provider, "displayShortName").text = offer.name
    for service in offer.services:
        _server(provider, offer, service)
    indent(root)
    text: bytes = tostring(root, "utf-8", xml_declaration=True)
    return text


def _server(provider: Element, offer: Offer, service: Service) -> None:
    way = "outgoingServer" if service.protocol == "smtp" else "incomingServer"
    server = SubElement(provider, way, type=service.protocol)
    for name, value in (
        ("hostname", offer.host),
        ("port", str(service.port)),
        ("socketType", "SSL" if service.implicit else "STARTTLS"),
        # As it is, inside TLS: what the format calls encrypted is CRAM-MD5.
        ("authentication", "password-cleartext"),
        ("username", "%EMAILADDRESS%"),
    ):
        SubElement(server, name).text = value
