"""What we say in place of a remote server that could not speak; see :mod:`mta.model.catalogue`.

These stand in bounces and in the journal as the outcome of an attempt.
"""

from __future__ import annotations

from mta.model.reply_entry import Entry

DELIVERY: tuple[Entry, ...] = (
    # --- local -------------------------------------------------------------
    Entry(
        "delivered", 250, "2.0.0", "Delivered to {place}", "The message is in the mailbox.", "Nothing to do."
    ),
    Entry(
        "mailbox-over-quota",
        452,
        "4.2.2",
        "The mailbox of <{address}> is full",
        "The Maildir is over its quota.",
        "The recipient must delete or move mail, or the operator raise the quota.",
    ),
    Entry(
        "mailbox-trouble",
        451,
        "4.3.0",
        "The mailbox of <{address}> cannot be written: {problem}",
        "The disk or the permissions of the Maildir are in the way.",
        "The operator should mend what the text names; delivery is tried again.",
    ),
    Entry(
        "pipe-postponed",
        451,
        "4.3.0",
        "The program {program} could not take the message: {problem}",
        "A program that messages are piped to failed in a way that may pass, or ran for too long.",
        "The operator should look at the program; delivery is tried again.",
    ),
    Entry(
        "pipe-refused",
        554,
        "5.3.0",
        "The program {program} refused the message: {problem}",
        "A program that messages are piped to ended with an exit status that means never (sysexits).",
        "The operator should look at what the program said.",
    ),
    Entry(
        "member-unknown",
        550,
        "5.1.1",
        "<{address}>, to which <{original}> leads, does not exist here",
        "An alias or a forward names an address that neither aliases nor directory know; "
        "its other members got the message.",
        "The operator should correct the alias; `mta test ADDRESS` shows where it leads.",
    ),
    # --- finding the way ---------------------------------------------------
    Entry(
        "no-such-domain",
        550,
        "5.1.2",
        "The domain {domain} does not exist",
        "The DNS says with authority that there is no such name.",
        "Check the spelling of the part behind the @.",
    ),
    Entry(
        "no-mail-host",
        550,
        "5.4.4",
        "The domain {domain} has no mail server: neither MX nor an address",
        "The DNS knows the name, but nothing that takes mail for it.",
        "Check the spelling; otherwise the owner of the domain must publish an MX record.",
    ),
    Entry(
        "null-mx",
        556,
        "5.1.10",
        "The domain {domain} takes no mail",
        "It publishes a null MX record (RFC 7505).",
        "Use another address; this one never gets mail.",
    ),
    Entry(
        "mx-loop",
        554,
        "5.4.6",
        "Mail for {domain} leads back to this server, which does not serve it",
        "The best MX of the domain is this server, but [domains] does not list it.",
        "The operator should add the domain to [domains]; or the owner change the MX record.",
    ),
    Entry(
        "dns-unavailable",
        451,
        "4.4.3",
        "The DNS does not answer about {domain}: {problem}",
        "SERVFAIL or a timeout; that is not the same as a name that does not exist.",
        "Wait; if it lasts, the owner of the domain or our resolver has trouble.",
    ),
    # --- talking to a remote server ----------------------------------------
    Entry(
        "connect-failed",
        451,
        "4.4.1",
        "No mail server of {host} answers: {problem}",
        "The connection was refused, timed out, or there is no way to the network.",
        "Wait; delivery is tried again. If it lasts, tell the other side's operator.",
    ),
    Entry(
        "connection-lost",
        451,
        "4.4.2",
        "{host} closed the connection, or fell silent, at {command}",
        "The remote server or the network broke off.",
        "Wait; delivery is tried again.",
    ),
    Entry(
        "remote-protocol",
        451,
        "4.5.0",
        "{host} answered {command} with something that is not SMTP: {problem}",
        "The other side is no mail server, or something between changes what it says.",
        "Tell the other side's operator; delivery is tried again.",
    ),
    Entry(
        "remote-tls",
        454,
        "4.7.5",
        "{host} cannot be reached with the TLS that is demanded: {problem}",
        "Our settings demand TLS or a certificate that fits, and the other side has neither.",
        "The other side's operator should mend its certificate, or ours change relay.tls.",
    ),
    Entry(
        "remote-auth",
        454,
        "4.7.0",
        "{host} does not accept our credentials: {problem}",
        "The smarthost refused the user name and password in our settings.",
        "The operator should correct relay.username and relay.password_file; nothing is returned meanwhile.",
    ),
    Entry(
        "remote-no-smtputf8",
        550,
        "5.6.7",
        "{host} takes no internationalised addresses",
        "The message needs SMTPUTF8 (RFC 6531), and the next server does not offer it.",
        "Send from and to addresses in ASCII.",
    ),
    Entry(
        "remote-no-8bit",
        554,
        "5.6.3",
        "{host} takes no 8-bit content, and this message has some",
        "The message is 8BITMIME or BINARYMIME, and the next server does not offer it.",
        "Send it in quoted-printable or base64.",
    ),
    Entry(
        "remote-size",
        552,
        "5.3.4",
        "{host} takes at most {limit} octets; the message has {size}",
        "The next server announced its limit in EHLO.",
        "Send a smaller message, or a link instead of the attachment.",
    ),
    # --- the queue ---------------------------------------------------------
    Entry(
        "expired",
        451,
        "4.4.7",
        "Not delivered within {time}; the last answer was: {last}",
        "Every attempt was put off until queue.expire was reached.",
        "The last answer tells what was in the way; send again when it is mended.",
    ),
    Entry(
        "destination-down",
        451,
        "4.4.1",
        "Not tried, since nobody answered for other messages just before; then it was: {last}",
        "Several attempts to reach this destination failed one after the other, so it rests for a while.",
        "Wait; one message tries again soon, and the others follow. `mta queue flush` tries at once.",
    ),
    Entry(
        "destination-slow",
        451,
        "4.4.5",
        "Waiting for its turn: there is more mail for this destination than it takes",
        "The destination is slower than mail for it comes in, so what is over waits on disk.",
        "Wait; or allow more connections to it, if its operator agrees.",
    ),
    Entry(
        "removed",
        550,
        "5.7.0",
        "Removed from the queue by the operator: {reason}",
        "A person removed the message with `mta queue remove`.",
        "Ask the operator.",
    ),
    Entry(
        "transport-missing",
        451,
        "4.3.5",
        "The transport {transport} is not configured here",
        "The message was queued for a transport that the configuration no longer has.",
        "The operator should restore the [[transport]], or remove the message.",
    ),
    Entry(
        "transport-trouble",
        451,
        "4.3.0",
        "Trouble on our side in {transport}; delivery is tried again",
        "A transport failed in a way that it should not.",
        "The operator sees the traceback in the log.",
    ),
)
