"""One message on its way from the network to the disk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from mta.intake.accepted import Accepted, give_return_paths
from mta.intake.labels import API_ROLE, LABELLED_ROLES, Stated, label
from mta.intake.linking import LinkError
from mta.intake.options import FIELDS, OptionError, options_said
from mta.intake.rewriting import rewritten, route_added
from mta.intake.submission import missing_fields
from mta.intake.suppressing import left_out, refusal, unavailable
from mta.intake.trace import received_field
from mta.interfaces import (
    Facts,
    IIncoming,
    SpoolFull,
    TemporarilyUnavailable,
    Undecided,
    settle,
)
from mta.model.authentication_results import AuthenticationResults, without_forged
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client, Envelope
from mta.model.event import Completed, Discarded, Event
from mta.model.event_engagement import LinksPut
from mta.model.header import header_section, take_fields
from mta.model.linked import Linked
from mta.model.message import Content, InlineContent, Message
from mta.model.options import NO_OPTIONS, Options
from mta.model.reply import Reply
from mta.model.revision import Composed
from mta.model.signed import Signed
from mta.model.verdict import PASS, Verdict, together

if TYPE_CHECKING:
    from mta.intake.reception import Reception

#: Roles whose messages are completed as RFC 6409 (8) allows.
_COMPLETED_ROLES = frozenset({"submission", "submissions", "local", "api"})
#: Characters of what a field of ours may say.
_LONGEST_OPTION = 64_000

_OPTIONS = frozenset(name for name, _ in FIELDS)


@implementer(IIncoming)
class Incoming:
    """Takes content, keeps it, and answers for it.

    Up to ``reception.inline`` octets stay in memory; from there on everything
    goes to a file of the spool, and only the header section is remembered.

    :param reception: whose message this is.
    :param client: where it comes from.
    :param envelope: complete; every recipient has its routes.
    :param options: what is said of it by who hands it over.
    :param identifier: the queue id that it has been given already.
    :ivar id: its queue id.
    :ivar dry: ask all questions, and keep nothing.
    :ivar message: as it is kept, once it is.
    :ivar linked: which links were put into it, if any were wanted.
    """

    __slots__ = (
        "_besides",
        "_blocks",
        "_client",
        "_envelope",
        "_file",
        "_labels",
        "_options",
        "_producer",
        "_reception",
        "_size",
        "_watch",
        "dry",
        "id",
        "linked",
        "message",
    )

    def __init__(
        self,
        reception: Reception,
        client: Client,
        envelope: Envelope,
        options: Options = NO_OPTIONS,
        identifier: str = "",
    ) -> None:
        self._reception = reception
        self._client = client
        self._envelope = envelope
        self._options = options
        self.id = identifier or reception.spool.new_id()
        self.dry = False
        self.message: Message | None = None
        self._blocks: list[bytes] = []
        self._size = 0
        self._file: Any = None
        self._producer: Any = None
        self.linked: Linked | None = None
        #: Events beside the one of its acceptance: of recipients that are suppressed, of links.
        self._besides: list[Event] = []
        #: What sees the content that goes to the file, for whoever signs it.
        self._watch: Any = None
        labelled = client.account and client.role in (*LABELLED_ROLES, API_ROLE)
        #: What is said of the message in its header; ``None`` where nobody may say anything.
        self._labels: dict[str, str] | None = {} if labelled and reception.labels.fields else None

    def write(self, block: bytes) -> None:
        """Take some octets."""
        self._size += len(block)
        if self._file is not None:
            self._file.write(block)
            return
        self._blocks.append(block)
        if self._size > self._reception.inline:
            data = b"".join(self._blocks)
            if self._size <= self._reception.header_size and b"\r\n\r\n" not in data:
                # The fields that are to be taken out may still come.
                self._blocks = [data]
                return
            data = self._taken_over(data)
            self._file = self._reception.spool.create_file(self.id)
            self._watch = self._reception.watch(self._client)
            if self._watch is not None:
                self._file.watch(self._watch.update)
            if self._producer is not None:
                self._file.register(self._producer)
            self._file.write(data)
            # What is kept is the start of the message, for the header section.
            self._blocks = [data[: self._reception.header_size]]

    def register(self, producer: Any) -> None:
        """Let the spool pause the network while the disk is slower."""
        self._producer = producer
        if self._file is not None:
            self._file.register(producer)

    def abort(self) -> None:
        """Forget it."""
        self._blocks = []
        if self._file is not None:
            self._file.abort()
            self._file = None

    async def finish(self) -> list[Reply]:
        """Judge, commit, answer."""
        count = len(self._envelope.recipients) if self._client.role == "lmtp" else 1
        try:
            reply = await self._finish()
        except BaseException:
            # The client is put off; nobody else knows of the file.
            self.abort()
            raise
        return [reply] * count

    async def _finish(self) -> Reply:
        reception, client, envelope = self._reception, self._client, self._envelope
        content: Content
        if self._file is None:
            data = self._blocks[0] if len(self._blocks) == 1 else b"".join(self._blocks)
            data = self._taken_over(data)
            content = InlineContent(data)
        else:
            data = self._blocks[0]
            try:
                content = await self._file.finish()
            except TemporarilyUnavailable as trouble:
                self._file = None
                return self._trouble(trouble)
        self._blocks = []
        header = header_section(data)
        now = reception.reactor.seconds()
        misunderstood = self._understand(now)
        if misunderstood is not None:
            self.abort()
            return misunderstood
        mailing = self._options.raw and self._options.unsubscribe
        if client.account and (client.role in LABELLED_ROLES or mailing):
            told = await self._leave_out(now)
            if told is not None:
                self.abort()
                return told
            envelope = self._envelope
        if client.account and (client.role in LABELLED_ROLES or self._options.raw):
            put = await self._put_links(content, now)
            if isinstance(put, Reply):
                self.abort()
                return put
            if put is not content:
                content = put
                header = header_section(self.linked.content if self.linked is not None else data)
        date = reception.dates.at(now)
        added = b""
        if client.role in _COMPLETED_ROLES:
            added = missing_fields(header, self.id, reception.hostname, date, envelope.reverse_path)
        # Judges see what will be sent, and so do those who sign it.
        whole = Composed(added, content) if added else content
        trusted = reception.may_send_anywhere(client)
        before = added + header
        facts = Facts(client, envelope, None, before, whole, trusted=trusted, id=self.id)
        verdict = reception.pipeline.judge("message", facts)
        decided = verdict if verdict is PASS else await settle(verdict)
        refusal = reception.refusal(decided, client)
        if refusal is None and facts.revision is not None:
            assert facts.envelope is not None
            refusal = await route_added(reception.router, facts.envelope.recipients, client.session)
        if refusal is not None:
            self.abort()
            return refusal
        judged = (*client.judged, *envelope.judged)
        envelope.judged = ()  # It is not kept in memory for as long as the message is.
        if decided.action != "discard" and judged:
            decided = together((*(earlier for _, earlier in judged), decided))
        above = b"".join(_field(name, value) for name, value in decided.fields)
        if decided.authentication:
            above = AuthenticationResults(reception.authserv_id, decided.authentication).field() + above
        if facts.revision is not None:
            # The session keeps its own, by which it counts replies.
            self._envelope = envelope = facts.envelope or envelope
            envelope.judged = ()
            if decided.action == "discard" or not envelope.recipients:
                return self._discarded(decided, facts.header, content.size, now)
            if facts.revision.rewritten:
                added = b""
                self._watch = None
                try:
                    content = await self._rewrite(facts.revision.below)
                except TemporarilyUnavailable as trouble:
                    self.abort()
                    return self._trouble(trouble)
        elif decided.action == "discard":
            return self._discarded(decided, facts.header, content.size, now)
        junk = reception.junk.mark(before, above + facts.header) if above or facts.revision else ""
        if reception.signer is not None:
            signed = await self._sign(facts, above, content, now)
            if isinstance(signed, Reply):
                self.abort()
                return signed
            above = signed.fields + above
            if signed.evidence:
                decided = replace(decided, evidence={**decided.evidence, "signature": signed.evidence})
        single = envelope.recipients[0].address if len(envelope.recipients) == 1 else ""
        received = received_field(client, reception.hostname, self.id, date, single, envelope.asked)
        inserted = facts.revision.above if facts.revision is not None else b""
        trace = above + inserted + received + added
        accepted = self._accepted(decided, facts.header, now, junk)
        message = accepted.message(reception, content, trace)
        event = accepted.event(message.size)
        if reception.return_path is not None:
            try:
                await give_return_paths(message, reception.return_path)
            except TemporarilyUnavailable as trouble:
                self.abort()
                return self._unknown("return-path", trouble)
        if self.dry:
            self.abort()
            self.message = message
            return REPLIES.reply("queued", id=message.id)
        try:
            await reception.spool.admit(message, (event, *self._besides))
        except TemporarilyUnavailable as trouble:
            if isinstance(trouble, Undecided):
                self._file = None  # Should the row be there after all, its content must be.
            self.abort()
            return self._trouble(trouble)
        self._file = None  # It is the spool's from here on.
        self.message = message
        reception.admitted(message)
        if event.asked and envelope.asked is None:
            # MAIL was answered before the header was known.
            values = {"priority": event.priority, "account": client.account, "id": message.id}
            return REPLIES.reply("queued-lowered", **values)
        return REPLIES.reply("queued", id=message.id)

    def _taken_over(self, data: bytes) -> bytes:
        """The message without the fields that nobody but us may add, or that are for us alone.

        What those say that are for us is kept.
        """
        data = without_forged(data, self._reception.authserv_id)
        if self._labels is None:
            return data
        fields = self._reception.labels.fields
        data, values = take_fields(data, [field for _, field in fields])
        if not any(values):
            return data
        for (name, _), value in zip(fields, values, strict=True):
            text = label(value, _LONGEST_OPTION) if name in _OPTIONS else label(value)
            if text:
                self._labels[name] = text
        return data

    def _understand(self, now: float) -> Reply | None:
        """Take the options that the header states; a reply if they are none."""
        said, labels = self._labels or {}, self._reception.labels
        if not _OPTIONS.isdisjoint(said):
            try:
                options, at = options_said(said)
                self._options = self._options.over(options)
                if at > now + labels.furthest:
                    raise OptionError("X-MTA-Send-At", "it is further ahead than messages may be scheduled")
            except OptionError as error:
                return REPLIES.reply(
                    "option-misunderstood", field=error.field, problem=str(error), ref=self._client.session
                )
            if at > now and not self._envelope.release:
                # MAIL counts before the header.
                self._envelope.release = at
        return None

    async def _leave_out(self, now: float) -> Reply | None:
        """Leave out who is on a suppression list; a reply if nobody is left."""
        client, envelope, suppressing = self._client, self._envelope, self._reception.suppressing
        labels, tenant = self._reception.labels, self._stated().tenant
        addresses = [recipient.address for recipient in envelope.recipients]
        try:
            mailing = self._options.unsubscribe or ""
            found = await settle(
                suppressing.at_end(tenant, labels.tenant(client.account), addresses, mailing)
            )
        except TemporarilyUnavailable as trouble:
            return unavailable(envelope.reverse_path, client, trouble)
        if not found:
            return None
        left = [recipient for recipient in envelope.recipients if recipient.address not in found]
        if not left:
            address = addresses[0]
            return refusal(found[address], address, client)
        about = {"message": self.id, "session": client.session, "sender": envelope.reverse_path}
        self._besides += [
            left_out(found[recipient.address], recipient, at=now, tenant=tenant, **about)
            for recipient in envelope.recipients
            if recipient.address in found
        ]
        # The session keeps its own, by which it counts replies.
        self._envelope = replace(envelope, recipients=left)
        return None

    async def _put_links(self, content: Content, now: float) -> Content | Reply:
        """The content with links of ours, if the tenant wants them; a reply if they cannot be had."""
        client, envelope, linking = self._client, self._envelope, self._reception.linking
        if linking is None:
            return content
        stated = self._stated()
        addresses = [recipient.address for recipient in envelope.recipients]
        try:
            linked = await linking.linked(content, self._options, self.id, stated.tenant, addresses)
            if linked is None:
                return content
            if linked.changed:
                content = await self._rewrite(InlineContent(linked.content))
                # It has seen another content.
                self._watch = None
        except LinkError as error:
            return REPLIES.reply(
                "option-misunderstood", field="X-MTA-Unsubscribe", problem=str(error), ref=client.session
            )
        except TemporarilyUnavailable as trouble:
            return self._trouble(trouble)
        self.linked = linked
        self._besides.append(
            LinksPut(
                at=now,
                message=self.id,
                session=client.session,
                tenant=stated.tenant,
                links=linked.links,
                opens=linked.opens,
                unsubscribe=linked.unsubscribe,
                why=linked.why,
            )
        )
        return content

    def _trouble(self, trouble: TemporarilyUnavailable) -> Reply:
        name = "no-space" if isinstance(trouble, SpoolFull) else "spool-trouble"
        reply = REPLIES.reply(name, ref=self._client.session)
        return reply.because("spool", {"why": str(trouble)})

    def _unknown(self, rule: str, trouble: TemporarilyUnavailable) -> Reply:
        """What is said while nobody can tell what has to be known of the sender."""
        address, ref = self._envelope.reverse_path, self._client.session
        reply = REPLIES.reply("directory-unavailable", address=address, ref=ref)
        return reply.because(rule, {"why": str(trouble)})

    async def _rewrite(self, below: Content) -> Content:
        """Keep a content that judges have made of the one that came."""
        reception = self._reception
        if self._file is None and below.size <= reception.inline:
            return InlineContent(below.read())
        file = reception.spool.create_file(reception.spool.new_id())
        try:
            content = await rewritten(below, file, reception.run_in_thread)
        except BaseException:
            file.abort()
            raise
        self.abort()
        self._file = file
        return content

    async def _sign(self, facts: Facts, above: bytes, content: Content, now: float) -> Signed | Reply:
        """Signatures for the top; a reply if nobody can tell now whether it may be signed.

        :param above: fields of ours that are not in the header section of ``facts``.
        """
        signer = self._reception.signer
        assert signer is not None
        try:
            tenant = self._stated().tenant
            return await settle(signer.sign(facts, above, content, tenant, self._watch, now))
        except TemporarilyUnavailable as trouble:
            return self._unknown("signature", trouble)

    def _stated(self) -> Stated:
        """What holds for the message, by all that is said of it."""
        labels = self._reception.labels
        return labels.stated(self._client, self._envelope, self._labels or {}, self._options)

    def _accepted(self, verdict: Verdict, header: bytes, now: float, junk: str = "") -> Accepted:
        stated = self._stated()
        return Accepted(
            self.id, self._client, self._envelope, self._options, stated, verdict, header, now, junk
        )

    def _discarded(self, verdict: Verdict, header: bytes, octets: int, now: float) -> Reply:
        """Answer as if it was kept; only the journal knows of it."""
        reception, client, envelope = self._reception, self._client, self._envelope
        self.abort()
        event = self._accepted(verdict, header, now).event(octets)
        reason = f"{verdict.rule}: {verdict.reason}" if verdict.rule else "no recipient was left"
        recipients = [recipient.address for recipient in envelope.recipients]
        about: dict[str, Any] = {"at": now, "message": self.id, "session": client.session}
        discarded = Discarded(reason=reason, recipients=recipients, what="message", **about)
        if not self.dry:
            reception.spool.note((event, discarded, Completed(**about)))
        return REPLIES.reply("queued", id=self.id)


def _field(name: str, value: str) -> bytes:
    # A judge's value may come from the network: no line of its own may begin in it.
    clean = value.replace("\r", " ").replace("\n", " ").replace("\0", " ")
    return f"{name}: {clean}\r\n".encode("utf-8", "surrogateescape")
