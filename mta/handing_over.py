"""Joins what hands messages of tenants over, to the reception: requests, batches, who sends one again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from mta.api.v1.route import Call
from mta.api.v1.tenant_account import TenantAccount
from mta.batch.plan import Plan
from mta.config.settings import Settings
from mta.intake.handover import Compose, Handed, hand_over
from mta.intake.reception import Reception
from mta.intake.suppressing import refusal
from mta.interfaces import settle
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Received
from mta.model.options import Options
from mta.registry.registry import Registry


class HandingOver:
    """What one worker has of it.

    :param reception: takes messages.
    :param registry: knows tenants, their domains, and who gets nothing more.
    :param settings: gives the settings in use.
    :param session_id: gives ids of sessions.
    :param content: of a tenant's message by its queue id; ``None`` if it is kept no more.
    """

    def __init__(
        self,
        reception: Reception,
        registry: Registry,
        settings: Callable[[], Settings],
        session_id: Callable[[], str],
        content: Callable[[str, str], Awaitable[bytes | None]],
    ) -> None:
        self._reception = reception
        self._registry = registry
        self._settings = settings
        self._session_id = session_id
        self._content = content

    def of_request(
        self,
        call: Call,
        account: TenantAccount,
        envelope: Envelope,
        recipients: Sequence[Recipient],
        compose: Compose,
        options: Options,
        dry: bool,
        identifier: str,
    ) -> Awaitable[Handed]:
        """Hand over a message that a request brought."""
        protocol = "HTTPS" if call.request.isSecure() else "HTTP"
        client = _client(self._session_id(), call.address, account, protocol)
        return self._hand_over(client, account, envelope, recipients, compose, options, dry, identifier)

    def of_batch(
        self,
        plan: Plan,
        envelope: Envelope,
        recipient: Recipient,
        content: bytes,
        options: Options,
        identifier: str,
        dry: bool,
    ) -> Awaitable[Handed]:
        """Hand over one message of a batch."""
        account = TenantAccount(self._registry, plan.tenant)
        client = _client(plan.session, plan.address, account)
        return self._hand_over(
            client, account, envelope, [recipient], lambda name, date: content, options, dry, identifier
        )

    async def again(
        self, tenant: str, identifier: str, before: Received, recipients: Sequence[str], address: str
    ) -> Handed | None:
        """Hand a message that is kept over once more, to some of its recipients.

        :param before: how it came in.
        :param address: of the client whose person wants it.
        :return: what became of it; ``None``: its content is kept no more.
        :raise TemporarilyUnavailable: if that cannot be done now.
        """
        content = await self._content(tenant, identifier)
        if content is None:
            return None
        account = TenantAccount(self._registry, tenant)
        client = _client(self._session_id(), address, account, mechanism="dashboard")
        ascii_only = all(one.isascii() for one in (before.sender, *recipients))
        envelope = Envelope(before.sender, body="8BITMIME", smtputf8=not ascii_only)
        # Who is on a suppression list, or has left, gets nothing this time either.
        barred = await settle(self._registry.suppressions.find(tenant, list(recipients)))
        if barred:
            entry = next(iter(barred.items()))
            return Handed(refusal(entry[1], entry[0], client))
        options = Options(
            tenant=tenant,
            campaign=before.campaign,
            tags=tuple(before.tagged),
            metadata={**before.metadata, "again": identifier},
        )
        people = [Recipient(one) for one in recipients]
        return await self._hand_over(client, account, envelope, people, lambda name, date: content, options)

    def _hand_over(
        self,
        client: Client,
        account: TenantAccount,
        envelope: Envelope,
        recipients: Sequence[Recipient],
        compose: Compose,
        options: Options,
        dry: bool = False,
        identifier: str = "",
    ) -> Awaitable[Handed]:
        return hand_over(
            self._reception,
            client,
            account,
            envelope,
            recipients,
            compose,
            options,
            most=self._settings().limits.message_size,
            dry=dry,
            identifier=identifier,
        )


def _client(
    session: str, address: str, account: TenantAccount, protocol: str = "HTTP", mechanism: str = "key"
) -> Client:
    """Who hands over, as the journal tells it."""
    return Client(
        session=session,
        role="api",
        address=address,
        protocol=protocol,
        account=account.name,
        mechanism=mechanism,
    )
