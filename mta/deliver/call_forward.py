"""Asks the mail server of a domain whether it takes a recipient, without sending anything.

MAIL with the null reverse-path and RCPT, then RSET.  What is asked for is one
thing: a 5xx to RCPT.  Whatever else comes (no connection, 4xx, a refusal before
RCPT, silence) leaves the recipient unknown, and a backup MX is there for
exactly that, so the recipient is taken.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mta.config.settings import BackupMx
from mta.deliver.relay import RelayTransport
from mta.interfaces import Answer, TemporarilyUnavailable
from mta.model.envelope import Client, Envelope
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Delivered, Failed, Outcome, RemoteReply
from mta.smtp.client_transaction import Transaction

#: Answers remembered.
_REMEMBERED = 20_000
#: Questions under way; more than that are put off.
_WAITING = 500
#: Seconds for which a server that could not be asked is not asked again.
_AWAY = 60.0


class CallForward:
    """See the module.

    :param relay: whose connections are used, and whose TLS.
    :param settings: ``[backup_mx]``.
    """

    log = Logger()

    def __init__(self, relay: RelayTransport, settings: BackupMx) -> None:
        self._relay = relay
        self._clock = relay.reactor
        self._settings = settings
        self._kept: OrderedDict[tuple[str, str], tuple[float, RemoteReply | None]] = OrderedDict()
        self._flights: dict[tuple[str, str], list[Deferred[RemoteReply | None]]] = {}
        self._away: dict[str, float] = {}

    def ask(self, address: str, next_hop: str) -> Answer[RemoteReply | None]:
        """The refusal of an address; ``None`` if it is taken, or if nobody can tell now.

        :raise TemporarilyUnavailable: if too many questions are under way.
        """
        key = (address.lower(), next_hop)
        now = self._clock.seconds()
        kept = self._kept.get(key)
        if kept is not None and now < kept[0]:
            return kept[1]
        if now < self._away.get(next_hop, 0.0):
            return None
        waiting: Deferred[RemoteReply | None] = Deferred()
        flight = self._flights.get(key)
        if flight is not None:
            flight.append(waiting)
            return waiting
        if len(self._flights) >= _WAITING:
            raise TemporarilyUnavailable("too many recipients are being asked for at their primaries")
        self._flights[key] = [waiting]
        timer = self._clock.callLater(self._settings.verify_timeout, self._land, key, None)
        probe = Transaction(_message(address, next_hop), [_addressee(address, next_hop)], "", probe=True)
        self._relay.probe(probe, next_hop).addBoth(self._answered, key, timer)
        return waiting

    def _answered(self, result: Sequence[Outcome] | Failure, key: tuple[str, str], timer: Any) -> None:
        if timer.active():
            timer.cancel()
        if isinstance(result, Failure):
            self.log.failure("Cannot ask for {address} at {host}", result, address=key[0], host=key[1])
            self._land(key, None)
            return
        [outcome] = result
        refusal = None
        settings = self._settings
        now = self._clock.seconds()
        if isinstance(outcome, Delivered):
            self._keep(key, None, now + settings.verify_cache)
        elif isinstance(outcome, Failed) and outcome.reply.command == "RCPT TO":
            refusal = outcome.reply
            self._keep(key, refusal, now + settings.verify_negative_cache)
        elif outcome.reply.command != "RCPT TO":
            if len(self._away) >= _REMEMBERED:
                self._away.clear()
            self._away[key[1]] = now + _AWAY
            self.log.info("{host} cannot be asked for recipients: {why}", host=key[1], why=str(outcome.reply))
        self._land(key, refusal)

    def _land(self, key: tuple[str, str], refusal: RemoteReply | None) -> None:
        # After the time is over there is nobody left to tell.
        for waiting in self._flights.pop(key, ()):
            waiting.callback(refusal)

    def _keep(self, key: tuple[str, str], refusal: RemoteReply | None, until: float) -> None:
        self._kept[key] = (until, refusal)
        self._kept.move_to_end(key)
        if len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)


def _addressee(address: str, next_hop: str) -> Addressee:
    return Addressee(0, address, address, "relay", next_hop)


def _message(address: str, next_hop: str) -> Message:
    """A message without content, because a transaction has one."""
    envelope = Envelope("")
    addressees = [_addressee(address, next_hop)]
    return Message("", envelope, Client("call-forward"), b"", InlineContent(b""), addressees, 0.0, 0.0)
