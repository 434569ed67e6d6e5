"""What a person does to messages of the queue, one or many, wherever it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field

from mta.dashboard import guard, waiting
from mta.dashboard.page import Answered, Confirmation, Form, Page, Redirect, Trouble, missing
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.dashboard.waiting import Chosen
from mta.dashboard.workers import Workers
from mta.model.ids import decode_id

#: Messages that are acted on at a time.
MOST = 10_000
#: What is said of what was done.
_DONE = {
    "hold": "held",
    "release": "released",
    "retry": "due at once",
    "bounce": "returned to their senders",
    "remove": "removed",
}
#: What cannot be undone: question, what happens, button.
_ASKED = {
    "bounce": (
        "Return {} to the sender?",
        "It fails for good, and its sender is told why.  Nothing more is tried.",
        "Return",
    ),
    "remove": (
        "Remove {}?",
        "It is taken out of the queue and not delivered; nobody is told.  It cannot be brought back.",
        "Remove",
    ),
}


class Act(Form):
    """The form: which messages, and what to do."""

    act: Literal["hold", "release", "retry", "bounce", "remove"]
    ids: list[str] = Field(default_factory=list, max_length=MOST)
    transport: str = ""
    next_hop: str = ""
    reason: str = Field("", max_length=300)
    back: str = ""


class ActPages:
    """See the module.

    :param workers: all of them.
    :param owner: the tenant that a message is of, by its id; ``None``: there is no such message.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self, workers: Workers, owner: Callable[[str], str | None], run_in_thread: Callable[..., Any]
    ) -> None:
        self._workers = workers
        self._owner = owner
        self._run = run_in_thread

    def pages(self) -> list[Page]:
        """What there is."""
        title = "Messages of the queue"
        return [
            Page(
                "POST",
                "/dashboard/queue/act",
                self.act,
                Right.ACT_OWN,
                title,
                form=Act,
                confirm=self.confirm,
            )
        ]

    async def confirm(self, visit: Visit) -> Confirmation | None:
        """Ask before what cannot be undone."""
        form: Act = visit.form.value
        ids = await self._chosen(visit)
        if form.act not in _ASKED:
            return None
        title, text, button = _ASKED[form.act]
        what = "this message" if len(ids) == 1 else f"{len(ids)} messages"
        text = (
            text
            if len(ids) == 1
            else text.replace("its sender is", "their senders are").replace("It ", "Each ", 1)
        )
        facts = [("Message", ids[0])] if len(ids) == 1 else []
        if form.next_hop:
            facts.append(("Destination", f"{form.transport} to {form.next_hop}"))
        if len(ids) == MOST:
            facts.append(("Of more", f"These are the first {MOST}; repeat it for the rest"))
        label = "Why, for the sender and the journal" if form.act == "bounce" else "Why, for the journal"
        return Confirmation(title.format(what), text, button, _back(form), facts, reason=label)

    async def act(self, visit: Visit) -> Answered:
        """Do it."""
        form: Act = visit.form.value
        ids = await self._chosen(visit)
        reason = form.reason.strip()
        if form.act == "bounce" and not reason:
            reason = "returned by who runs this server"
        count = await self._workers.act(form.act, ids, visit.by, reason)
        if not count:
            gone = "Nothing was done: what was chosen is not in the queue any more, or is so already."
            return Redirect(_back(form), gone, "note")
        what = "1 message is" if count == 1 else f"{count} messages are"
        done = _DONE[form.act].replace("their senders", "its sender") if count == 1 else _DONE[form.act]
        return Redirect(_back(form), f"{what} {done}.")

    async def _chosen(self, visit: Visit) -> Sequence[str]:
        """The ids, if the visitor may have to do with them."""
        form: Act = visit.form.value
        ids: Sequence[str] = form.ids
        if form.next_hop and not ids:
            if visit.confined:
                raise missing("There is no such message")
            chosen = Chosen(way=(form.transport, form.next_hop))
            found, _ = await self._run(waiting.messages, self._workers.directories(), chosen, MOST)
            ids = [message.id for message in found]
        if not ids:
            raise Trouble(
                422,
                "No message is chosen",
                "Tick the boxes before the messages that you mean.",
                "Go back, and choose some.",
            )
        for identifier in ids:
            try:
                decode_id(identifier)
            except ValueError:
                raise missing("There is no such message") from None
        if visit.confined:
            owners = await self._run(lambda: {self._owner(identifier) for identifier in ids})
            if owners != {visit.tenant}:
                raise missing("There is no such message")
        return ids


def _back(form: Act) -> str:
    return guard.own_path(form.back) if form.back else "/dashboard/queue"
