"""The tables ``[mailbox]``, ``[pop3]``, ``[imap]`` and ``[client_setup]``: how people fetch their mail."""

from __future__ import annotations

from pydantic import Field, field_validator

from mta.config.values import Duration, Network, Table, domain

#: Roles of listeners that people read and send mail by.
_READERS = ("imap", "imaps", "pop3", "pop3s", "submission", "submissions")
_CONTROL = set(map(chr, (*range(32), 127)))


class UsualFolders(Table):
    """What the folders are called that every account has, by their purposes (RFC 6154).

    The first name is that of the folder that is made; one with another name of the list is as good.
    """

    archive: list[str] = ["Archive", "Archives"]
    drafts: list[str] = ["Drafts"]
    junk: list[str] = ["Junk", "Spam", "Junk E-mail"]
    sent: list[str] = ["Sent", "Sent Messages", "Sent Items"]
    trash: list[str] = ["Trash", "Deleted Messages", "Deleted Items"]

    @field_validator("archive", "drafts", "junk", "sent", "trash")
    @classmethod
    def _can_be(cls, names: list[str]) -> list[str]:
        for name in names:
            if not all(name.split(".")) or "/" in name or _CONTROL & set(name) or name.upper() == "INBOX":
                raise ValueError(
                    f"{name!r} cannot be the name of a folder; dots part levels, such as Mail.Sent"
                )
        return names

    def by_use(self) -> dict[str, tuple[str, ...]]:
        """The names by purpose, such as ``\\Sent``."""
        return {f"\\{field.capitalize()}": tuple(getattr(self, field)) for field in type(self).model_fields}


class MailboxTable(Table):
    """What all ways to a mailbox have in common."""

    threads: int = Field(4, ge=1, le=64, description="pieces of work on Maildirs at once, in one worker")
    poll: Duration = Field(5.0, ge=1, description="between looks at folders that the kernel does not tell of")
    full_text: bool = Field(True, description="whether what messages say is kept in an index for SEARCH")
    folders: UsualFolders = UsualFolders()


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


class ClientSetup(Table):
    """What mail programs are told that set themselves up; see :mod:`mta.client_setup`."""

    enabled: bool = True
    host: str = ""
    name: str = ""
    ports: dict[str, int] = {}

    @field_validator("host")
    @classmethod
    def _is_name(cls, value: str) -> str:
        return domain(value) if value else ""

    @field_validator("ports")
    @classmethod
    def _are_ports(cls, values: dict[str, int]) -> dict[str, int]:
        for role, port in values.items():
            if role not in _READERS:
                raise ValueError(f"{role}: a port is that of {', '.join(_READERS)}")
            if not 0 < port < 65536:
                raise ValueError(f"{role} = {port}: a port is from 1 to 65535")
        return values
