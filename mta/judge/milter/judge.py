"""Kind ``milter``: asks a filter at every stage, and does what it wants.

Where the filter cannot be asked, ``default_action`` says what becomes of the mail.  Nobody is sent
away for that before MAIL, and with ``accept`` and ``quarantine`` it is decided when the message is
there: until then the filter may be back, and is told all of it then.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from twisted.internet.endpoints import clientFromString
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Duration, Table
from mta.interfaces import Facts, IJudge, IKind, IService, ISessionJudge, PluginContext
from mta.judge.milter.connections import MilterConnections
from mta.judge.milter.conversation import Conversation, Patience
from mta.judge.milter.dialogue import Outcome
from mta.judge.milter.packets import MilterError
from mta.judge.roles import Role
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client
from mta.model.verdict import PASS, Stage, Verdict


class MilterSettings(Table):
    """Settings of ``kind = "milter"``."""

    endpoint: str
    roles: list[Role] = Field(["mx", "submission", "submissions", "lmtp", "local"], min_length=1)
    default_action: Literal["tempfail", "accept", "quarantine", "reject"] = "tempfail"
    connect_timeout: Duration = 30.0
    command_timeout: Duration = 30.0
    content_timeout: Duration = 300.0
    reuse: bool = True
    idle: Duration = Field(10.0, ge=0.1)


@implementer(IJudge, ISessionJudge, IService)
class MilterJudge:
    """See the module.

    :param settings: validated.
    :param context: reactor, host name, threads.
    :param endpoint: an ``IStreamClientEndpoint`` of the filter.
    """

    _log = Logger()

    def __init__(self, settings: MilterSettings, context: PluginContext, endpoint: Any) -> None:
        self._settings = settings
        self._context = context
        self._roles = frozenset(settings.roles)
        self._patience = Patience(settings.command_timeout, settings.content_timeout)
        self._connections = MilterConnections(
            context.reactor,
            endpoint,
            connect_timeout=settings.connect_timeout,
            command_timeout=settings.command_timeout,
            reuse=settings.reuse,
            idle=settings.idle,
        )
        self._conversations: dict[str, Conversation] = {}
        self._stopped = False

    def start(self) -> None:
        """Nothing is opened before it is needed."""

    def stop(self) -> None:
        """Close what is free; what is under way ends by itself."""
        self._stopped = True
        for session in list(self._conversations):
            self._conversations.pop(session).close()
        self._connections.close()

    def closed(self, client: Client) -> None:
        """The SMTP session is over."""
        conversation = self._conversations.pop(client.session, None)
        if conversation is not None:
            conversation.close()

    async def judge(self, stage: Stage, facts: Facts) -> Verdict:
        """Ask the filter."""
        client = facts.client
        if client.role not in self._roles:
            return PASS
        conversation = self._conversations.get(client.session)
        if conversation is None:
            conversation = Conversation(
                self._connections, self._context.hostname, self._patience, self._context.run_in_thread
            )
            # After a reload another judge is told of the end of this session.
            conversation.over = self._stopped
            if not self._stopped:
                self._conversations[client.session] = conversation
        try:
            outcome = await conversation.ask(stage, facts)
        except MilterError as error:
            self._log.warn(
                "The milter at {endpoint} failed at {stage}: {error}",
                endpoint=self._settings.endpoint,
                stage=stage,
                error=str(error),
            )
            return self._default(stage, client, str(error))
        return self._verdict(stage, outcome, facts)

    # --- what is made of it ----------------------------------------------------------

    def _default(self, stage: Stage, client: Client, why: str) -> Verdict:
        """What becomes of mail that the filter could not be asked about."""
        action = self._settings.default_action
        evidence: dict[str, Any] = {"failed": why, "at": stage, "default_action": action}
        if stage in ("connect", "hello"):
            return PASS
        if action in ("tempfail", "reject"):
            name = "filter-unavailable" if action == "tempfail" else "filter-missing"
            reply = REPLIES.reply(name, ref=client.session)
            refusal: Literal["defer", "reject"] = "defer" if action == "tempfail" else "reject"
            return Verdict(refusal, "milter.default_action", reply.text, evidence, reply)
        if stage != "message":
            return PASS
        if action == "quarantine":
            return Verdict("hold", "milter.default_action", "a filter could not be asked", evidence)
        return Verdict("pass", "milter.default_action", evidence=evidence)

    def _verdict(self, stage: Stage, outcome: Outcome, facts: Facts) -> Verdict:
        said = outcome.said
        rule = f"milter.{outcome.step.replace(' ', '-')}"
        evidence = {"milter": self._settings.endpoint}
        if said.decision == "reject":
            return Verdict("reject", rule, "Refused by a filter", evidence, said.reply)
        if said.decision == "tempfail":
            return Verdict("defer", rule, "A filter put this off, try again later", evidence, said.reply)
        if said.decision == "discard":
            # Of a session it cannot be said; of a message, when all of it is there.
            return Verdict("discard", rule, "a filter wants it so", evidence) if stage == "message" else PASS
        if outcome.quarantine is not None:
            return Verdict("hold", "milter.quarantine", outcome.quarantine, evidence, changes=outcome.changes)
        if outcome.changes:
            return Verdict("pass", rule, evidence=evidence, changes=outcome.changes)
        return PASS


@implementer(IPlugin, IKind)
class MilterKind:
    """Makes :class:`MilterJudge`."""

    seam = IJudge
    kind = "milter"
    settings = MilterSettings

    def build(self, settings: MilterSettings, context: PluginContext) -> MilterJudge:
        """See :class:`~mta.interfaces.IKind`."""
        try:
            endpoint = clientFromString(context.reactor, settings.endpoint)
        except Exception as error:
            # Each kind of endpoint has its own mistakes.
            raise ValueError(
                f"endpoint: {settings.endpoint!r} is no client endpoint, such as "
                f'"unix:/run/rspamd/milter.sock" or "tcp:127.0.0.1:11332" ({error})'
            ) from None
        return MilterJudge(settings, context, endpoint)


MILTER = MilterKind()
