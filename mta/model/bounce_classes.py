"""The classes of replies that refuse or put off a message: what each means, and what follows; pure.

Which reply is of which class stands in ``mta/data/bounce-*.toml``; see :mod:`mta.model.bounce`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Whom a reply concerns: this recipient, this message, this sender, or all mail from here to there.
Scope = Literal["recipient", "message", "sender", "site"]
#: What to do: give up; try again by the schedule; soon; later; with less at once; after a rest.
Action = Literal["fail", "retry", "soon", "later", "slow", "suspend"]


@dataclass(frozen=True, slots=True)
class BounceClass:
    """One class.

    :ivar name: as it stands in events.
    :ivar title: in a few words.
    :ivar scope: whom it concerns.
    :ivar action: what to do where the reply code says that it is not for good.
    :ivar cause: what it means, for the person who sent the message.
    :ivar remedy: what that person can do.
    :ivar operator: what the operator of this server can do.
    :ivar delay: seconds before which it makes no sense to try again.
    :ivar soon: seconds within which it does, as for greylisting; 0 if that is not known.
    :ivar suspend: seconds for which the whole site should have no mail from here.
    """

    name: str
    title: str
    scope: Scope
    action: Action
    cause: str
    remedy: str
    operator: str
    delay: float = 0.0
    soon: float = 0.0
    suspend: float = 0.0


_NOTHING = "Nothing."
_LATER = "Send again later."
_POSTMASTER = "Tell your postmaster."

CLASSES: tuple[BounceClass, ...] = (
    # --- the recipient -------------------------------------------------------
    BounceClass(
        "bad-mailbox",
        "no such mailbox",
        "recipient",
        "retry",
        "There is no such mailbox: the part before the @ is misspelt, or the mailbox was closed.",
        "Check the address letter by letter, or ask the recipient in another way for the right one.",
        "Take the address off your lists: providers think ill of who writes to many that do not exist.",
    ),
    BounceClass(
        "bad-domain",
        "no such domain, or it takes no mail",
        "recipient",
        "retry",
        "The domain, the part behind the @, does not exist or takes no mail.",
        "Check its spelling; if it is right, the recipient has to have another address.",
        "Take the address off your lists.",
    ),
    BounceClass(
        "inactive-mailbox",
        "the mailbox is switched off",
        "recipient",
        "retry",
        "The mailbox exists but is switched off, or its owner has not used it for long.",
        "Reach the recipient in another way.",
        "Take the address off your lists: old mailboxes become traps for spam.",
    ),
    BounceClass(
        "full",
        "the mailbox is full",
        "recipient",
        "later",
        "The recipient's mailbox is full.",
        "Tell the recipient in another way, and send again when there is room.",
        "Nothing; a mailbox that stays full for weeks is one that nobody reads.",
        delay=7200.0,
    ),
    BounceClass(
        "busy-mailbox",
        "the mailbox gets too much at once",
        "recipient",
        "later",
        "The recipient gets more messages at the moment than the other server allows for one mailbox.",
        _LATER,
        "Nothing, unless it is your mail that comes in such numbers.",
        delay=1800.0,
    ),
    BounceClass(
        "refused-by-recipient",
        "the recipient does not want it",
        "recipient",
        "retry",
        "The recipient, list or organisation takes mail from some senders only, and not from this one.",
        "Ask the recipient in another way to let you write.",
        "Take the address off your lists.",
    ),
    BounceClass(
        "relay-denied",
        "the server does not serve that domain",
        "recipient",
        "retry",
        "The server that the DNS names for the recipient's domain does not take mail for it.",
        "Check the part behind the @; if it is right, tell the recipient in another way.",
        "If it is your smarthost that says so, it wants credentials: relay.username.",
    ),
    # --- the sender ----------------------------------------------------------
    BounceClass(
        "bad-sender",
        "the sender's address is not accepted",
        "sender",
        "retry",
        "The other server does not accept the sender's address, or cannot find its domain in the DNS.",
        "Check the sender's address in the settings of your mail program; otherwise tell your postmaster.",
        "See to it that the sender's domain has MX or address records, and takes bounces.",
    ),
    BounceClass(
        "authentication",
        "SPF, DKIM or DMARC did not pass",
        "sender",
        "retry",
        "The message could not be proved to come from the sender's domain (SPF, DKIM, DMARC).",
        "Send through your own provider's server; otherwise tell your postmaster.",
        "Publish SPF that has this server's address, sign with DKIM for the domain in From, and let DMARC "
        "pass with one of them.",
    ),
    # --- the message ---------------------------------------------------------
    BounceClass(
        "spam",
        "the message is taken for spam",
        "message",
        "retry",
        "The other server takes the message for spam.",
        "Read what it said: there may be a link that tells more; otherwise ask the recipient to let "
        "you write.",
        "Look at links and wording of the message, and at who sends such through this server.",
    ),
    BounceClass(
        "content",
        "something in the message is not accepted",
        "message",
        "retry",
        "The other server does not accept what is in the message, or how it is written.",
        "Send it as plain text without attachments, to see what it objects to.",
        "Look at the message: attachments, header fields that are missing or doubled, line ends.",
    ),
    BounceClass(
        "size",
        "the message is too large",
        "message",
        "retry",
        "The message is larger than the other server, or this recipient, takes.",
        "Send a smaller one, or a link instead of the attachment.",
        _NOTHING,
    ),
    BounceClass(
        "policy",
        "refused by rules of the other server",
        "message",
        "retry",
        "The other server refused the message by its own rules.",
        "Read what it said: there may be a link that tells more; otherwise ask the recipient to let "
        "you write.",
        "Read what it said; the other side's postmaster knows the rule.",
    ),
    BounceClass(
        "loop",
        "the message goes in a circle",
        "message",
        "retry",
        "The message went in a circle: servers or forwards point at each other.",
        "Tell the recipient, who may have a forward that leads back, or the postmaster.",
        "Look at the Received fields of the message for the hosts that form the circle.",
    ),
    BounceClass(
        "too-many-recipients",
        "too many recipients at once",
        "message",
        "retry",
        "The message had more recipients than the other server takes at once.",
        "Send it to fewer.",
        "Nothing: those that were over are tried again by themselves.",
    ),
    BounceClass(
        "protocol",
        "the servers did not understand each other",
        "message",
        "retry",
        "The two servers did not understand each other.",
        _POSTMASTER,
        "Look at what the other server objects to, and to which command; a filter between may change it.",
    ),
    BounceClass(
        "greylisted",
        "put off because it is the first time",
        "recipient",
        "soon",
        "The other server puts off whom it sees for the first time, and takes the message when it comes "
        "again (greylisting).",
        "Nothing: it is tried again in some minutes.",
        "Nothing: it passes by itself, as long as the message comes from the same address again.",
        delay=300.0,
        soon=600.0,
    ),
    # --- this server, and the way there --------------------------------------
    BounceClass(
        "reputation",
        "this server is on a blocklist, or thought ill of",
        "site",
        "suspend",
        "The other server takes no mail from this server, because of what came from its address before, "
        "or because a blocklist names it.",
        "Tell your postmaster; nothing in the message is at fault.",
        "Find the list that the reply names, end what led to it (look at who sends most: mta trace), then "
        "ask to be taken off; a provider that names no list has a page for senders.",
        suspend=900.0,
    ),
    BounceClass(
        "host-name",
        "this server has no proper name in the DNS",
        "site",
        "retry",
        "The sending server has no proper name in the DNS, or says another one in its greeting.",
        _POSTMASTER,
        "Have the PTR record of the sending address name a host whose address record leads back, and say "
        "that name in EHLO: relay.helo.",
    ),
    BounceClass(
        "rate-limit",
        "too much at once from here",
        "site",
        "slow",
        "The other server received more from here than it takes at a time.",
        "Wait before you send more; otherwise tell your postmaster.",
        "Nothing at first: the site is given less at once. If it lasts, set its rates with [[shape]].",
    ),
    BounceClass(
        "busy",
        "the other server has too much to do",
        "site",
        "slow",
        "The other server takes no mail at the moment, or has more than it can handle.",
        _LATER,
        "Nothing: delivery is tried again.",
    ),
    BounceClass(
        "credentials",
        "the other server wants us to log in",
        "site",
        "suspend",
        "The next server wants this one to log in, and that did not succeed.",
        _POSTMASTER,
        "Set or correct relay.username and relay.password_file.",
        suspend=300.0,
    ),
    BounceClass(
        "tls",
        "the connection cannot be secured as is demanded",
        "site",
        "retry",
        "The connection could not be secured as is demanded.",
        _POSTMASTER,
        "See which side demands what: relay.tls and the policy of the domain here, the certificate there.",
    ),
    BounceClass(
        "connection",
        "no connection, or it broke off",
        "site",
        "retry",
        "No mail server of the recipient's domain answered, or the connection broke off.",
        "Check the part behind the @; if it is right, send again later.",
        "If it lasts and others reach it, look at the network and the firewall between.",
    ),
    BounceClass(
        "dns",
        "the DNS does not answer",
        "site",
        "retry",
        "The DNS, by which the other server is found, did not answer, or says nothing of use.",
        "Check the part behind the @; if it is right, send again later.",
        "If other domains are found, the owner of this one has to mend its DNS; otherwise look at [dns].",
    ),
    BounceClass(
        "trouble",
        "the other server has trouble of its own",
        "message",
        "retry",
        "The other server has trouble of its own.",
        _LATER,
        "Nothing; if it lasts, tell the other side's postmaster.",
    ),
    BounceClass(
        "expired",
        "it took too long",
        "message",
        "retry",
        "The message waited for too long: no attempt succeeded in time.",
        "The last answer tells what was in the way; send again when it is mended.",
        "Look at the attempts before: mta trace.",
    ),
    # --- nothing is known ----------------------------------------------------
    BounceClass(
        "transient",
        "put off, and nobody knows why",
        "message",
        "retry",
        "The other server put the message off, and its words are all that is known.",
        "If it lasts, ask the recipient in another way, or your postmaster.",
        "Read what it said; [[bounce]] teaches this server what it means.",
    ),
    BounceClass(
        "other",
        "refused, and nobody knows why",
        "message",
        "retry",
        "The other server refused the message, and its words are all that is known.",
        "If they do not help, ask the recipient in another way, or your postmaster.",
        "Read what it said; [[bounce]] teaches this server what it means.",
    ),
)

BY_NAME: dict[str, BounceClass] = {one.name: one for one in CLASSES}
