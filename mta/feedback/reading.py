"""From the octets of a message to what it says: a bounce, a complaint, or nothing; pure.

RFC 3464, RFC 5965, RFC 8460 and RFC 9990 are read by us.  What is none of these is given to
flufl.bounce, which knows what some dozens of servers write.  It is to run in a thread: its
patterns take their time.
"""

from __future__ import annotations

import logging
import re
from email.message import Message
from typing import Any

from flufl.bounce import all_failures

from mta.feedback.abuse_report import abuse_report
from mta.feedback.delivery_status import delivery_status, status_in
from mta.feedback.dmarc_report import LONGEST as LONGEST_DMARC_REPORT
from mta.feedback.dmarc_report import dmarc_report, is_dmarc_report
from mta.feedback.mime import parse, parts, words
from mta.feedback.report import Action, Reading, RecipientReport
from mta.feedback.returned import traces
from mta.feedback.tls_report import LONGEST as LONGEST_TLS_REPORT
from mta.feedback.tls_report import is_tls_report, tls_report
from mta.model.dmarc_report import BadDmarcReport
from mta.model.header import header_section
from mta.model.tls_report import BadTlsReport

#: Octets of a report that are read: what is behind them is the returned message's body.
LONGEST = 256 * 1024
#: A reply of SMTP in a text.
_REPLY = re.compile(r"(?<![\d.])([45]\d\d)[ \-:]+#?(?:[45]\.\d+\.\d+)?|#?[45]\.\d{1,3}\.\d{1,3}(?![\d.])")
_LINES = 6
#: Octets, and recipients, of a report in another format: its words stand before what it returns,
#: and its readers take their time for each line.
_LONGEST_TEXT = 64 * 1024
_MOST = 100
# It tells of each message that it cannot read, with a traceback.
logging.getLogger("flufl.bounce").disabled = True


def read(octets: bytes) -> Reading:
    """What a message says.  Never raises, whatever it is."""
    octets = octets[: longest(octets)]
    try:
        message = parse(octets)
    except RecursionError:
        # Parts within parts within parts: the library's parser follows them all.
        return Reading()
    try:
        report = tls_report(message)
    except BadTlsReport as bad:
        return Reading("rfc8460", problem=str(bad))
    if report is not None:
        return Reading("rfc8460", tls=report)
    try:
        aggregate = dmarc_report(message)
    except BadDmarcReport as bad:
        return Reading("rfc9990", problem=str(bad))
    if aggregate is not None:
        return Reading("rfc9990", dmarc=aggregate)
    complaint = abuse_report(message)
    if complaint is not None:
        return Reading("rfc5965", complaint=complaint, traces=traces(message, octets))
    found = delivery_status(message)
    if found:
        return Reading("rfc3464", found, traces=traces(message, octets))
    found = _other(message, octets)
    return Reading("text" if found else "", found, traces=traces(message, octets))


def longest(start: bytes) -> int:
    """Octets of a message that are read.

    :param start: of the message, with its header section.
    """
    header = header_section(start[:LONGEST])
    if is_tls_report(header):
        return LONGEST_TLS_REPORT
    return LONGEST_DMARC_REPORT if is_dmarc_report(header) else LONGEST


def _other(message: Message[str, str], octets: bytes) -> list[RecipientReport]:
    """What flufl.bounce finds; it tells addresses, and whether it is for good."""
    scan: Any = all_failures
    try:
        temporary, permanent = scan(_with_clean_header(octets[:_LONGEST_TEXT]))
    except Exception:
        # Its readers expect messages that are whole; what is too broken for them says nothing.
        return []
    if not temporary and not permanent:
        return []
    lines = _text(message).splitlines()
    permanent, temporary = sorted(permanent)[:_MOST], sorted(temporary)[:_MOST]
    failed = [_told(address.decode("ascii", "replace"), "failed", lines) for address in permanent]
    return failed + [_told(address.decode("ascii", "replace"), "delayed", lines) for address in temporary]


def _with_clean_header(octets: bytes) -> Message[str, str]:
    """What is not ASCII in the header is no text for the library, and its readers fall over it."""
    end = re.search(rb"\r?\n\r?\n", octets)
    header = octets[: end.start()] if end else octets
    return parse(re.sub(rb"[\x80-\xff]", b"?", header) + octets[len(header) :])


def _told(address: str, action: Action, lines: list[str]) -> RecipientReport:
    """With what the text says near the address."""
    for number, line in enumerate(lines):
        if address.lower() not in line.lower():
            continue
        near = lines[number : number + _LINES]
        said = next((place for place, one in enumerate(near) if _REPLY.search(one)), None)
        if said is not None:
            text = words(" ".join(near[said : said + 3]), 500)
            return RecipientReport(address, "", action, status_in(text), text)
    return RecipientReport(address, "", action)


def _text(message: Message[str, str]) -> str:
    texts = []
    for part in parts(message):
        payload = part.get_payload(decode=True)
        if part.get_content_maintype() == "text" and isinstance(payload, bytes):
            texts.append(payload.decode("utf-8", "replace"))
    return "\n".join(texts)[:65536]
