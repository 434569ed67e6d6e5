"""Who reports, the id of a report, and the mail that carries it; pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from hashlib import blake2b

from mta.model.address import domain_of

DAY = 86400


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports.

    :ivar organization: its name.
    :ivar contact: an address at which a person answers.
    :ivar sender: from which reports are sent.
    :ivar hostname: of this server.
    """

    organization: str
    contact: str
    sender: str
    hostname: str

    @property
    def submitter(self) -> str:
        """The domain that reports: that of ``contact``, of which ``sender`` is, too."""
        return domain_of(self.contact)

    def identifier(self, day: str, domain: str, target: str, variant: str = "") -> str:
        """The id of a report: ``2026-01-31_a1b2c3d4a1b2c3d4@example.org``; also good as a Message-ID.

        It is the same for the same report, so that whoever gets it twice knows.
        """
        words = "\n".join((self.hostname, day, domain, target, *filter(None, (variant,)))).encode()
        return f"{day}_{blake2b(words, digest_size=8).hexdigest()}@{self.submitter}"


def unique(identifier: str) -> str:
    """What makes an id unique: letters and digits."""
    return identifier.partition("_")[2].partition("@")[0]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a mail.

    :ivar kind: its media type.
    """

    kind: str
    filename: str
    data: bytes


def mail(
    reporter: Reporter,
    identifier: str,
    domain: str,
    to: str,
    now: float,
    *,
    content_type: str,
    fields: Sequence[str],
    about: str,
    words: str,
    attachment: Attachment,
) -> bytes:
    """The message, lines ended by CRLF.  It is to be signed with DKIM for ``reporter.submitter``.

    :param identifier: of the report.
    :param domain: that it is about.
    :param to: address.
    :param content_type: of the whole, without its boundary.
    :param fields: further lines of the header.
    :param about: a line for programs that show no parts.
    :param words: what a person reads.
    """
    boundary = f"=_{unique(identifier)}"
    subject = f"Report Domain: {domain} Submitter: {reporter.submitter} Report-ID: <{identifier}>"
    lines = [
        f"Date: {formatdate(now, usegmt=True)}",
        f"From: <{reporter.sender}>",
        f"To: <{to}>",
        f"Subject: {_folded(subject)}",
        f"Message-ID: <{identifier}>",
        *fields,
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        f'Content-Type: {content_type};\r\n\tboundary="{boundary}"',
        "",
        about,
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: base64",
        "",
        *_base64(words.encode()),
        f"--{boundary}",
        f"Content-Type: {attachment.kind}",
        "Content-Transfer-Encoding: base64",
        f'Content-Disposition: attachment;\r\n\tfilename="{attachment.filename}"',
        "",
        *_base64(attachment.data),
        f"--{boundary}--",
        "",
    ]
    return "\r\n".join(lines).encode("utf-8")


def _folded(text: str) -> str:
    """A header field's value with a line for each word that has its name before it."""
    return re.sub(r" (?=Submitter:|Report-ID:)", "\r\n\t", text)


def _base64(data: bytes) -> list[str]:
    text = base64.b64encode(data).decode()
    return [text[start : start + 76] for start in range(0, len(text), 76)] or [""]
