"""What the codes of a failed delivery mean, in words for the person who sent the message; pure.

Our own findings carry the catalogue's cause and remedy.  For what another server
said there is a table by its enhanced status code (RFC 3463), since most servers
agree on those even where their words help nobody.
"""

from __future__ import annotations

import re
from functools import lru_cache

from mta.model.delivery_replies import DELIVERY
from mta.model.outcome import RemoteReply
from mta.model.reply_entry import Entry

#: By enhanced code without its class: what it usually means, and what to do.
_BY_CODE: dict[str, tuple[str, str]] = {
    "1.0": (
        "The other server does not accept this address.",
        "Check the address letter by letter, or ask the recipient for the right one.",
    ),
    "1.1": (
        "There is no such mailbox: the part before the @ is misspelt, or the mailbox was closed.",
        "Check the address letter by letter, or ask the recipient in another way for the right one.",
    ),
    "1.2": (
        "The other server does not know the domain, the part behind the @.",
        "Check its spelling.",
    ),
    "1.3": (
        "The other server does not take this for an address.",
        "Check the address for missing parts and stray characters.",
    ),
    "1.6": (
        "The mailbox has moved, and nobody said where to.",
        "Ask the recipient in another way for the new address.",
    ),
    "1.7": (
        "The other server does not accept the sender's address.",
        "Check the sender's address in the settings of your mail program.",
    ),
    "1.8": (
        "The other server cannot find the sender's domain in the DNS.",
        "Check the sender's address in your mail program; otherwise tell your postmaster.",
    ),
    "1.10": (
        "The domain has said that it never takes mail.",
        "Use another address of the recipient.",
    ),
    "2.0": ("Something is wrong with the recipient's mailbox.", "Tell the recipient in another way."),
    "2.1": (
        "The mailbox exists but is switched off, or its owner has not used it for long.",
        "Reach the recipient in another way.",
    ),
    "2.2": (
        "The recipient's mailbox is full.",
        "Tell the recipient in another way, and send again when there is room.",
    ),
    "2.3": (
        "The message is larger than this recipient may receive.",
        "Send a smaller one, or a link instead of the attachment.",
    ),
    "2.4": (
        "The address is a mailing list that could not be expanded.",
        "Tell the owner of the list.",
    ),
    "3.0": ("The other server has trouble of its own.", "Send again later."),
    "3.1": ("The disk of the other server is full.", "Send again later."),
    "3.2": ("The other server takes no mail at the moment.", "Send again later."),
    "3.4": (
        "The message is larger than the other server takes.",
        "Send a smaller one, or a link instead of the attachment.",
    ),
    "3.5": (
        "The other server is not set up as it should be.",
        "Tell the recipient, or the other side's postmaster, in another way.",
    ),
    "4.0": ("The network, or the way to the other server, is in trouble.", "Send again later."),
    "4.1": (
        "No mail server of the recipient's domain answered.",
        "Check the part behind the @; if it is right, send again later.",
    ),
    "4.2": ("The connection to the other server broke off.", "Send again later."),
    "4.3": (
        "The DNS, by which the other server is found, did not answer.",
        "Check the part behind the @; if it is right, send again later.",
    ),
    "4.4": (
        "Nobody says which server takes mail for this domain.",
        "Check the part behind the @.",
    ),
    "4.5": ("The other server has more mail than it can handle.", "Send again later."),
    "4.6": (
        "The message went in a circle: servers or forwards point at each other.",
        "Tell the recipient, who may have a forward that leads back, or the postmaster.",
    ),
    "4.7": (
        "The message waited for too long: no attempt succeeded in time.",
        "The last answer tells what was in the way; send again when it is mended.",
    ),
    "5.0": ("The two servers did not understand each other.", "Tell your postmaster."),
    "5.2": ("The two servers did not understand each other.", "Tell your postmaster."),
    "5.3": ("The message had more recipients than the other server takes at once.", "Send it to fewer."),
    "5.4": ("The two servers did not understand each other.", "Tell your postmaster."),
    "6.0": (
        "The other server does not accept what is in the message, or how it is written.",
        "Send it as plain text without attachments, to see what it objects to.",
    ),
    "6.3": ("The message has to be converted for the other server, and cannot be.", "Send it as plain text."),
    "6.7": (
        "The other server takes no internationalised addresses.",
        "Send from and to addresses in ASCII.",
    ),
    "7.0": (
        "The other server refused the message by its own rules, often as suspected spam.",
        "Read what it said: there may be a link or a telephone number; otherwise ask the recipient.",
    ),
    "7.1": (
        "The other server refused the message by its own rules: this sender may not write to this "
        "recipient, or it takes the message for spam.",
        "Read what it said: there may be a link that tells more; otherwise ask the recipient "
        "to let you write.",
    ),
    "7.2": ("Only some may write to this mailing list.", "Ask the owner of the list."),
    "7.4": ("The other server demands security that the message does not have.", "Tell your postmaster."),
    "7.5": ("The connection could not be secured as is demanded.", "Tell your postmaster."),
    "7.20": ("A signature (DKIM) of the message did not pass.", "Tell your postmaster."),
    "7.23": (
        "The sender's domain does not allow this server to send for it (SPF).",
        "Send through your own provider's server; otherwise tell your postmaster.",
    ),
    "7.25": ("The sending server has no proper name in the DNS.", "Tell your postmaster."),
    "7.26": (
        "The message could not be proved to come from the sender's domain (SPF, DKIM, DMARC).",
        "Send through your own provider's server; otherwise tell your postmaster.",
    ),
    "7.27": ("The sender's domain says that it takes no mail.", "Send from another address."),
    "7.28": (
        "The other server received too many messages from here.",
        "Wait before you send more; otherwise tell your postmaster.",
    ),
}

#: By reply code, for servers without enhanced codes.
_BY_REPLY: dict[int, str] = {
    421: "3.2",
    450: "2.0",
    452: "3.1",
    550: "1.0",
    551: "1.6",
    552: "2.2",
    553: "1.3",
    556: "1.10",
}

#: The same, where the reply code says that it is not for good.
_BY_TEMPORARY_CODE: dict[str, tuple[str, str]] = {
    "7": (
        "The other server puts the message off by its own rules; many do so with a sender that "
        "they see for the first time (greylisting), or with one that sends much.",
        "Send again later; if it lasts, ask the recipient in another way, or your postmaster.",
    ),
    "1": (
        "The other server cannot check this address just now.",
        "Check the address letter by letter; if it is right, send again later.",
    ),
}

_UNKNOWN_PERMANENT = (
    "The other server refused the message, and its words are all that is known.",
    "If they do not help, ask the recipient in another way, or your postmaster.",
)
_UNKNOWN_TEMPORARY = (
    "The other server put the message off, and its words are all that is known.",
    "If it lasts, ask the recipient in another way, or your postmaster.",
)


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], Entry], ...]:
    found = []
    for entry in DELIVERY:
        # Bounded by what `own_entry` looks at: the words may be a stranger's.
        pieces = [re.escape(piece) for piece in re.split(r"\{\w+\}", entry.text)]
        found.append((re.compile(".*".join(pieces) + r"\Z", re.DOTALL), entry))
    return tuple(found)


def own_entry(reply: RemoteReply) -> Entry | None:
    """The catalogue's entry of a reply of ours; ``None`` for what others said."""
    for pattern, entry in _patterns():
        if entry.enhanced == reply.enhanced and pattern.match(reply.text[:1000]):
            return entry
    return None


def meaning(reply: RemoteReply) -> tuple[str, str]:
    """What a reply usually means, and what the sender can do.

    :return: two texts of whole sentences.
    """
    # A finding of ours may name a remote host, so it is known by its words.
    entry = own_entry(reply)
    if entry is not None:
        return entry.cause, entry.remedy
    subject = reply.enhanced.partition(".")[2]
    found = None
    if reply.code < 500:
        found = _BY_TEMPORARY_CODE.get(subject.partition(".")[0])
    if found is None:
        found = _BY_CODE.get(subject)
    if found is None and subject:
        found = _BY_CODE.get(subject.partition(".")[0] + ".0")
    if found is None or (subject == "0.0" and reply.code in _BY_REPLY):
        found = _BY_CODE.get(_BY_REPLY.get(reply.code, ""))
    if found is not None:
        return found
    return _UNKNOWN_PERMANENT if reply.code >= 500 else _UNKNOWN_TEMPORARY
