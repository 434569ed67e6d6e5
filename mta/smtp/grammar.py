"""The grammar of paths and ESMTP parameters (RFC 5321, 4.1.2; RFC 6531, 3.3; RFC 3461, 4).

Strict where a wrong reading could send mail astray, lenient where the whole
world is: white space after ``FROM:`` and ``TO:``, and an underscore in a domain.
What is wrong is told in words, as a :class:`SyntaxProblem`.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from mta.model.address import MAX_DOMAIN, MAX_LOCAL_PART, Address

#: RFC 5321, 4.5.3.1.3: octets of a path with its punctuation, source route aside.
MAX_PATH = 256
MAX_LABEL = 63


class SyntaxProblem(ValueError):
    """What was sent does not follow the grammar; the text says how, in words for the client."""


class UnknownParameter(ValueError):
    """An ESMTP parameter that we did not offer; the text is its keyword."""


_UTF8 = "\u0080-\U0010ffff"
_ATOM = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~\-{_UTF8}]+"
_DOT_STRING = rf"{_ATOM}(?:\.{_ATOM})*"
_LABEL = rf"[A-Za-z0-9_{_UTF8}](?:[A-Za-z0-9_\-{_UTF8}]*[A-Za-z0-9_{_UTF8}])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"

_SIMPLE = re.compile(rf"({_DOT_STRING})@({_DOMAIN})\Z")
_LOCAL = re.compile(rf"{_DOT_STRING}\Z")
_DOMAIN_ONLY = re.compile(rf"{_DOMAIN}\Z")
_QUOTED = re.compile(rf'"((?:[ !#-\[\]-~{_UTF8}]|\\[ -~])*)"')
_ESCAPE = re.compile(r"\\(.)")
_ROUTE = re.compile(r"@[^@,:]+(?:,@[^@,:]+)*:")

# A ">" inside a quoted local part does not end the path.
_ARGUMENT = rb':[ \t]*<((?:"(?:[^"\\]|\\.)*"|[^<>"])*)>(?:[ \t]+(.*))?\Z'
_FROM = re.compile(rb"FROM" + _ARGUMENT, re.IGNORECASE | re.DOTALL)
_TO = re.compile(rb"TO" + _ARGUMENT, re.IGNORECASE | re.DOTALL)

_PARAMETER = re.compile(rb"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\x80-\xff]+))?\Z")
_HELLO = re.compile(r"(?:\[[A-Za-z0-9:.%\-]+\]|[A-Za-z0-9_?][A-Za-z0-9_.:%\-?]*)\Z")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-Fa-f]{2})*\Z")
_XTEXT_HEX = re.compile(r"\+([0-9A-Fa-f]{2})")

Parameters = list[tuple[str, str | None]]


def mail_argument(argument: bytes) -> tuple[str, bytes]:
    """Take apart what follows MAIL.

    :return: the reverse-path, canonical (``""`` for ``<>``), and the parameters.
    :raise SyntaxProblem: if it is not ``FROM:<path>`` with or without parameters.
    """
    match = _FROM.match(argument)
    if match is None:
        raise SyntaxProblem("write it as MAIL FROM:<user@example.org>")
    path, parameters = match.groups()
    return (parse_path(_text(path)) if path else ""), parameters or b""


def recipient_argument(argument: bytes) -> tuple[str, bytes]:
    """Take apart what follows RCPT.

    :return: the forward-path, canonical or bare ``postmaster``, and the parameters.
    :raise SyntaxProblem: if it is not ``TO:<path>`` with or without parameters.
    """
    match = _TO.match(argument)
    if match is None:
        raise SyntaxProblem("write it as RCPT TO:<user@example.org>")
    path, parameters = match.groups()
    if not path:
        raise SyntaxProblem("a recipient cannot be empty")
    text = _text(path)
    if text.lower() == "postmaster":
        return "postmaster", parameters or b""
    return parse_path(text), parameters or b""


def parse_path(text: str) -> str:
    """The canonical form of what stands between < and >; a source route is dropped.

    :raise SyntaxProblem: if it is no mailbox.
    """
    if text.startswith("@"):
        # RFC 5321, appendix C: a source route is accepted and ignored.
        route = _ROUTE.match(text)
        if route is None:
            raise SyntaxProblem("the source route is not @host,@host:user@example.org")
        text = text[route.end() :]
    ascii_only = text.isascii()
    size = len(text) if ascii_only else len(text.encode())
    if size > MAX_PATH - 2:
        raise SyntaxProblem(f"the path is longer than {MAX_PATH} octets")
    if not ascii_only:
        _printable(text)
    match = _SIMPLE.match(text)
    if match is None:
        return _unusual(text)
    local, domain = match.groups()
    _sizes(local, domain)
    return f"{local}@{domain.lower()}"


def _unusual(text: str) -> str:
    """A mailbox with a quoted local part or an address literal, or none at all."""
    quoted = _QUOTED.match(text)
    if quoted is not None:
        local = _ESCAPE.sub(r"\1", quoted[1])
        rest = text[quoted.end() :]
        if not rest.startswith("@"):
            raise SyntaxProblem("after the quoted local part comes @ and a domain")
        domain = rest[1:]
        if not local:
            raise SyntaxProblem("the part before the @ is empty")
    else:
        if text.startswith('"'):
            raise SyntaxProblem("the quoted local part has no end, or holds a control character")
        local, at, domain = text.rpartition("@")
        if not at:
            raise SyntaxProblem("an address is user@example.org; the @ and the domain are missing")
        if not _LOCAL.match(local):
            raise SyntaxProblem("the part before the @ is not a valid local part")
    if domain.startswith("["):
        domain = parse_literal(domain)
    elif not _DOMAIN_ONLY.match(domain):
        raise SyntaxProblem("the part behind the @ is not a valid domain")
    _sizes(local, domain)
    return str(Address(local, domain.lower()))


def parse_literal(text: str) -> str:
    """An address literal (RFC 5321, 4.1.3), brackets included, in its shortest form.

    :raise SyntaxProblem: if it is none, or of a kind that nobody registered.
    """
    inner = text[1:-1]
    try:
        if text.endswith("]"):
            if inner[:5].lower() == "ipv6:":
                if "%" not in inner:
                    return f"[ipv6:{IPv6Address(inner[5:])}]"
            else:
                return f"[{IPv4Address(inner)}]"
    except AddressValueError:
        pass
    raise SyntaxProblem("an address literal is [192.0.2.1] or [IPv6:2001:db8::1]")


def _sizes(local: str, domain: str) -> None:
    size = len(local) if local.isascii() else len(local.encode())
    if size > MAX_LOCAL_PART:
        raise SyntaxProblem(f"the part before the @ is longer than {MAX_LOCAL_PART} octets")
    if len(domain) > MAX_LABEL:
        if len(domain.encode()) > MAX_DOMAIN:
            raise SyntaxProblem(f"the domain is longer than {MAX_DOMAIN} octets")
        if not domain.startswith("[") and max(map(len, domain.split("."))) > MAX_LABEL:
            raise SyntaxProblem(f"a label of the domain is longer than {MAX_LABEL} octets")


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise SyntaxProblem("the address is neither ASCII nor UTF-8") from None


def _printable(text: str) -> None:
    # The zero-width joiners are letters' companions in Indic and Persian scripts.
    if not text.replace("\u200c", "").replace("\u200d", "").isprintable():
        raise SyntaxProblem("the address holds a character that cannot be printed")


def parse_parameters(octets: bytes) -> Parameters:
    """ESMTP parameters as (keyword in upper case, value or ``None``), in order.

    :raise SyntaxProblem: if one breaks the grammar or comes twice.
    """
    found: Parameters = []
    seen = set()
    for item in octets.split():
        match = _PARAMETER.match(item)
        if match is None:
            raise SyntaxProblem("a parameter is KEYWORD or KEYWORD=value")
        octet_keyword, value = match.groups()
        keyword = octet_keyword.decode().upper()
        if keyword in seen:
            raise SyntaxProblem(f"the parameter {keyword[:32]} is given twice")
        seen.add(keyword)
        try:
            found.append((keyword, None if value is None else value.decode()))
        except UnicodeDecodeError:
            raise SyntaxProblem(f"the value of {keyword[:32]} is neither ASCII nor UTF-8") from None
    return found


def parse_hello(argument: bytes) -> str:
    """The name behind HELO, EHLO or LHLO: a domain or address literal, or what passes for one.

    Whether it is true is for judges; that it can stand in a header field is for
    us.  Machines whose owners named them outside ASCII must be able to send mail,
    but such letters may not stand there (RFC 6531, 3.7.1), and become ``?``.

    :raise SyntaxProblem: if it is empty, too long, or has characters of no name.
    """
    if not argument:
        raise SyntaxProblem("your host name is missing")
    if len(argument) > MAX_DOMAIN:
        raise SyntaxProblem(f"your host name is longer than {MAX_DOMAIN} octets")
    text = argument.decode("utf-8", "replace").encode("ascii", "replace").decode()
    if _HELLO.match(text) is None:
        raise SyntaxProblem("that is neither a host name nor an address literal such as [192.0.2.1]")
    return text


def decode_xtext(text: str, what: str) -> str:
    """Undo xtext (RFC 3461, 4).

    :param what: the parameter, for the complaint.
    :raise SyntaxProblem: if it is not xtext, or hides a control character or non-ASCII.
    """
    if not _XTEXT.match(text):
        raise SyntaxProblem(f"the value of {what} is not xtext")
    if "+" in text:
        text = _XTEXT_HEX.sub(lambda match: chr(int(match[1], 16)), text)
        # It ends up in header fields of notifications, where a decoded line
        # break would forge further ones.
        if not (text.isascii() and text.isprintable()):
            raise SyntaxProblem(f"the value of {what} holds a character that cannot be printed")
    return text
