"""The tables ``[mailbox]``, ``[pop3]`` and ``[imap]``: how people fetch their mail."""

from __future__ import annotations

from pydantic import Field

from mta.config.values import Duration, Network, Table


class MailboxTable(Table):
    """What all ways to a mailbox have in common."""

    threads: int = Field(4, ge=1, le=64, description="pieces of work on Maildirs at once, in one worker")
    poll: Duration = Field(5.0, ge=1, description="between looks at folders that the kernel does not tell of")


class Pop3(Table):
    """POP3 on ``listen.pop3`` and ``listen.pop3s``."""

    clear_from: list[Network] = []
    timeout: Duration = Field(600.0, ge=60)
    login_delay: Duration = 0.0
    mark_seen: bool = True


class Imap(Table):
    """IMAP on ``listen.imap`` and ``listen.imaps``."""

    clear_from: list[Network] = []
    timeout: Duration = Field(1800.0, ge=1800)
    still_here: Duration = Field(120.0, ge=10)
