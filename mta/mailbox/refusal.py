"""Why something is not done to a mailbox although nothing is broken: the client is told so."""

from __future__ import annotations


class Refused(Exception):
    """What was asked for cannot be done as things are.

    :param text: for a person; one line.
    :ivar code: a response code for a program (RFC 5530), such as ``ALREADYEXISTS``; ``""`` for none.
    """

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code
