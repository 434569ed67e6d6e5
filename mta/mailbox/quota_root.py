"""How full an account is, and what still fits (RFC 9208): the one quota root ``""``, of all its folders.

What deliveries count with counts here too (Maildir++): the file ``maildirsize``; messages that are marked
as deleted and those in ``Trash`` do not count.
"""

from __future__ import annotations

from mta.deliver.maildir_quota import MaildirQuota
from mta.deliver.quota import Usage
from mta.mailbox.refusal import Refused

_TRASH = b".Trash"


class QuotaRoot:
    """See the module.

    :param limit: octets; 0: none.
    """

    def __init__(self, maildir: bytes, limit: int) -> None:
        self.limit = limit
        self._quota = MaildirQuota(maildir, limit) if limit else None

    def reserve(self, directory: bytes, octets: int) -> None:
        """See that so many octets more fit, besides those that were reserved before.

        :param directory: of the folder that they will be in.
        :raise Refused: if they do not: ``OVERQUOTA``.
        :raise OSError: if nobody can tell.
        """
        if self._quota is not None and directory != _TRASH and not self._quota.reserve(octets):
            raise Refused(
                f"the mailbox is full: it may have {self.limit} octets, and these {octets} do not fit;"
                " remove some messages",
                "OVERQUOTA",
            )

    def usage(self) -> Usage:
        """Octets and messages that count.

        :raise OSError: if nobody can tell.
        """
        return Usage(0, 0) if self._quota is None else self._quota.usage()
