"""Replies to clients whom a judge has refused or put off; see :mod:`mta.model.catalogue`."""

from __future__ import annotations

from mta.model.reply_entry import Entry

JUDGING = (
    Entry(
        "filter-unavailable",
        451,
        "4.7.1",
        "The mail cannot be checked now, try again later [{ref}]",
        "A milter did not answer, or not as its protocol wants, and its `default_action` is tempfail.",
        "`mta trace {ref}` tells what failed.  See whether the filter runs and listens at `endpoint`.",
    ),
    Entry(
        "filter-missing",
        554,
        "5.7.1",
        "The mail cannot be checked, and is not taken unchecked [{ref}]",
        "A milter did not answer, or not as its protocol wants, and its `default_action` is reject.",
        "`mta trace {ref}` tells what failed.  With `default_action` = tempfail the sender tries again.",
    ),
    Entry(
        "added-recipient",
        451,
        "4.3.5",
        "A filter of ours made a mistake, try again later [{ref}]",
        "A filter added a recipient that does not exist, or that nobody can tell the way to.",
        "`mta trace {ref}` names it; change what the filter is configured to add.",
    ),
    Entry(
        "recipient-suppressed",
        550,
        "5.7.1",
        "<{address}>: nothing more is sent to this address from here: {why} [{ref}]",
        "The address is on the suppression list of the tenant that the message belongs to, or of the server: "
        "it complained, unsubscribed, does not exist any more, or was put there by hand.",
        "Take the address off your lists. If it is there by mistake: `mta suppression remove {address}`, "
        "with --tenant, or DELETE /v1/suppressions/{address}.",
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
    Entry(
        "spf-fail",
        550,
        "5.7.23",
        "{client} may not send for {domain}, says its SPF record: "
        "send through its own servers, or have it list this one [{ref}]",
        "The domain of the sender publishes which servers send its mail, and the client is none of them: "
        "the sender is forged, or somebody forwards mail under the name of its sender.",
        "The sender sends through the servers of their domain, or has its SPF record list this one; a "
        "forwarder rewrites the sender (SRS). `mta trace {ref}` shows the records; ours, if they forward "
        "to us: `forwarders` of the judge `spf`.",
    ),
    Entry(
        "spf-helo-fail",
        550,
        "5.7.23",
        "{client} may not call itself {domain}, says its SPF record: "
        "say your own name after EHLO, or have it list this server [{ref}]",
        "The name after EHLO has an SPF record that does not list the client.",
        "The client's operator sets its own name for EHLO, or has the SPF record of the name list it; "
        "`mta trace {ref}` shows the record.  `helo_fail` of the judge `spf` sets what becomes of it.",
    ),
    Entry(
        "spf-temporary",
        451,
        "4.7.24",
        "The SPF record of {domain} cannot be looked up now, try again later ({why}) [{ref}]",
        "The DNS did not answer, so nobody knows whether the client may send for the domain.",
        "It is tried again by itself.  If it lasts, the name servers of the domain are broken; "
        "`temperror` of the judge `spf` sets what becomes of such mail.",
    ),
    Entry(
        "spf-broken",
        550,
        "5.7.24",
        "The SPF record of {domain} cannot be used: {why} [{ref}]",
        "The record has a mistake in it, asks for more look-ups than are allowed, or stands there twice.",
        "The operator of the domain mends the record; `permerror` of the judge `spf` sets what becomes "
        "of such mail.",
    ),
    Entry(
        "dmarc-fail",
        550,
        "5.7.26",
        "Nothing shows that this message is from {domain}, which asks to {policy} such mail: "
        "send it with a DKIM signature of that domain, or through its servers [{ref}]",
        "Neither SPF nor DKIM has authenticated the domain in From, and its DMARC record asks for this: the "
        "author is forged, or the message was sent or forwarded by a server that does not sign for them.",
        "The sender has their mail signed by the domain in From (DKIM), or sends through servers that its SPF "
        "record lists, with that domain in MAIL. `mta trace {ref}` shows what was found; ours, if it was "
        "forwarded to us: `forwarders` of the judge `dmarc`.",
    ),
    Entry(
        "dmarc-author",
        550,
        "5.7.1",
        "Who has written this message cannot be told: {why}; send it with one From field and one author [{ref}]",
        "A message has exactly one From field (RFC 5322, 3.6). With several, each program shows another "
        "author, which is how they are forged.",
        "The sender's program is mended, or set to write one From field with one address. "
        "`several` of the judge `dmarc` sets what becomes of such mail.",
    ),
    Entry(
        "dkim-temporary",
        451,
        "4.7.5",
        "The signatures of this message cannot be verified now, try again later ({why}) [{ref}]",
        "The DNS did not answer, so nobody knows the key of a signature, and no other one is good.",
        "It is tried again by itself.  If it lasts, the name servers of the signing domain are broken; "
        "`temperror` of the judge `dkim` sets what becomes of such mail.",
    ),
    Entry(
        "dmarc-temporary",
        451,
        "4.7.0",
        "Whether this message is from {domain} cannot be told now, try again later ({why}) [{ref}]",
        "The DNS did not answer, so nobody knows the policy of the author's domain.",
        "It is tried again by itself.  If it lasts, the name servers of the domain are broken; "
        "`temperror` of the judge `dmarc` sets what becomes of such mail.",
    ),
)
