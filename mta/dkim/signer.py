"""Signs what our people send, and what we write ourselves, once: when it is accepted.

Then every copy, every attempt and every worker sends the same signature, which costs nothing
a second time.  What can be known only later, such as a reverse-path for each recipient (VERP,
SRS), is in the envelope, which no signature covers.

A domain is signed for only if the sender may speak for it: whoever comes from a network that
relays without AUTH may for every domain that has keys, and a program of this machine if its
system user is one of ``dkim.sign_local``; an account for the domain of its
reverse-path, which is its own, and for addresses that belong to it.  A message that says it is
from somebody else is signed by the domain of its reverse-path, and so counts for that alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from zope.interface import implementer

from mta.config.settings import Dkim
from mta.dkim.body_hash import BodyHashes, ContentReader
from mta.dkim.header_fields import split_fields
from mta.dkim.key_store import SigningKeys
from mta.dkim.sealer import Sealer
from mta.dkim.signature import ascii_domain
from mta.dkim.signing import Manner, SigningKey, signature_fields
from mta.interfaces import Answer, Facts, ISigner, settle
from mta.model.address import domain_of
from mta.model.author import authors
from mta.model.header import header_section
from mta.model.message import Content, InlineContent
from mta.model.signed import UNSIGNED, Signed


def manner_of(settings: Dkim) -> Manner:
    """How ``[dkim]`` says that we sign."""
    header_way, body_way = settings.canonicalization.split("/")
    return Manner(
        header_way=header_way,  # type: ignore[arg-type]
        body_way=body_way,  # type: ignore[arg-type]
        headers=frozenset(name.lower() for name in settings.headers),
        oversign=tuple(dict.fromkeys(name.lower() for name in settings.oversign)),
        expire=int(settings.expire),
    )


@implementer(ISigner)
class Signer:
    """See the module.

    :param keys: those in use.
    :param manner: how they sign.
    :param may_send_as: (account, address): whether an address belongs to an account.
    :param calculate: runs a callable where it holds nobody up (see :mod:`~mta.dkim.signing_thread`).
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`; for what reads files.
    :param local_users: numbers of system users whose programs may speak for every domain;
        ``None``: all may.
    :param sealer: seals what others send and we pass on; ``None``: nobody does.
    """

    def __init__(
        self,
        keys: SigningKeys,
        manner: Manner,
        *,
        may_send_as: Callable[[str, str], Answer[bool]],
        calculate: Callable[[Callable[[], bytes]], Awaitable[bytes]],
        run_in_thread: Callable[..., Awaitable[Any]],
        local_users: frozenset[int] | None = None,
        sealer: Sealer | None = None,
    ) -> None:
        self._keys = keys
        self._manner = manner
        self._may_send_as = may_send_as
        self._calculate = calculate
        self._run_in_thread = run_in_thread
        self._local_users = local_users
        self._sealer = sealer

    def __bool__(self) -> bool:
        """Whether it has anything to sign or seal with."""
        return bool(self._keys) or self._sealer is not None

    def watch(self, trusted: bool) -> ContentReader | None:
        """See :class:`~mta.interfaces.ISigner`."""
        if not trusted or not self._keys:
            return None
        return ContentReader(BodyHashes((self._manner.body_way,)), 0)

    def sign(
        self,
        facts: Facts,
        above: bytes,
        content: Content,
        tenant: str,
        watched: ContentReader | None,
        now: float,
    ) -> Answer[Signed]:
        """See :class:`~mta.interfaces.ISigner`."""
        if not facts.trusted:
            return UNSIGNED if self._sealer is None else self._sealer.seal(facts, above + facts.header, now)
        if not self._keys:
            return UNSIGNED
        client = facts.client
        if client.role == "local" and self._local_users is not None and client.user not in self._local_users:
            who = "a program" if client.user is None else f"user {client.user}"
            return Signed(evidence={"none": f"{who} of this machine is not in dkim.sign_local"})
        return self._sign(facts, above + facts.header, content, tenant, watched, now)

    async def _sign(
        self,
        facts: Facts,
        header: bytes,
        content: Content,
        tenant: str,
        watched: ContentReader | None,
        now: float,
    ) -> Signed:
        domain = await self._domain(facts)
        keys = self._keys.find(domain, tenant)
        if not keys:
            return Signed(evidence={"none": f"there is no key for {domain or 'a message without a sender'}"})
        if watched is None and not isinstance(content, InlineContent):
            watched = await self._run_in_thread(_hashed, content, self._manner)
        source: Content | ContentReader = content if watched is None else watched
        fields = await self._calculate(lambda: _fields(header, source, keys, self._manner, now))
        return Signed(fields, {"domain": keys[0].domain, "keys": [key.selector for key in keys]})

    def own(self, data: bytes, now: float) -> Answer[bytes]:
        """See :class:`~mta.interfaces.ISigner`."""
        header = header_section(data)
        keys = self._keys.find(_domain_of_author(header)) if self._keys else ()
        if not keys:
            return b""
        content = InlineContent(data)
        return self._calculate(lambda: _fields(header, content, keys, self._manner, now))

    async def _domain(self, facts: Facts) -> str:
        """In whose name a message is signed."""
        assert facts.envelope is not None
        sender = ascii_domain(domain_of(facts.envelope.reverse_path))
        account = facts.client.account
        for address in authors(facts.header):
            domain = ascii_domain(address.rpartition("@")[2])
            if not account or domain == sender or await settle(self._may_send_as(account, address)):
                return domain
        return sender


def _domain_of_author(header: bytes) -> str:
    return ascii_domain(next(iter(authors(header)), "").rpartition("@")[2])


# --- in other threads ----------------------------------------------------------


def _hashed(content: Content, manner: Manner) -> ContentReader:
    reader = ContentReader(BodyHashes((manner.body_way,)), 0)
    for block in content.blocks():
        reader.update(block)
    return reader


def _fields(
    header: bytes,
    source: Content | ContentReader,
    keys: tuple[SigningKey, ...],
    manner: Manner,
    now: float,
) -> bytes:
    reader = source if isinstance(source, ContentReader) else _hashed(source, manner)
    digest, _ = reader.digests()[manner.body_way]
    return signature_fields(split_fields(header), digest, keys, manner, now)
