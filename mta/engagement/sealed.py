"""Whether a message is signed or encrypted already, so that whoever changes it breaks it; pure."""

from __future__ import annotations

import re
from email.message import Message

from mta.model.header import field_value, has_field

_DOMAIN = re.compile(rb"(?:^|;)\s*d\s*=\s*([^;\s]{1,255})")
#: RFC 9580, 6.2, and the cleartext framework of 7: armour at the start of a line.
_ARMOUR = re.compile(r"(?m)^-----BEGIN PGP (SIGNED MESSAGE|MESSAGE)-----")
_SIGNERS = {"pgp": "PGP", "pkcs7": "S/MIME"}


def signed_header(header: bytes) -> str:
    """Who has signed a message as it was sent to us; ``""``: nobody.

    :param header: its header section.
    """
    value = field_value(header, b"dkim-signature")
    if value is not None:
        found = _DOMAIN.search(value)
        by = f" by {found[1].decode('ascii', 'replace')}" if found else ""
        return f"it is signed with DKIM{by} already, and would not verify any more"
    if has_field(header, b"arc-seal"):
        return "it is sealed with ARC, and would not verify any more"
    return ""


def sealed_part(fields: Message[str, str], kind: str) -> str:
    """Why a part may not be changed; ``""``: it may.

    :param fields: its header.
    :param kind: its media type, in lower case.
    """
    if kind == "multipart/signed":
        protocol = str(fields.get_param("protocol", "")).lower()
        by = next((name for word, name in _SIGNERS.items() if word in protocol), "")
        return f"it is signed{f' with {by}' if by else ''}, and would not verify any more"
    if kind == "multipart/encrypted":
        return "it is encrypted"
    if kind in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        signed = str(fields.get_param("smime-type", "")).lower() == "signed-data"
        return "it is signed with S/MIME" if signed else "it is encrypted with S/MIME"
    return "it is encrypted with PGP" if kind == "application/pgp-encrypted" else ""


def sealed_text(text: str) -> str:
    """The same of a text that may have PGP's armour in it."""
    found = _ARMOUR.search(text)
    if found is None:
        return ""
    return (
        "its text is signed with PGP" if found[1].startswith("SIGNED") else "its text is encrypted with PGP"
    )
