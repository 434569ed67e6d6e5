"""Every reply that we give, once, with its cause and its remedy.

A reply is looked up by name and filled in::

    REPLIES.reply("mailbox-unknown", address="a@example.org", ref="0a03...")

``mta explain`` prints the same entries.  ``{ref}`` is the session id under
which ``mta trace`` finds what happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mta.model.reply import Reply


@dataclass(frozen=True, slots=True)
class Entry:
    """One reply of ours.

    :ivar name: how the program and the journal call it.
    :ivar code: reply code (RFC 5321, 4.2.3).
    :ivar enhanced: enhanced status code (RFC 3463 and its registry); ``""`` none.
    :ivar text: the words; ``{fields}`` are filled in.
    :ivar cause: when we give it, for a person who reads it in a log.
    :ivar remedy: what that person can do.
    """

    name: str
    code: int
    enhanced: str
    text: str
    cause: str
    remedy: str


class Catalogue:
    """Entries by name.

    :param entries: all of them; two of one name are an error.
    """

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            if entry.name in self._entries:
                raise ValueError(f"the reply {entry.name!r} stands in the catalogue twice")
            self._entries[entry.name] = entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def reply(self, name: str, **values: object) -> Reply:
        """The reply of this name.

        :param values: what its ``{fields}`` stand for; CR and LF in them become spaces.
        :raise KeyError: if there is no such entry, or a field has no value.
        """
        entry = self._entries[name]
        text = entry.text
        if "{" in text:
            clean = {
                key: str(value).replace("\r", " ").replace("\n", " ")[:400] for key, value in values.items()
            }
            text = text.format_map(clean)
        return Reply(entry.code, (text,), entry.enhanced, name)

    def find(self, code: str) -> list[Entry]:
        """Entries by reply code, enhanced code, or name."""
        return [entry for entry in self if code in (str(entry.code), entry.enhanced, entry.name)]


REPLIES = Catalogue(
    (
        # --- the session ---------------------------------------------------
        Entry("greeting", 220, "", "{hostname} ESMTP", "The first line of every session.", "Nothing to do."),
        Entry(
            "closing",
            221,
            "2.0.0",
            "{hostname} closing connection",
            "The client said QUIT.",
            "Nothing to do.",
        ),
        Entry("ok", 250, "2.0.0", "OK", "The command was carried out.", "Nothing to do."),
        Entry("sender-ok", 250, "2.1.0", "Sender accepted", "MAIL was accepted.", "Nothing to do."),
        Entry("recipient-ok", 250, "2.1.5", "Recipient accepted", "RCPT was accepted.", "Nothing to do."),
        Entry(
            "queued",
            250,
            "2.0.0",
            "Queued as {id}",
            "The message is on disk; it will be delivered or returned.",
            "`mta trace {id}` tells what becomes of it.",
        ),
        Entry(
            "chunk-ok",
            250,
            "2.0.0",
            "{octets} octets received",
            "A BDAT chunk was received.",
            "Nothing to do.",
        ),
        Entry("help", 214, "2.0.0", "Commands: {commands}", "The client said HELP.", "Nothing to do."),
        Entry(
            "cannot-verify",
            252,
            "2.1.5",
            "Cannot verify a user, but will take a message for one",
            "VRFY never tells who has a mailbox, so that addresses cannot be harvested.",
            "Send a message instead.",
        ),
        Entry(
            "start-data",
            354,
            "",
            "End data with <CR><LF>.<CR><LF>",
            "DATA was accepted.",
            "Send the message.",
        ),
        Entry(
            "start-tls", 220, "2.0.0", "Ready to start TLS", "STARTTLS was accepted.", "Begin the handshake."
        ),
        Entry(
            "authenticated",
            235,
            "2.7.0",
            "Authentication succeeded",
            "The credentials were right.",
            "Nothing to do.",
        ),
        Entry(
            "timeout",
            421,
            "4.4.2",
            "{hostname} nothing heard for {seconds} seconds, closing connection",
            "The client was silent for longer than the limit for this state.",
            "Look for a stalled client or a firewall that drops idle connections; "
            "`limits.command_timeout` and `limits.data_timeout` set the time.",
        ),
        Entry(
            "shutting-down",
            421,
            "4.3.2",
            "{hostname} is shutting down, try again",
            "The server is being stopped or restarted.",
            "Try again in a minute.",
        ),
        Entry(
            "too-many-connections",
            421,
            "4.7.0",
            "{hostname} too many connections, try again later",
            "The server has as many sessions as `limits.connections` allows.",
            "Try again later; the operator may raise the limit.",
        ),
        Entry(
            "too-many-from-client",
            421,
            "4.7.0",
            "{hostname} too many connections from {client}, try again later",
            "This client has as many sessions as `limits.connections_per_client` allows.",
            "Reuse connections, or open fewer at once.",
        ),
        Entry(
            "too-many-errors",
            421,
            "4.7.0",
            "{hostname} too many errors, closing connection",
            "The client caused more errors than `limits.errors` allows.",
            "Look at the replies before this one; they say what was wrong.",
        ),
        Entry(
            "too-many-commands",
            421,
            "4.7.0",
            "{hostname} too many commands without a message, closing connection",
            "The client sent more commands than `limits.commands` without completing a message.",
            "Look for a client that probes or loops.",
        ),
        Entry(
            "not-smtp",
            421,
            "5.7.0",
            "{hostname} this is a mail server, closing connection",
            "The client speaks another protocol, such as HTTP.",
            "Connect to the port of the service that you meant.",
        ),
        # --- syntax and order ---------------------------------------------
        Entry(
            "unknown-command",
            500,
            "5.5.2",
            "Command not recognised",
            "The line does not begin with a command of SMTP.",
            "HELP lists the commands.",
        ),
        Entry(
            "line-too-long",
            500,
            "5.5.2",
            "Line too long: at most {limit} octets",
            "A command line exceeded the limit of RFC 5321, 4.5.3.1.4.",
            "Mend the client; message lines are not limited by this.",
        ),
        Entry(
            "bad-line-ending",
            500,
            "5.5.2",
            "A command line ends with <CR><LF>; a bare <CR> or <LF> was sent",
            "A bare CR or LF stood in a command line. Accepting it would open a door to SMTP smuggling.",
            "Mend the client.",
        ),
        Entry(
            "bad-syntax",
            501,
            "5.5.4",
            "{command}: {problem}",
            "An argument of the command does not follow its grammar.",
            "The reply names what was wrong; mend the client or the address.",
        ),
        Entry(
            "bad-sequence",
            503,
            "5.5.1",
            "{problem}",
            "The command came at a point where it is not allowed.",
            "The reply names what is missing, such as MAIL before RCPT.",
        ),
        Entry(
            "bad-parameter",
            555,
            "5.5.4",
            "{command}: parameter {parameter} not recognised",
            "MAIL or RCPT carried a parameter that we did not offer in EHLO.",
            "Send only what EHLO offered.",
        ),
        Entry(
            "bad-sender-syntax",
            501,
            "5.1.7",
            "MAIL FROM: {problem}",
            "The reverse-path is not an address as RFC 5321 writes it.",
            "Write it as MAIL FROM:<user@example.org>, or <> for none.",
        ),
        Entry(
            "bad-recipient-syntax",
            501,
            "5.1.3",
            "RCPT TO: {problem}",
            "The forward-path is not an address as RFC 5321 writes it.",
            "Write it as RCPT TO:<user@example.org>.",
        ),
        Entry(
            "too-early",
            554,
            "5.5.0",
            "You spoke before the greeting",
            "The client sent data before our 220; spam software does, mail servers do not.",
            "Wait for the greeting.",
        ),
        Entry(
            "pipelining-forbidden",
            503,
            "5.5.0",
            "{command} must be the last command of a group",
            "Commands were pipelined behind one after which the client must wait.",
            "Wait for the reply to {command}; RFC 2920, 3.1.",
        ),
        Entry(
            "utf8-not-declared",
            553,
            "5.6.7",
            "{command}: a non-ASCII address needs the SMTPUTF8 parameter",
            "An internationalised address was used without declaring SMTPUTF8 (RFC 6531).",
            "Add SMTPUTF8 to MAIL FROM.",
        ),
        Entry(
            "not-implemented",
            502,
            "5.5.1",
            "{command} is not available here",
            "The command exists, but this listener does not offer it.",
            "EHLO lists what is offered.",
        ),
        # --- TLS and authentication ---------------------------------------
        Entry(
            "tls-required",
            530,
            "5.7.0",
            "Must issue STARTTLS first",
            "This listener demands TLS before anything else.",
            "Turn on STARTTLS in the client, or use port 465 with TLS from the first byte.",
        ),
        Entry(
            "tls-unavailable",
            454,
            "4.7.0",
            "TLS not available due to a temporary reason",
            "No certificate is loaded.",
            "The operator should look at [tls] and run `mta check`.",
        ),
        Entry(
            "auth-required",
            530,
            "5.7.0",
            "Authentication required",
            "This listener takes mail only from people it knows.",
            "Turn on authentication in the client, with the address and password of an account here.",
        ),
        Entry(
            "auth-needs-tls",
            538,
            "5.7.11",
            "Encryption required for the requested authentication mechanism",
            "A password would have crossed the network in the clear.",
            "Turn on STARTTLS, or use port 465.",
        ),
        Entry(
            "auth-failed",
            535,
            "5.7.8",
            "Authentication credentials invalid [{ref}]",
            "The user does not exist, or the password is wrong; we never tell which.",
            "Check user name (usually the whole address) and password.",
        ),
        Entry(
            "auth-unavailable",
            454,
            "4.7.0",
            "Temporary authentication failure, try again later [{ref}]",
            "The directory that knows the accounts does not answer.",
            "Wait; the operator sees why with `mta trace {ref}`.",
        ),
        Entry(
            "auth-mechanism",
            504,
            "5.5.4",
            "Authentication mechanism not supported; use {mechanisms}",
            "The client asked for a mechanism that EHLO did not offer.",
            "Choose one that is offered.",
        ),
        Entry(
            "auth-cancelled",
            501,
            "5.7.0",
            "Authentication cancelled",
            "The client sent * instead of a response.",
            "Nothing to do.",
        ),
        Entry(
            "auth-bad-response",
            501,
            "5.5.2",
            "Cannot decode the authentication response: {problem}",
            "The response is not base64, or not what the mechanism demands.",
            "Mend the client.",
        ),
        Entry(
            "auth-already",
            503,
            "5.5.1",
            "Already authenticated",
            "AUTH succeeded earlier in this session.",
            "Open a new session for another account.",
        ),
        # --- sender -------------------------------------------------------
        Entry(
            "sender-not-owned",
            550,
            "5.7.1",
            "<{address}> is not a sender address of {account} [{ref}]",
            "On submission a person may send only under addresses of their own account.",
            "Choose the right From in the client, or have the address added to the account "
            "(in the file: the `senders` field; in LDAP: the alternate address attribute).",
        ),
        Entry(
            "message-too-large",
            552,
            "5.3.4",
            "Message too large: at most {limit} octets",
            "The message exceeds `limits.message_size`.",
            "Send a smaller message, or a link instead of the attachment.",
        ),
        Entry(
            "no-space",
            452,
            "4.3.1",
            "Insufficient system storage, try again later",
            "The disk of the spool is full, or nearly so.",
            "The operator should free space; mail is taken again by itself.",
        ),
        Entry(
            "spool-trouble",
            451,
            "4.3.0",
            "Cannot store mail at the moment, try again later [{ref}]",
            "The spool could not write: an I/O error or a read-only file system.",
            "The operator should look at `mta log` and the disk; nothing was lost, the client still has it.",
        ),
        Entry(
            "internal-trouble",
            451,
            "4.3.0",
            "Trouble on our side, try again later [{ref}]",
            "Something failed here that is not the client's fault.",
            "The operator sees what with `mta trace {ref}` and in the log.",
        ),
        # --- recipient ----------------------------------------------------
        Entry(
            "mailbox-unknown",
            550,
            "5.1.1",
            "<{address}>: no such mailbox here [{ref}]",
            "The domain is ours, but no directory knows the address.",
            "Check the spelling; `mta test ADDRESS` shows where was looked.",
        ),
        Entry(
            "directory-unavailable",
            451,
            "4.4.3",
            "<{address}>: cannot look up this address now, try again later [{ref}]",
            "The directory that knows the mailboxes does not answer.",
            "Wait; the operator should look at the LDAP server.",
        ),
        Entry(
            "relay-denied",
            550,
            "5.7.1",
            "<{address}>: relaying denied; the domain is not served here and you are not authenticated [{ref}]",
            "The recipient is elsewhere, and the client may not relay through us.",
            "People: use the submission port (587 or 465) with your account. "
            "Operators: add the domain to [domains], or the client's network to access.relay_from.",
        ),
        Entry(
            "routing-loop",
            554,
            "5.4.6",
            "<{address}>: alias or mail routing loop [{ref}]",
            "An alias leads back to itself.",
            "The operator should mend the aliases; `mta test ADDRESS` shows the circle.",
        ),
        Entry(
            "alias-trouble",
            451,
            "4.3.5",
            "<{address}>: an alias here is in error, try again later [{ref}]",
            "An alias or an included file cannot be read or understood.",
            "The operator should run `mta check`.",
        ),
        Entry(
            "mailbox-full",
            452,
            "4.2.2",
            "<{address}>: mailbox full [{ref}]",
            "The recipient's Maildir is over its quota.",
            "The recipient must delete or move mail.",
        ),
        Entry(
            "too-many-recipients",
            452,
            "4.5.3",
            "Too many recipients: at most {limit} in one transaction",
            "More RCPT commands than `limits.recipients`.",
            "Send the message again for the rest of the recipients; a mail server does so by itself.",
        ),
        Entry(
            "no-recipients",
            554,
            "5.5.1",
            "No valid recipients",
            "DATA came although every recipient was refused.",
            "Look at the replies to RCPT.",
        ),
        # --- data ---------------------------------------------------------
        Entry(
            "bare-line-ending",
            550,
            "5.6.11",
            "A bare <CR> or <LF> stands in the message; lines end with <CR><LF> [{ref}]",
            "Bare CR and LF are read differently by different servers, which lets forged messages be smuggled in.",
            "Mend the sending software, or send with BDAT and BODY=BINARYMIME.",
        ),
        Entry(
            "routing-hops",
            554,
            "5.4.6",
            "Too many hops: {count} Received fields, this mail loops [{ref}]",
            "The message has passed through more servers than `limits.hops`.",
            "Look at its Received fields for two servers that send to each other.",
        ),
        Entry(
            "binary-needs-bdat",
            503,
            "5.5.1",
            "BODY=BINARYMIME needs BDAT, not DATA",
            "Binary content cannot be sent with DATA (RFC 3030).",
            "Use BDAT.",
        ),
        Entry(
            "header-too-large",
            552,
            "5.3.4",
            "Header section too large: at most {limit} octets [{ref}]",
            "The header section exceeds `limits.header_size`.",
            "Send less of it.",
        ),
        Entry(
            "null-sender-many",
            550,
            "5.5.3",
            "A bounce goes to one recipient only [{ref}]",
            "The null reverse-path was used with more than one recipient.",
            "Send bounces one at a time.",
        ),
        Entry(
            "policy-reject",
            550,
            "5.7.1",
            "{reason} [{ref}]",
            "A judge refused the client or the message.",
            "The reply and `mta trace {ref}` name the rule.",
        ),
        Entry(
            "policy-defer",
            450,
            "4.7.1",
            "{reason} [{ref}]",
            "A judge put the client or the message off.",
            "Try again later; `mta trace {ref}` names the rule.",
        ),
    )
)
