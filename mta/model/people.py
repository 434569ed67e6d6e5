"""What a directory answers: mailboxes, aliases and domains."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address whose mail is kept here.

    :ivar address: canonical address of the mailbox (an alternate address leads here).
    :ivar maildir: path, absolute or with ``{state}``, ``{domain}``, ``{local}``;
        ``""`` to use the domain's template.
    :ivar quota: octets; 0 for none.
    :ivar forwards: further addresses that get a copy.
    :ivar keep: whether a copy is kept when there are forwards.
    :ivar senders: further addresses that the account may send as; ``@domain``
        allows a whole domain.
    """

    address: str
    maildir: str = ""
    quota: int = 0
    forwards: tuple[str, ...] = ()
    keep: bool = True
    senders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alias:
    """An address that stands for others; a list is an alias with an owner.

    :ivar targets: canonical addresses.
    :ivar owner: where bounces of a list go; ``""`` leaves the reverse-path.
    """

    address: str
    targets: tuple[str, ...]
    owner: str = ""


@dataclass(frozen=True, slots=True)
class HostedDomain:
    """A domain whose mail is kept here, though no ``[domains]`` table names it.

    :ivar name: in lower case.
    :ivar alias_of: the domain that it stands for; ``""`` if it is one of its own.
    :ivar like: the ``[domains]`` table whose settings it has; ``""`` for the defaults.
    :ivar settings: further settings, over these: keys and values of a ``[domains]`` table.
    """

    name: str
    alias_of: str = ""
    like: str = ""
    settings: tuple[tuple[str, str], ...] = ()
