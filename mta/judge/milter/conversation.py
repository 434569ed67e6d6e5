"""One SMTP session, as a filter has been told of it.

What the filter knows and what is the case may differ: it was restarted, the configuration was
reloaded, a recipient that it agreed to was refused by somebody else, or a judge before it changed
the envelope.  So each question begins with telling it what it does not know; the transaction is
told anew where it knows of another one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import DeferredLock

from mta.judge.milter import macros, steps
from mta.judge.milter.connection import Body, MilterConnection, MilterLost
from mta.judge.milter.connections import MilterConnections
from mta.judge.milter.dialogue import Outcome, message, tell
from mta.judge.milter.packets import MilterError, Packet
from mta.judge.milter.replies import GO_ON, Said
from mta.judge.milter.steps import Step
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.facts import Facts
from mta.model.header import header_fields
from mta.model.revision import behind, is_in_memory


@dataclass(slots=True)
class _Transaction:
    """What the filter knows of one.

    :ivar sender: the packet that told it of the sender.
    :ivar recipients: those about the recipients, as far as it agreed to them.
    :ivar said: its last word about the message, if it has spoken that before the content.
    """

    sender: Packet
    recipients: list[Packet] = field(default_factory=list)
    said: Said | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait for an answer.

    :ivar command: to a step before the content.
    :ivar content: to the steps of the content, and to the end of the message.
    """

    command: float
    content: float


class Conversation:
    """See the module.  Questions are asked one after the other.

    :param connections: of the filter.
    :param hostname: our name.
    :param patience: how long to wait.
    :param run_in_thread: where content is read.
    :ivar over: whether the SMTP session is.
    """

    def __init__(
        self,
        connections: MilterConnections,
        hostname: str,
        patience: Patience,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._connections = connections
        self._hostname = hostname
        self._patience = patience
        self._run = run_in_thread
        self._lock = DeferredLock()
        self._connection: MilterConnection | None = None
        self._hello: tuple[str, str] | None = None
        #: Its last word about the whole session.
        self._settled: Outcome | None = None
        self._transaction: _Transaction | None = None
        #: Whether nothing was said since it had no objection to a message.
        self._at_end = False
        self.over = False

    async def ask(self, stage: str, facts: Facts) -> Outcome:
        """What the filter says at a stage.

        :raise MilterError: if it does not answer, or not as it should.
        """
        await self._lock.acquire()
        try:
            return await self._ask(stage, facts)
        except MilterError as error:
            self._connections.hangs(error)
            self._drop()
            raise
        except BaseException:
            self._drop()
            raise
        finally:
            self._lock.release()
            if self.over:
                self.close()

    def close(self) -> None:
        """The SMTP session is over; what is being asked is still answered."""
        self.over = True
        if not self._lock.locked and self._connection is not None:
            connection, self._connection = self._connection, None
            self._connections.give_back(connection, self._at_end)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._hello = self._transaction = None
        if connection is not None:
            connection.drop()

    # --- what it is told -----------------------------------------------------------

    async def _ask(self, stage: str, facts: Facts) -> Outcome:
        client, envelope = facts.client, facts.envelope
        outcome = self._settled
        if outcome is None:
            outcome = await self._introduce(client, again=stage == "hello")
        if outcome.said.decision != "continue":
            return outcome
        if stage in ("connect", "hello") or envelope is None:
            return outcome
        said = await self._begin(client, envelope, again=stage == "mail")
        if stage == "recipient" and said.decision == "continue" and facts.recipient is not None:
            said = await self._recipient(client, envelope, facts.recipient)
        if stage != "message":
            return Outcome(said, stage)
        return await self._message(client, envelope, facts, said)

    async def _introduce(self, client: Client, again: bool) -> Outcome:
        """Who is there, and what it said of itself, as far as the filter does not know."""
        if self._connection is not None and self._connection.lost:
            self._drop()
        values = macros.of_client(client, self._hostname)
        if self._connection is None:
            said = await self._connect(client, values)
            if said.decision != "continue":
                return self._settle(Outcome(said, steps.CONNECT.name))
        hello = (client.helo, client.tls_version)
        if client.helo and (again or hello != self._hello):
            said = await self._tell(steps.HELLO, steps.hello(client), values)
            self._hello = hello
            self._transaction = None
            if said.decision != "continue":
                return self._settle(Outcome(said, steps.HELLO.name))
        return Outcome(GO_ON, steps.HELLO.name)

    def _settle(self, outcome: Outcome) -> Outcome:
        """It wants to hear no more of this session."""
        self._settled = outcome
        connection, self._connection = self._connection, None
        if connection is not None:
            self._connections.give_back(connection, self._at_end)
        return outcome

    async def _connect(self, client: Client, values: dict[str, str]) -> Said:
        while True:
            self._connection, used = await self._connections.open()
            try:
                return await self._tell(steps.CONNECT, steps.connected(client), values)
            except MilterLost:
                # It may have closed a free connection just now.
                self._drop()
                if not used:
                    raise

    async def _begin(self, client: Client, envelope: Envelope, again: bool) -> Said:
        """The sender, unless the filter knows."""
        packet = steps.sender(envelope)
        known = self._transaction
        if known is not None and known.sender == packet and not again:
            return known.said or GO_ON
        self._abort()
        values = {**macros.of_client(client, self._hostname), **macros.of_sender(envelope)}
        said = await self._tell(steps.MAIL, packet, values)
        if said.decision in ("continue", "accept", "discard"):
            last = None if said.decision == "continue" else said
            self._transaction = _Transaction(packet, said=last)
        else:
            self._say(steps.ABORT)
        return said

    async def _recipient(self, client: Client, envelope: Envelope, one: Recipient) -> Said:
        known = self._transaction
        assert known is not None
        packet = steps.recipient(one)
        values = {
            **macros.of_client(client, self._hostname),
            **macros.of_sender(envelope),
            **macros.of_recipient(one),
        }
        said = await self._tell(steps.RECIPIENT, packet, values)
        if said.decision in ("continue", "accept", "discard"):
            known.recipients.append(packet)
            if said.decision != "continue":
                known.said = said
        return said

    async def _message(self, client: Client, envelope: Envelope, facts: Facts, said: Said) -> Outcome:
        wanted = [steps.recipient(one) for one in envelope.recipients]
        known = self._transaction
        if said.decision == "continue" and known is not None:
            if known.recipients != wanted[: len(known.recipients)]:
                said = await self._begin(client, envelope, again=True)
                known = self._transaction
            for one in envelope.recipients[len(known.recipients) if known is not None else 0 :]:
                if said.decision == "continue":
                    said = await self._recipient(client, envelope, one)
        if said.decision != "continue":
            self._abort()
            return Outcome(said, steps.RECIPIENT.name)
        assert self._connection is not None and facts.content is not None
        values = {**macros.of_client(client, self._hostname), **macros.of_sender(envelope), "i": facts.id}
        terms = self._connection.terms
        # Behind the header section stands an empty line, unless there is nothing more.
        blocks = behind(facts.content, len(facts.header) + 2)
        body = Body(blocks, None if is_in_memory(facts.content) else self._run)
        dialogue = message(header_fields(facts.header), terms, values)
        self._at_end = False
        outcome = await self._connection.run(dialogue, self._patience.content, body)
        if outcome.step == steps.END_OF_MESSAGE.name:
            self._at_end = outcome.said.decision == "continue"
        else:
            self._say(steps.ABORT)
        self._transaction = None
        return outcome

    # --- how -------------------------------------------------------------------------

    async def _tell(self, step: Step, packet: Packet, values: dict[str, str]) -> Said:
        connection = self._connection
        assert connection is not None
        self._at_end = False
        dialogue = tell(step, packet, connection.terms, values)
        said: Said = await connection.run(dialogue, self._patience.command)
        if said.decision == "skip":
            raise MilterError(f"it answered {step.name} with what belongs to the body")
        return said

    def _abort(self) -> None:
        if self._transaction is not None:
            self._transaction = None
            self._say(steps.ABORT)

    def _say(self, octets: bytes) -> None:
        self._at_end = False
        if self._connection is not None:
            self._connection.say(octets)
