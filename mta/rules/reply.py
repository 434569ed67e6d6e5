"""Whether a program may answer a message, and with what (RFC 3834, RFC 5230).  Pure.

Nobody is answered who is no person: lists, bounces, other programs, ourselves; nor is a message that was
not addressed to the owner.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr

from mta.rules.letter import Letter
from mta.rules.rule import Vacation

#: Who never reads an answer (RFC 3834, 2; RFC 5230, 4.6).
_NOBODY = re.compile(
    r"(?:mailer-daemon|postmaster|listserv|majordomo|mdaemon|root|hostmaster|abuse)\Z"
    r"|(?:owner|bounces?|no-?reply|do-?not-?reply|notifications?)(?:[-+_=.].*)?\Z|.*-(?:request|owner|relay|bounces?)\Z"
    r"|.*(?:no-?reply|do-?not-?reply)\Z",
    re.IGNORECASE,
)
_IN_BULK = ("bulk", "list", "junk")
_SUPPRESSED = ("all", "oof", "autoreply")


def why_not(letter: Letter, sender: str, own: Collection[str]) -> str:
    """Why a message is not answered, in words; ``""``: it may be.

    :param sender: its reverse-path.
    :param own: addresses of the owner, in lower case.
    """
    local = sender.rpartition("@")[0]
    words = letter.raw("auto-submitted").partition(";")[0].strip().lower()
    suppressed = {word.strip() for word in letter.raw("x-auto-response-suppress").lower().split(",")}
    addressed = {
        address.lower()
        for _, address in letter.people("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")
    }
    reasons = (
        ("it has the null reverse-path, as bounces have", not sender or "@" not in sender),
        ("it is from the owner", sender.lower() in own),
        (f"nobody reads what is sent to {sender}", bool(_NOBODY.match(local))),
        ("a filter calls it junk", letter.junk),
        ("a program has sent it (Auto-Submitted)", bool(words) and words != "no"),
        ("it comes from a list", any(name.startswith("list-") for name in letter.names())),
        ("it was sent in bulk (Precedence)", letter.raw("precedence").lower() in _IN_BULK),
        ("its sender wants no automatic reply", bool(suppressed & set(_SUPPRESSED))),
        ("it is an automatic reply", letter.has("x-autoreply") or letter.has("x-autorespond")),
        ("no field of it names the owner as a recipient", not addressed & set(own)),
    )
    return next((reason for reason, true in reasons if true), "")


def written(vacation: Vacation, letter: Letter, account: str, sender: str) -> bytes:
    """The reply, without Date and Message-ID.

    :param account: the owner's address.
    :param sender: whom it goes to.
    """
    author = vacation.sender or account
    plain = author.isascii() and sender.isascii()
    mail = EmailMessage(policy=SMTP.clone(utf8=not plain))
    before = next(iter(letter.texts("subject")), "")[:200]
    subject = vacation.subject or (f"Auto: {before}" if before else "Automatic reply")
    mail["From"] = formataddr(("", author))
    mail["To"] = sender
    mail["Subject"] = "".join(one if one.isprintable() else " " for one in subject)
    identifier = _identifier(letter.raw("message-id"))
    if identifier:
        mail["In-Reply-To"] = identifier
        known = [one for one in letter.raw("references").split() if _identifier(one)]
        mail["References"] = " ".join([*known[-10:], identifier])
    # RFC 3834, 3.1.7; and the word of programs that do not read it.
    mail["Auto-Submitted"] = "auto-replied (vacation)"
    mail["X-Auto-Response-Suppress"] = "All"
    text = vacation.text if vacation.text.endswith("\n") else vacation.text + "\n"
    mail.set_content(text, cte=None if text.isascii() else "quoted-printable")
    return mail.as_bytes()


def handle_of(vacation: Vacation, name: str) -> str:
    """What tells one reply from another: a new text may be sent to everybody again (RFC 5230, 4.4)."""
    return f"{name}\n{vacation.subject}\n{vacation.sender}\n{vacation.text}"


def _identifier(text: str) -> str:
    """A Message-ID that may be repeated; ``""`` for what is none."""
    text = text.strip()
    return text if re.fullmatch(r"<[!-;=?-~]{1,240}@[!-;=?-~]{1,240}>", text) else ""
