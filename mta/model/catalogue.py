"""Every reply that we give, once, with its cause and its remedy.

A reply is looked up by name and filled in::

    REPLIES.reply("mailbox-unknown", address="a@example.org", ref="0a03...")

``mta explain`` prints the same entries.  ``{ref}`` is the session id under
which ``mta trace`` finds what happened.
"""

from __future__ import annotations

from collections.abc import Iterator

from mta.model.access_replies import ACCESS
from mta.model.delivery_replies import DELIVERY
from mta.model.judging_replies import JUDGING
from mta.model.receiving_replies import RECEIVING
from mta.model.reply import Reply
from mta.model.reply_entry import Entry


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


REPLIES = Catalogue((*RECEIVING, *ACCESS, *JUDGING, *DELIVERY))
