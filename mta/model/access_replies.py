"""Replies of ours about who may send what."""

from __future__ import annotations

from mta.model.reply_entry import Entry

_WHY = "`mta why {ref}` shows the rule, its facts and the way out."

ACCESS = (
    Entry(
        "access-denied",
        550,
        "5.7.1",
        "{reason} (rule {rule}); if this is wrong, write to {contact} [{ref}]",
        "A rule of `[[access.rule]]` fits the client, its names, the sender or the recipient.",
        f'{_WHY} Change the rule, or put one with `action = "accept"` before it.',
    ),
    Entry(
        "access-deferred",
        450,
        "4.7.1",
        "{reason} (rule {rule}); if this is wrong, write to {contact} [{ref}]",
        "A rule of `[[access.rule]]` puts off the client, its names, the sender or the recipient.",
        f'{_WHY} Change the rule, or put one with `action = "accept"` before it.',
    ),
    Entry(
        "reputation-denied",
        550,
        "5.7.1",
        "{client} is refused: {findings}; if this is wrong, write to {contact} [{ref}]",
        "What block lists, the client's names and its HELO say of it adds up to the judge's `reject`.",
        f"{_WHY} The client's operator has it taken off the lists that are named, and gives its address a "
        "name that leads back to it; ours may let it in with an `[[access.rule]]` or lower the weights.",
    ),
    Entry(
        "reputation-deferred",
        450,
        "4.7.1",
        "{client} is put off: {findings}; if this is wrong, write to {contact} [{ref}]",
        "What block lists, the client's names and its HELO say of it adds up to the judge's `defer`.",
        f"{_WHY} The client's operator has it taken off the lists that are named, and gives its address a "
        "name that leads back to it; ours may let it in with an `[[access.rule]]` or lower the weights.",
    ),
    Entry(
        "greylist",
        451,
        "4.7.1",
        "We do not know you yet, so please send this again in {wait}: your mail server does so by itself [{ref}]",
        "The client's network, the sender and the recipient have not been seen together before.  Mail "
        "servers try again; much of what sends spam does not.",
        f"Nothing: the message comes with the next attempt. {_WHY} To let a client in at once, give it an "
        '`[[access.rule]]` with `action = "accept"`, or name its network in `known` of the judge `greylist`.',
    ),
    Entry(
        "limit-reached",
        450,
        "4.7.1",
        "{limit} by {by} is the limit, come again in {wait} [{ref}]",
        "A limit of `[[limit]]` is reached.",
        f"Wait; what is put off comes again. {_WHY} Raise the limit, if it is too low.",
    ),
    Entry(
        "limit-closing",
        421,
        "4.7.0",
        "{limit} by {by} is the limit, come again in {wait} [{ref}]",
        'A limit of `[[limit]]` with `action = "close"`, or one of connections, is reached.',
        f"Wait; what is put off comes again. {_WHY} Raise the limit, if it is too low.",
    ),
    Entry(
        "banned",
        421,
        "4.7.0",
        "{hostname} takes nothing from {network} {until}: {reason}; if this is wrong, write to {contact}",
        "The client, or its network, has been banned: after many failed log-ins or refusals, or by a person.",
        "`mta ban list` shows it, `mta ban lift {network}` ends it.  Look for a program with an old password.",
    ),
    Entry(
        "auth-throttled",
        454,
        "4.7.0",
        "Too many failed log-ins, try again in {wait} [{ref}]",
        "There were many wrong passwords for this account, or from this client; the next are not even "
        "looked at for a while.  Where the account has logged in from before, only what failed there counts.",
        f"Wait, and correct the password in every program that has an old one. {_WHY}",
    ),
    Entry(
        "account-suspended",
        450,
        "4.7.1",
        "The account {account} is suspended because of {reason}; write to {contact} [{ref}]",
        "The account sent as if it was stolen, so nothing is taken from it until a person has looked.",
        "Have its owner change the password, look at what is held with `mta queue list --held`, then "
        "`mta account resume {account}`.",
    ),
    Entry(
        "account-disabled",
        550,
        "5.7.13",
        "The account {account} is suspended because of {reason}; write to {contact} [{ref}]",
        'The account sent as if it was stolen, and `abuse.action` is "reject".',
        "Have its owner change the password, then `mta account resume {account}`.",
    ),
)
