"""Kind ``webhook``: posts messages to an application over HTTP.

Each recipient is one POST with an id of its own, which stays the same however often it is
tried: an application that remembers ids takes each message once.  Id, time and body are
signed as Standard Webhooks has it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from twisted.internet.defer import CancelledError, DeferredSemaphore
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta import __version__
from mta.config.settings import Duration, Size, Table
from mta.deliver.local_copy import has_been_at
from mta.deliver.one_by_one import OneByOne
from mta.deliver.webhook_answer import outcome_of, outcome_without
from mta.deliver.webhook_body import Body, json_body, raw_body
from mta.deliver.webhook_post import NoAnswer, Poster
from mta.deliver.webhook_signature import parse_secrets, signature
from mta.interfaces import IKind, IReloadable, IService, ITransport, PluginContext
from mta.model.catalogue import REPLIES
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Failed, Outcome, Postponed, RemoteReply

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?|")
_OURS = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)
_LARGE = 1024 * 1024
#: Statuses that are about the application as a whole, and not about one message.
_BUSY = frozenset({429, 503})
#: Seconds for which it is left alone at the most, however long it asks for.
_LONGEST_REST = 600.0


class WebhookSettings(Table):
    """Settings of ``kind = "webhook"``.

    :ivar postpone: statuses of 4xx that may pass; any other returns the message.
    :ivar attachment_limit: octets above which JSON leaves the content of an attachment out.
    :ivar parse_limit: octets above which JSON has the header of a message only.
    """

    url: str
    secret_file: str
    format: Literal["raw", "json"] = "raw"
    authorization_file: str = ""
    headers: dict[str, str] = Field({})
    authorities: str = ""
    postpone: list[int] = Field([401, 403, 407, 408, 425, 429])
    connections: int = Field(10, ge=1)
    idle: Duration = 10.0
    connect_timeout: Duration = Field(10.0, gt=0)
    timeout: Duration = Field(60.0, gt=0)
    max_output: Size = 512
    attachment_limit: Size = 10 * 1024 * 1024
    parse_limit: Size = 25 * 1024 * 1024
    return_path: bool = True
    delivered_to: bool = True

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        what = 'it is an address such as "https://app.example.org/mail"'
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError(what) from None
        if parts.scheme not in ("http", "https") or not host or not re.fullmatch(r"[\x21-\x7e]+", value):
            raise ValueError(what)
        if parts.username is not None or parts.password is not None:
            # Of this type, so that nobody repeats it with the mistake.
            raise PydanticCustomError("secret", "no password stands in it; put it into authorization_file")
        if parts.fragment:
            raise ValueError("what stands behind # is never sent")
        return value

    @field_validator("headers")
    @classmethod
    def _fields(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a header field")
            if name.lower() in _OURS:
                instead = "; it stands in authorization_file" if name.lower() == "authorization" else ""
                raise ValueError(f"{name} is not for you to set{instead}")
            if not _VALUE.fullmatch(text):
                raise ValueError(f"the value of {name} is not printable ASCII on one line")
        return value

    @field_validator("postpone")
    @classmethod
    def _statuses(cls, value: list[int]) -> list[int]:
        for status in value:
            if not 400 <= status <= 499:
                raise ValueError(f"{status} is not of 4xx; every other but 2xx is tried again anyway")
        return value

    @property
    def place(self) -> str:
        """The application as it stands in logs and bounces: no path and no query, which may be secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


@implementer(ITransport, IService, IReloadable)
class WebhookTransport(OneByOne):
    """See the module.

    :param reactor: makes connections and keeps time.
    :param settings: validated.
    :param base: directory to which files are relative.
    :param directory: where temporary files may be.
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`.
    :raise ValueError: if a file cannot be read.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: WebhookSettings,
        base: str,
        directory: str,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        super().__init__(settings.connections)
        self._reactor = reactor
        self._settings = settings
        self._base = base
        self._directory = directory
        self._run = run_in_thread
        self.reload()
        try:
            self._poster = Poster(
                reactor,
                run_in_thread,
                connections=settings.connections,
                connect_timeout=settings.connect_timeout,
                timeout=settings.timeout,
                idle=settings.idle,
                authorities=str(Path(base) / settings.authorities) if settings.authorities else "",
                most=settings.max_output,
            )
        except ValueError as error:
            raise ValueError(f"authorities: {error}") from None
        # A message taken apart has several times its size: one large one at a time.
        self._turn = DeferredSemaphore(1)
        self._stopped = False
        self._rests_until = 0.0

    def start(self) -> None:
        """See ``IService``."""

    async def stop(self) -> None:
        """See ``IService``: what is under way is tried again; the application knows its id."""
        self._stopped = True
        self.cancel()
        await self._poster.close()

    def reload(self) -> None:
        """See ``IReloadable``: read the secrets again."""
        settings = self._settings
        try:
            secrets = parse_secrets(self._read("secret_file", settings.secret_file))
        except ValueError as error:
            text = str(error)
            raise ValueError(text if text.startswith("secret_file: ") else f"secret_file: {text}") from None
        authorization = ""
        if settings.authorization_file:
            authorization = self._read("authorization_file", settings.authorization_file).rstrip("\r\n")
            if not authorization or not _VALUE.fullmatch(authorization):
                raise ValueError("authorization_file: it holds one line of ASCII, such as Bearer and a token")
        self._secrets, self._authorization = secrets, authorization

    def _read(self, key: str, name: str) -> str:
        path = Path(self._base) / name
        try:
            if path.stat().st_mode & 0o007:
                self.log.warn("{path} can be read by everybody; make it mode 0600", path=str(path))
            return path.read_text("ascii")
        except OSError as error:
            raise ValueError(f"{key}: {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{key}: {path} is not ASCII") from None

    # --- delivering ---------------------------------------------------------------

    async def attempt(self, message: Message, addressee: Addressee, sender: str) -> Outcome:
        """Post it."""
        place = self._settings.place
        try:
            if self._stopped:
                problem = "the server stops"
            else:
                return await self._one(message, addressee, sender)
        except NoAnswer as trouble:
            return outcome_without(place, trouble)
        except CancelledError:
            if not self._stopped:
                raise
            problem = "the server stops"
        except OSError as error:
            problem = error.strerror or type(error).__name__
        except Exception:
            self.log.failure("Posting {id} to {place} failed", id=message.id, place=place)
            problem = "trouble on our side"
        return outcome_without(place, NoAnswer("ours", problem))

    async def _one(self, message: Message, addressee: Addressee, sender: str) -> Outcome:
        settings = self._settings
        rest = self._rests_until - self._reactor.seconds()
        if rest > 0:
            resting = outcome_without(
                settings.place, NoAnswer("ours", "it asked to be left alone for a while")
            )
            return Postponed(resting.reply, rest)
        if settings.format == "raw" and settings.delivered_to and await self._loops(message, addressee):
            reply = REPLIES.reply("delivery-loop", address=addressee.address)
            return Failed(RemoteReply.ours(reply))
        body = await self._body(message, addressee, sender)
        try:
            fields = await self._fields(f"{message.id}-{addressee.number}", body)
            answer = await self._poster.post(settings.url, fields, body)
        finally:
            body.close()
        outcome = outcome_of(settings.place, answer, settings.postpone, self._reactor.seconds())
        if isinstance(outcome, Postponed) and outcome.after and answer.status in _BUSY:
            # What it asks holds for every message that would be posted meanwhile.
            until = self._reactor.seconds() + min(outcome.after, _LONGEST_REST)
            self._rests_until = max(self._rests_until, until)
        return outcome

    async def _loops(self, message: Message, addressee: Addressee) -> bool:
        content = message.content
        if isinstance(content, InlineContent):
            return has_been_at(content.data, addressee.address)
        return has_been_at(await self._run(next, content.blocks(), b""), addressee.address)

    async def _body(self, message: Message, addressee: Addressee, sender: str) -> Body:
        settings = self._settings
        if settings.format == "raw":
            return raw_body(
                message,
                addressee,
                sender,
                return_path=settings.return_path,
                delivered_to=settings.delivered_to,
            )

        def parse() -> Body:
            return json_body(
                message,
                addressee,
                sender,
                attachment_limit=settings.attachment_limit,
                parse_limit=settings.parse_limit,
                directory=self._directory,
            )

        async def parse_in_thread() -> Body:
            body: Body = await self._run(parse)
            return body

        if message.size < _LARGE:
            return await parse_in_thread()
        return await self._turn.run(parse_in_thread)

    async def _fields(self, identity: str, body: Body) -> dict[str, str]:
        """The header: it is made for each attempt, because its time must be of now."""
        settings, timestamp = self._settings, int(self._reactor.seconds())

        def sign() -> str:
            return signature(self._secrets, identity, timestamp, body.blocks())

        fields = {
            **settings.headers,
            "Content-Type": body.type,
            "User-Agent": f"mta/{__version__}",
            "webhook-id": identity,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign() if body.inline else await self._run(sign),
        }
        if self._authorization:
            fields["Authorization"] = self._authorization
        return fields


@implementer(IPlugin, IKind)
class WebhookKind:
    """Makes :class:`WebhookTransport`."""

    seam = ITransport
    kind = "webhook"
    settings = WebhookSettings

    def build(self, settings: WebhookSettings, context: PluginContext) -> WebhookTransport:
        """See :class:`~mta.interfaces.IKind`."""
        return WebhookTransport(context.reactor, settings, context.base, context.state, context.run_in_thread)


WEBHOOK = WebhookKind()
