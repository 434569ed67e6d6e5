"""Lists of addresses as other services' requests have them: one text, as in a header field."""

from __future__ import annotations

from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import getaddresses

from mta.api.v1.person import Person


class WrongAddress(ValueError):
    """An address cannot be used.

    :ivar address: as it stands in the request.
    """

    def __init__(self, address: str, why: str) -> None:
        super().__init__(why)
        self.address = address


def people(text: str) -> list[Person]:
    """The addresses of a text such as ``Ann <ann@example.org>, ben@example.org`` (RFC 5322, 3.4).

    :raise WrongAddress: if one of them is none.
    """
    text = text.strip().strip(",").strip()
    if not text:
        return []
    found = []
    for name, address in getaddresses([text], strict=True):
        if not address:
            raise WrongAddress(text, "it is no list of addresses")
        try:
            found.append(Person(email=address, name=_decoded(name)))
        except ValueError as error:
            raise WrongAddress(address, _why(error)) from None
    return found


def _decoded(name: str) -> str:
    """A name without encoded words (RFC 2047)."""
    if "=?" not in name:
        return name
    try:
        return str(make_header(decode_header(name)))
    except (HeaderParseError, LookupError, ValueError):
        return name


def _why(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    return "; ".join(one["msg"].removeprefix("Value error, ") for one in errors(include_context=False))
