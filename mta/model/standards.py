"""What a code means by the standards, whoever gave it.

``mta explain`` shows this after our own entry of the catalogue.  The tables are
:mod:`~mta.model.standards_replies` and :mod:`~mta.model.standards_status`; codes
that no table has are explained by their digits (RFC 5321, 4.2.1; RFC 3463, 2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mta.model.standard import Standard
from mta.model.standards_replies import REPLY_CODES
from mta.model.standards_status import CLASSES, STATUS_CODES, SUBJECTS

_REPLIES = {item.code: item for item in REPLY_CODES}
_STATUS = {item.code: item for item in STATUS_CODES}

_SEVERITY = {
    "2": ("success", "The command was carried out."),
    "3": ("go on", "The server waits for what comes next."),
    "4": ("temporary", "Not now: mail servers keep the message and try again."),
    "5": ("permanent", "Not at all: trying again without a change does not help."),
}
_CATEGORY = {
    "0": "syntax",
    "1": "information that was asked for",
    "2": "the connection",
    "3": "authentication",
    "5": "the mail system and the mailbox",
}

_PASTED = re.compile(
    r"(?<![\d.])(?P<code>[2-5][0-5]\d)(?:[ \-]+\#?(?P<enhanced>[245]\.\d{1,3}\.\d{1,3})(?!\.?\d))?(?![\d.])"
    r"|(?<![\d.])\#?(?P<alone>[245]\.\d{1,3}\.\d{1,3})(?!\.?\d)"
)


@dataclass(frozen=True, slots=True)
class Codes:
    """What a pasted text has of codes.

    :ivar reply: three digits, or ``""``.
    :ivar enhanced: such as ``5.7.26``, or ``""``.
    """

    reply: str = ""
    enhanced: str = ""

    def __bool__(self) -> bool:
        return bool(self.reply or self.enhanced)


def codes_in(text: str) -> Codes:
    """The codes of a reply line, a line of a log, or a bounce.

    The first reply code with an enhanced code behind it wins; otherwise the
    first of each.
    """
    reply = enhanced = ""
    for match in _PASTED.finditer(text):
        if match["enhanced"]:
            return Codes(match["code"], match["enhanced"])
        reply = reply or match["code"] or ""
        enhanced = enhanced or match["alone"] or ""
    return Codes(reply, enhanced)


def reply_code(code: str) -> Standard | None:
    """What a reply code means; by its digits if no standard defines it.

    :param code: three digits.
    :return: ``None`` if it cannot be a reply code.
    """
    if code in _REPLIES:
        return _REPLIES[code]
    if not re.fullmatch(r"[2-5]\d\d", code):
        return None
    severity, expect = _SEVERITY[code[0]]
    category = _CATEGORY.get(code[1], "something that no standard names")
    return Standard(
        code,
        f"Not a standard code ({severity})",
        f"By its digits: {severity}, about {category}. {expect}",
        "The server uses a code of its own.",
        "Read the words behind it.",
    )


def status_code(code: str) -> Standard | None:
    """What an enhanced status code means; by its numbers if the registry has it not.

    :param code: such as ``5.7.26``; ``X.7.26`` is taken too.
    :return: ``None`` if it cannot be an enhanced status code.
    """
    match = re.fullmatch(r"([245Xx])\.(\d{1,3})\.(\d{1,3})", code)
    if not match:
        return None
    kind, subject, detail = match.groups()
    severity, expect = CLASSES.get(kind, ("", ""))
    known = _STATUS.get(f"{int(subject)}.{int(detail)}")
    if known is not None:
        meaning = f"{known.meaning} {expect}".rstrip()
        title = f"{known.title} ({severity})" if severity else known.title
        return Standard(code, title, meaning, known.cause, known.remedy, known.source)
    about = SUBJECTS.get(subject, "a subject that no standard names")
    return Standard(
        code,
        f"Not a registered code ({severity or 'any class'})",
        f"By its numbers: about {about}. {expect}".rstrip(),
        "The server uses a code of its own.",
        "Read the words behind it, and the server's own documentation.",
    )
