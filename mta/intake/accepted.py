"""A message that is taken, before it is kept: what the spool gets of it, and what the journal tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mta.intake.labels import Stated
from mta.interfaces import settle
from mta.model.envelope import Client, Envelope
from mta.model.event import Received
from mta.model.header import field_value, subject_of
from mta.model.message import Addressee, Content, Message
from mta.model.options import NO_OPTIONS, Options
from mta.model.verdict import Verdict

if TYPE_CHECKING:
    from mta.intake.reception import Reception, ReturnPath


@dataclass(slots=True)
class Accepted:
    """What is known of it.

    :ivar id: its queue id.
    :ivar envelope: with those recipients that are left.
    :ivar options: what was said of it by who handed it over.
    :ivar stated: what holds for it.
    :ivar verdict: of all judges together.
    :ivar header: its header section.
    :ivar now: when it was taken, in seconds since 1970.
    :ivar junk: why it is junk; ``""`` if it is not.
    """

    id: str
    client: Client
    envelope: Envelope
    options: Options
    stated: Stated
    verdict: Verdict
    header: bytes
    now: float
    junk: str = ""

    @property
    def held(self) -> str:
        """Why it is to be held; ``""`` if it is not."""
        of = self.verdict
        return f"{of.rule}: {of.reason}" if of.action == "hold" else ""

    def message(self, reception: Reception, content: Content, trace: bytes) -> Message:
        """As it is kept.

        :param reception: whose message it is: when it expires, and how its recipients are left.
        :param trace: the fields above its header section.
        """
        envelope, stated, now, held = self.envelope, self.stated, self.now, self.held
        # Due and expiry count from the time for which it was scheduled.
        scheduled = envelope.release > now
        begins = envelope.release if scheduled else now
        message = Message(
            id=self.id,
            envelope=envelope,
            client=self.client,
            trace=trace,
            content=content,
            addressees=[],
            created=now,
            expires=begins + (reception.expire if envelope.reverse_path else reception.bounce_expire),
        )
        facts = (
            ("tenant", stated.tenant),
            ("campaign", stated.campaign),
            ("release", begins if scheduled else 0.0),
            ("hold", envelope.hold if scheduled else ""),
            ("priority", stated.priority),
            ("folder", reception.junk.folder if self.junk else ""),
            ("held", held),
        )
        message.attributes.update((name, value) for name, value in facts if value)
        if self.options is not NO_OPTIONS:
            message.attributes.update(self.options.attributes())
        message.addressees = self._addressees(reception, begins, "held" if held else "queued")
        return message

    def event(self, octets: int) -> Received:
        """As the journal tells it.

        :param octets: of all that is sent on.
        """
        client, envelope, stated, verdict = self.client, self.envelope, self.stated, self.verdict
        return Received(
            at=self.now,
            message=self.id,
            session=client.session,
            sender=envelope.reverse_path,
            recipients=[recipient.address for recipient in envelope.recipients],
            size=octets,
            role=client.role,
            client=client.address,
            helo=client.helo,
            protocol=client.protocol,
            tls=f"{client.tls_version} {client.tls_cipher}".strip(),
            account=client.account,
            message_id=(field_value(self.header, b"message-id") or b"").decode("utf-8", "replace")[:998],
            held=self.held,
            junk=self.junk,
            scheduled=envelope.release if envelope.release > self.now else 0.0,
            priority=stated.priority,
            asked=stated.asked,
            tenant=stated.tenant,
            claimed=stated.claimed,
            campaign=stated.campaign,
            tags=verdict.evidence,
            **self._told(),
            authentication=[one.told() for one in verdict.authentication],
        )

    def _told(self) -> dict[str, Any]:
        """What whoever sent it will look for."""
        options = self.options
        if options is NO_OPTIONS and not self.stated.tenant:
            return {}
        return {
            "subject": subject_of(self.header),
            "tagged": list(options.tags),
            "metadata": dict(options.metadata),
            "batch": options.batch,
            "template": options.template,
            "key": options.key,
        }

    def _addressees(self, reception: Reception, due: float, state: str) -> list[Addressee]:
        leave, sender, account = reception.leave, self.envelope.reverse_path, self.client.account
        found: list[Addressee] = []
        seen: set[tuple[str, str, str]] = set()
        for recipient in self.envelope.recipients:
            for route in leave(recipient.routes, sender, account, self.stated.tenant):
                key = (route.transport, route.next_hop, route.address)
                if key in seen:
                    continue
                seen.add(key)
                options = route.options
                if route.sender is not None:
                    options = {**options, "sender": route.sender}
                found.append(
                    Addressee(
                        number=len(found),
                        address=route.address,
                        original=recipient.address,
                        transport=route.transport,
                        next_hop=route.next_hop,
                        options=options,
                        notify=recipient.notify,
                        orcpt=recipient.orcpt,
                        due=due,
                        state=state,
                    )
                )
        return found


async def give_return_paths(message: Message, return_path: ReturnPath) -> None:
    """Give each copy that leaves us the reverse-path to which its bounces are to come.

    :raise TemporarilyUnavailable: if that cannot be found out now.
    """
    sender = message.envelope.reverse_path
    for addressee in message.addressees:
        if "sender" not in addressee.options:  # A list has an owner, who is told.
            path = await settle(return_path(message.id, sender, addressee.original, addressee.address))
            if path is not None:
                addressee.options = {**addressee.options, "return_path": path}
