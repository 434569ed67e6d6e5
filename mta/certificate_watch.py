"""Sees that our certificate was renewed, and uses it; says in good time that it expires."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mta.certificate import CertificateError, ServerContext
from mta.model.event import Event
from mta.model.event_security import CertificateSeen

#: Days before its end at which the journal says so; it is said once at each.
DAYS = (30, 14, 7, 1)
#: Seconds between two looks at the files.
LOOK = 30.0
_DAY = 86400.0


class CertificateWatch:
    """See the module.

    :param reactor: time and delayed calls.
    :param context: what the sessions use.
    :param note: puts events into the journal.
    :param speaks: whether this worker is the one that tells the journal; all of them load.
    """

    def __init__(
        self, reactor: Any, context: ServerContext, note: Callable[[Iterable[Event]], None], speaks: bool
    ) -> None:
        self._reactor = reactor
        self._context = context
        self._note = note
        self._speaks = speaks
        self._call: Any = None
        #: What was found to be wrong at the last look, and whether that was said.
        self._wrong: tuple[Any, bool] = ((), False)
        #: The end of validity that was last warned of, and how many days before it.
        self._warned = (0.0, DAYS[0] + 1)

    async def start(self) -> None:
        """Begin to look."""
        self._look()

    async def stop(self) -> None:
        """Look no more."""
        if self._call is not None and self._call.active():
            self._call.cancel()

    def reloaded(self) -> None:
        """Somebody has had it loaded: what is to be said of it now?"""
        self._wrong = ((), False)
        self._warn()

    def _look(self) -> None:
        self._call = self._reactor.callLater(LOOK, self._look)
        if not self._context.is_current:
            self._load()
        self._warn()

    def _load(self) -> None:
        mark = self._context.on_disk()
        known, said = self._wrong
        if known == mark and said:
            return
        try:
            self._context.reload()
        except CertificateError as error:
            # Programs that renew write two files, one after the other: it is said of the second look.
            if known == mark:
                self._say("unusable", reason=str(error))
            self._wrong = (mark, known == mark)
        else:
            self._wrong = ((), False)
            self._say("loaded")

    def _warn(self) -> None:
        context = self._context
        end, before = self._warned
        if end != context.expires:
            before = DAYS[0] + 1
        left = context.expires - self._reactor.seconds()
        passed = 0 if left <= 0 else min((days for days in DAYS if left <= days * _DAY), default=before)
        if passed < before:
            self._say("expires" if passed else "expired", days=max(0, int(left // _DAY)))
            before = passed
        self._warned = (context.expires, before)

    def _say(self, what: str, **facts: Any) -> None:
        if not self._speaks:
            return
        context = self._context
        self._note(
            [
                CertificateSeen(
                    at=self._reactor.seconds(),
                    what=what,
                    file=str(context.certificate),
                    names=context.names,
                    expires=context.expires,
                    **facts,
                )
            ]
        )
