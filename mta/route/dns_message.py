"""One question to the DNS and its answer, as octets (RFC 1035, RFC 6891).

dnspython writes and reads the messages: it checks what it parses strictly, is
fuzzed and maintained, and follows CNAME chains within an answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename

#: Octets of an answer over UDP: what passes every path without fragments (DNS flag day 2020).
UDP_PAYLOAD = 1232

#: Octets of a response at the most for it to be remembered: strangers fill the cache.
_REMEMBERED = 4096
_TRUNCATED = 0x02
_RESPONSE = 0x80
_NO_EDNS = frozenset({dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS})


@dataclass(frozen=True, slots=True)
class Records:
    """What the DNS says of one name and type.

    :ivar values: (preference, host) for MX, addresses for A and AAAA, names
        for PTR and CNAME, octets for TXT, (usage, selector, matching type, data) for TLSA.
    :ivar exists: ``False`` when there is no such name (NXDOMAIN).
    :ivar ttl: seconds for which that may be believed.
    :ivar alias: the end of a CNAME chain about which must be asked further.
    :ivar stale: whether its time is over, and nobody answers (RFC 8767).
    :ivar name: the end of all CNAMEs, which has the values; ``""`` if it is the name asked for.
    :ivar secure: whether the server says that it has validated all of it (AD, RFC 4035, 3.2.3).
    """

    values: tuple[Any, ...] = ()
    exists: bool = True
    ttl: int = 0
    alias: str = ""
    stale: bool = False
    secure: bool = False
    name: str = ""


class ServerTrouble(Exception):
    """A server did not answer the question; another one may.

    :ivar final: it said so itself; asking it again changes nothing.
    """

    def __init__(self, text: str, final: bool = True) -> None:
        super().__init__(text)
        self.final = final


class EdnsUnknown(ServerTrouble):
    """A server from before 1999: ask it without EDNS."""


class Question:
    """One question.

    :param name: in its ASCII form.
    :param kind: the type, such as ``MX``.
    :param edns: whether to offer larger answers.
    """

    __slots__ = ("_message", "edns", "kind", "name", "octets")

    def __init__(self, name: str, kind: str, edns: bool = True) -> None:
        self.name = name
        self.kind = kind
        self.edns = edns
        self._message = dns.message.make_query(
            dns.name.from_text(name),
            kind,
            use_edns=0 if edns else False,
            payload=UDP_PAYLOAD,
            id=secrets.randbelow(65536),
        )
        # Asks to be told whether the answer was validated (RFC 6840, 5.7).
        self._message.flags |= dns.flags.AD
        self.octets: bytes = self._message.to_wire()

    def accepts(self, octets: bytes) -> bool:
        """Whether that is a response under our id; anything else came from somebody else."""
        return len(octets) >= 12 and octets[:2] == self.octets[:2] and bool(octets[2] & _RESPONSE)

    @staticmethod
    def is_truncated(octets: bytes) -> bool:
        """Whether the answer must be asked for over TCP."""
        return bool(octets[2] & _TRUNCATED)

    def read(self, octets: bytes) -> Records:
        """The answer.

        :raise EdnsUnknown: if the server does not know EDNS.
        :raise ServerTrouble: if this is no answer.
        """
        try:
            response = dns.message.from_wire(octets, ignore_trailing=True)
            if not self._message.is_response(response):
                raise ServerTrouble("answers another question", final=False)
            code = response.rcode()
            if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                trouble = EdnsUnknown if self.edns and code in _NO_EDNS else ServerTrouble
                raise trouble(f"answers {dns.rcode.to_text(code)}")
            if not isinstance(response, dns.message.QueryMessage):
                raise ServerTrouble("answers something that is no query")
            chain = response.resolve_chaining()
        except (dns.exception.DNSException, ValueError, IndexError) as error:
            raise ServerTrouble(f"sends a malformed answer ({type(error).__name__})") from None
        secure = bool(response.flags & dns.flags.AD)
        authority = any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority)
        if chain.answer is not None:
            convert = _CONVERT[self.kind]
            ttl = chain.minimum_ttl if len(octets) <= _REMEMBERED else 0
            name = _text(chain.canonical_name) if chain.cnames else ""
            values = tuple(convert(rdata) for rdata in chain.answer)
            return Records(values, True, ttl, secure=secure, name=name)
        if code == dns.rcode.NXDOMAIN:
            return Records((), False, chain.minimum_ttl if authority else 0, secure=secure)
        if chain.cnames and not authority:
            ttl = min(rrset.ttl for rrset in chain.cnames)
            return Records((), True, ttl, _text(chain.canonical_name), secure=secure)
        if (
            not chain.cnames
            and not authority
            and any(r.rdtype == dns.rdatatype.NS for r in response.authority)
        ):
            # A referral: this server knows only who might know, and is no resolver (RFC 2308, 2.2).
            raise ServerTrouble("only refers to other servers; it must be a resolver that does recursion")
        name = _text(chain.canonical_name) if chain.cnames else ""
        return Records((), True, chain.minimum_ttl if authority else 0, secure=secure, name=name)


def reverse_name(address: str) -> str:
    """The name under which the PTR records of an IP address stand.

    :raise ValueError: if it is no address.
    """
    try:
        return _text(dns.reversename.from_address(address))
    except dns.exception.DNSException as error:
        raise ValueError(f"{address!r} is no IP address") from error


def _text(name: dns.name.Name) -> str:
    """Without the final dot, in lower case; the root is ``""``."""
    return "" if name == dns.name.root else name.to_text(omit_final_dot=True).lower()


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "MX": lambda rdata: (rdata.preference, _text(rdata.exchange)),
    "A": lambda rdata: rdata.address,
    "AAAA": lambda rdata: rdata.address,
    "CNAME": lambda rdata: _text(rdata.target),
    "PTR": lambda rdata: _text(rdata.target),
    "TLSA": lambda rdata: (rdata.usage, rdata.selector, rdata.mtype, bytes(rdata.cert)),
    "TXT": lambda rdata: b"".join(rdata.strings),
}
