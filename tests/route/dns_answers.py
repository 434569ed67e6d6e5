"""Answers of a DNS server, made from lines of a zone file."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

SOA = "{name} 300 IN SOA ns.test. admin.test. 1 7200 3600 86400 {minimum}"


def answer(
    query: bytes,
    *records: str,
    code: str = "NOERROR",
    minimum: int = 0,
    authority: tuple[str, ...] = (),
    truncated: bool = False,
    secure: bool = False,
) -> bytes:
    """A response.

    :param query: the octets of the question.
    :param records: lines such as ``far.test. 60 IN MX 10 mx.far.test.``.
    :param code: the response code.
    :param secure: whether it is validated, as far as that was asked.
    :param minimum: with one, an SOA of the root says how long a negative answer lives.
    """
    request = dns.message.from_wire(query)
    response = dns.message.make_response(request, recursion_available=True)
    response.set_rcode(dns.rcode.from_text(code))
    for line in records:
        _put(response.answer, line)
    if minimum:
        _put(response.authority, SOA.format(name=".", minimum=minimum))
    for line in authority:
        _put(response.authority, line)
    if secure and request.flags & dns.flags.AD:
        response.flags |= dns.flags.AD
    if truncated:
        response.flags |= dns.flags.TC
    return response.to_wire(max_size=65535)


def question_of(query: bytes) -> tuple[str, str, bool]:
    """Name, type, and whether EDNS is offered."""
    request = dns.message.from_wire(query)
    (question,) = request.question
    return question.name.to_text(omit_final_dot=True), question.rdtype.name, request.edns >= 0


def _put(section: list[dns.rrset.RRset], line: str) -> None:
    name, ttl, cls, kind, data = line.split(" ", 4)
    fresh = dns.rrset.from_text(name, int(ttl), cls, kind, data)
    for rrset in section:
        if (rrset.name, rrset.rdtype) == (fresh.name, fresh.rdtype):
            rrset.update(fresh)
            return
    section.append(fresh)
