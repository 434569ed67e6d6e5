"""Kind ``error``: fails every recipient, with the reply that the router decided.

An alias may name somebody who does not exist.  The others get the message; for
this one the router gives a route to here, so that the sender is told by the
same notification as for any other failure.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Table
from mta.interfaces import Delivery, IKind, ITransport, PluginContext
from mta.model.catalogue import REPLIES
from mta.model.message import Addressee
from mta.model.outcome import Failed, Outcome, RemoteReply


class ErrorSettings(Table):
    """There is nothing to set."""


@implementer(ITransport)
class ErrorTransport:
    """Fails.

    An addressee's options have ``reply``, a name of the catalogue, whose text
    may use ``{address}``, ``{original}`` and ``{ref}``; or ``code``,
    ``enhanced`` and ``text``.
    """

    def deliver(self, delivery: Delivery) -> Deferred[Sequence[Outcome]]:
        """See :class:`~mta.interfaces.ITransport`."""
        session = delivery.message.client.session
        return succeed([Failed(_reply(addressee, session)) for addressee in delivery.addressees])

    def concurrency(self, next_hop: str) -> int:
        """It costs nothing."""
        return 100


def _reply(addressee: Addressee, session: str) -> RemoteReply:
    options = addressee.options
    values = {"address": addressee.address, "original": addressee.original, "ref": session}
    if "reply" not in options and options.get("text"):
        code = int(options.get("code", 550))
        return RemoteReply(code, str(options.get("enhanced", "")), str(options["text"]))
    try:
        reply = REPLIES.reply(str(options.get("reply", "")), **values)
    except KeyError:
        # Of an older or newer version, or one that needs other words.
        reply = REPLIES.reply("member-unknown", **values)
    return RemoteReply.ours(reply)


@implementer(IPlugin, IKind)
class ErrorKind:
    """Makes :class:`ErrorTransport`."""

    seam = ITransport
    kind = "error"
    settings = ErrorSettings

    def build(self, settings: ErrorSettings, context: PluginContext) -> ErrorTransport:
        """See :class:`~mta.interfaces.IKind`."""
        return ErrorTransport()


ERROR = ErrorKind()
