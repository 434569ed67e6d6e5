"""Everything that ``mta.toml`` may say, with its defaults.

An empty file is a working embedded server.  Tables of plugins
(``[[identity]]``, ``[[judge]]``, ``[[router]]``, ``[[transport]]``,
``[[sink]]``) keep their own settings in the plugin's model; here they are
``kind``, ``name`` and the rest.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from mta.model.bounce import Rule
from mta.model.bounce_classes import BY_NAME

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_duration(value: Any) -> Any:
    """``"90s"``, ``"5m"``, ``"2h"``, ``"5d"``, ``"1w"`` or a number, in seconds."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", value.strip().lower())
        if not match:
            raise ValueError('a duration is a number with s, m, h, d or w, such as "5m"')
        return float(match[1]) * _UNITS[match[2]]
    return value


def parse_size(value: Any) -> Any:
    """``"50M"``, ``"64K"``, ``"1GiB"`` or a number, in octets (powers of 1024)."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", value.strip().lower())
        if not match:
            raise ValueError('a size is a number with K, M, G or T, such as "50M"')
        return int(float(match[1]) * _SIZES[match[2]])
    return value


def parse_rate(value: Any) -> Any:
    """``"10/s"``, ``"500/10m"``, ``"1000/h"``: so many in so many seconds."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+)\s*/\s*(\d*\s*[smhdw])", value.strip().lower())
        if match and int(match[1]):
            span = match[2] if match[2][0].isdigit() else f"1{match[2]}"
            seconds = parse_duration(span)
            if seconds:
                return int(match[1]), seconds
    raise ValueError('a rate is a number, a slash and a time, such as "10/s", "100/m" or "5000/12h"')


def parse_mode(value: Any) -> Any:
    """Permissions: ``0o640``, or ``"640"`` and ``"0640"``, which are octal as everywhere else."""
    number = value
    if isinstance(value, str) and re.fullmatch(r"[0-7]{3,5}", value):
        number = int(value, 8)
    # What is written without the 0o, as 600, has bits that make no sense here.
    if isinstance(number, int) and not number & ~0o2777 and number & 0o400:
        return number
    raise ValueError("permissions are octal and let the owner read: 0o600")


def _parse_network(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return ip_network(value, strict=False)
        except ValueError:
            raise ValueError(f'{value!r} is no network, such as "192.0.2.0/24"') from None
    return value


def _domain(value: str) -> str:
    if not re.fullmatch(
        r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*", value.lower()
    ):
        raise ValueError(f'{value!r} is no domain, such as "bounces.example.org"')
    return value.lower()


Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]
Rate = Annotated[tuple[int, float], BeforeValidator(parse_rate)]
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0)]
Mode = Annotated[int, BeforeValidator(parse_mode)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_parse_network)]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_names(value: list[str]) -> list[str]:
    return [item.lower().rstrip(".") for item in value]


#: Patterns of domains or hosts, as the DNS compares names.
HostPatterns = Annotated[list[str], AfterValidator(_as_names)]


#: A list of texts, or one text without the brackets.
OneOrMore = Annotated[list[str], BeforeValidator(_as_list)]


class Table(BaseModel):
    """One table of the file: unknown keys are errors.  Plugins' models may inherit it."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class PluginTable(BaseModel):
    """A table with a ``kind``; what else it holds is for the plugin's own model."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str
    name: str = ""

    def own(self) -> dict[str, Any]:
        """The settings for the plugin's model."""
        return dict(self.model_extra or {})


class Listen(Table):
    """Endpoint descriptions (Twisted's strings) for each role."""

    mx: list[str] = ["tcp:2525:interface=127.0.0.1"]
    submission: list[str] = ["tcp:2587:interface=127.0.0.1"]
    submissions: list[str] = ["tcp:2465:interface=127.0.0.1"]
    lmtp: list[str] = []
    pop3s: list[str] = []
    imaps: list[str] = []
    http: list[str] = ["tcp:8025:interface=127.0.0.1"]


class Tls(Table):
    """Our certificate.  Both empty: a self-signed one is made in the state directory."""

    certificate: str = ""
    key: str = ""
    minimum: Literal["1.2", "1.3"] = "1.2"


class Access(Table):
    """Who may relay without AUTH."""

    relay_from: list[Network] = []


class Limits(Table):
    """Bounds against hostile or broken clients; docs/reference/limits gives each reason."""

    connections: int = Field(1000, ge=1)
    connections_per_client: int = Field(100, ge=1)
    commands: int = Field(1000, ge=1, description="without a message in between")
    errors: int = Field(20, ge=1)
    unknown_commands: int = Field(5, ge=1)
    recipients: int = Field(1000, ge=100)
    messages: int = Field(10000, ge=1, description="in one connection")
    message_size: Size = 50 * 1024 * 1024
    header_size: Size = 256 * 1024
    line: int = Field(4096, ge=512, description="octets of a command line, CRLF included")
    hops: int = Field(50, ge=5)
    greeting_timeout: Duration = 300.0
    command_timeout: Duration = 300.0
    data_timeout: Duration = 300.0
    session_time: Duration = 86400.0


class Submission(Table):
    """What people and programs that authenticate may ask of the queue."""

    future_release: Duration = 30 * 86400.0
    priorities: bool = True
    tenant_field: str = "X-Mta-Tenant"
    campaign_field: str = "X-Mta-Campaign"

    @field_validator("tenant_field", "campaign_field")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if not re.fullmatch(r"[!-9;-~]{0,100}", value):
            raise ValueError('it is the name of a header field without the colon, such as "X-Campaign"')
        return value


class Domain(Table):
    """One domain whose mail is kept here."""

    alias_of: str = ""
    maildir: str = "{state}/mail/{domain}/{local}"
    aliases: str = ""
    catch_all: str = ""
    separator: str = "+"
    quota: Size = 0
    transport: str = "maildir"
    next_hop: str = ""
    file_mode: Mode = 0o600
    directory_mode: Mode = 0o700


class Rewrite(Table):
    """Addresses that stand for others, or a file of such, as virtual(5)."""

    match: OneOrMore = []
    to: OneOrMore = []
    file: str = ""


class RouteRule(Table):
    """Where mail for some recipients goes, or a file of such, as transport(5)."""

    match: OneOrMore = []
    transport: str = "relay"
    next_hop: str = ""
    file: str = ""


class SenderRelay(Table):
    """Where mail of some senders goes, or a file of such."""

    match: OneOrMore = []
    transport: str = "relay"
    next_hop: str = ""
    file: str = ""


class BackupMx(Table):
    """Domains of others, for which this server is one of the lesser MX hosts."""

    domains: list[str] = []
    file: str = ""
    names: list[str] = []
    verify: bool = False
    verify_timeout: Duration = 20.0
    verify_cache: Duration = 86400.0
    verify_negative_cache: Duration = 600.0


class Relay(Table):
    """The way out."""

    smarthost: str = ""
    username: str = ""
    password_file: str = ""
    passwords: str = ""
    tls: Literal["opportunistic", "require", "verify", "implicit", "never"] = "opportunistic"
    authorities: str = ""
    port: int = Field(25, ge=1, le=65535)
    helo: str = ""
    connections: int = Field(10, ge=1, description="to one destination")
    messages_per_connection: int = Field(100, ge=1)
    providers: bool = True
    idle: Duration = 10.0
    connect_timeout: Duration = 30.0
    command_timeout: Duration = 300.0
    data_timeout: Duration = 600.0
    source_address: str = ""
    ipv6: bool = True

    @field_validator("source_address")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            return str(ip_address(value)) if value else ""
        except ValueError:
            raise ValueError('it is an IP address of this machine, such as "192.0.2.1"') from None


class Shape(Table):
    """What some destinations are given at the most; see :mod:`mta.route.shaping`.

    ``*`` in a pattern stands for anything.
    """

    domain: HostPatterns = []
    mx: HostPatterns = []
    tenant: list[str] = []
    transport: list[str] = ["relay"]
    connections: int = Field(0, ge=0)
    messages_per_connection: int = Field(0, ge=0)
    messages: list[Rate] = []
    recipients: list[Rate] = []
    retry: list[Duration] = []

    @model_validator(mode="after")
    def _says_something(self) -> Shape:
        sets = (self.connections, self.messages_per_connection, self.messages, self.recipients, self.retry)
        if not any(sets):
            names = "connections, messages_per_connection, messages, recipients or retry"
            raise ValueError(f"it sets nothing: give {names}")
        return self


class Bounce(Table):
    """What a reply means; see :class:`mta.model.bounce.Rule`."""

    means: str
    text: list[str] = []
    code: list[str] = []
    enhanced: list[str] = []
    host: list[str] = []
    command: list[str] = []
    scope: Literal["recipient", "message", "sender", "site"] | None = None
    action: Literal["fail", "retry"] | None = None
    delay: Duration | None = None
    suspend: Duration | None = None
    cause: str = ""
    remedy: str = ""

    @field_validator("means")
    @classmethod
    def _is_a_class(cls, value: str) -> str:
        if value not in BY_NAME:
            raise ValueError(f"there is no such class; known are {', '.join(BY_NAME)}")
        return value

    @field_validator("code")
    @classmethod
    def _are_codes(cls, value: list[str]) -> list[str]:
        for code in value:
            if not re.fullmatch(r"[45x][\dx]{2}", code.lower()):
                raise ValueError(f'{code!r} is no reply code, such as "550" or "4xx"')
        return value

    @field_validator("enhanced")
    @classmethod
    def _are_enhanced(cls, value: list[str]) -> list[str]:
        for code in value:
            if not re.fullmatch(r"[45x]\.[\dx]{1,3}\.[\dx]{1,3}", code.lower()):
                raise ValueError(f'{code!r} is no enhanced status code, such as "5.7.1" or "x.7.26"')
        return value

    @model_validator(mode="after")
    def _fits_something(self) -> Bounce:
        if not (self.text or self.code or self.enhanced or self.host or self.command):
            raise ValueError("it fits every reply: give text, code, enhanced, host or command")
        if any(not phrase.strip(" *") for phrase in self.text):
            raise ValueError("a phrase of text is empty")
        return self

    def rule(self) -> Rule:
        """The rule."""
        return Rule(**self.model_dump())


class TlsPolicy(Table):
    """Which TLS is demanded of some destinations; see :mod:`mta.route.tls_demands`.

    ``*`` in a pattern stands for anything.
    """

    domain: HostPatterns = Field(min_length=1)
    demand: Literal["may", "encrypt", "verify"]
    mx: HostPatterns = []

    @model_validator(mode="after")
    def _names_are_checked(self) -> TlsPolicy:
        if self.mx and self.demand != "verify":
            raise ValueError('"mx" needs demand = "verify": without a certificate anybody has any name')
        return self


class Dns(Table):
    """Which servers to ask; empty: those of /etc/resolv.conf.  ``stale`` as in RFC 8767."""

    servers: list[str] = []
    timeout: Duration = 10.0
    stale: Duration = 86400.0


class Feedback(Table):
    """What comes back: bounces and complaints; see :mod:`mta.feedback`."""

    verp: dict[str, str] = {}
    copies: bool = True
    srs: str = ""
    addresses: list[str] = []
    keys: str = ""
    expire: Duration = 21 * 86400.0

    @field_validator("verp", mode="after")
    @classmethod
    def _lower_domains(cls, value: dict[str, str]) -> dict[str, str]:
        return {name.lower(): _domain(domain) for name, domain in value.items()}

    @field_validator("srs", mode="after")
    @classmethod
    def _lower_domain(cls, value: str) -> str:
        return _domain(value) if value else ""

    @field_validator("addresses", mode="after")
    @classmethod
    def _full(cls, value: list[str]) -> list[str]:
        for item in value:
            local, at, domain = item.rpartition("@")
            if not at or not local or not domain:
                raise ValueError(f'{item!r} is no address, such as "complaints@example.org"')
        return value


class Queue(Table):
    """Retries, expiry, and the window in memory."""

    retry: list[Duration] = Field([60.0, 300.0, 900.0, 3600.0, 7200.0, 14400.0], min_length=1)
    jitter: float = Field(0.1, ge=0, le=0.5)
    expire: Duration = 5 * 86400.0
    bounce_expire: Duration = 86400.0
    warn_after: Duration = 4 * 3600.0
    window_messages: int = Field(2000, ge=10)
    window_octets: Size = 64 * 1024 * 1024
    inline: Size = 64 * 1024
    minimum_free: Size = 64 * 1024 * 1024
    postmaster: str = ""
    double_bounce: Literal["postmaster", "discard"] = "postmaster"


class Journal(Table):
    """How long the history is kept."""

    keep: Duration = 30 * 86400.0


class Log(Table):
    """What is written as the log."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warn", "error"] = "info"


class Settings(Table):
    """The whole file."""

    hostname: str = ""
    state: str = "var"
    workers: int | Literal["auto"] = 1
    listen: Listen = Listen()
    tls: Tls = Tls()
    access: Access = Access()
    limits: Limits = Limits()  # type: ignore[call-arg]
    submission: Submission = Submission()
    domains: dict[str, Domain] = {}
    rewrite: list[Rewrite] = []
    route: list[RouteRule] = []
    sender_relay: list[SenderRelay] = []
    backup_mx: BackupMx = BackupMx()
    relay: Relay = Relay()  # type: ignore[call-arg]
    shape: list[Shape] = []
    bounce: list[Bounce] = []
    tls_policy: list[TlsPolicy] = []
    dns: Dns = Dns()
    feedback: Feedback = Feedback()
    queue: Queue = Queue()  # type: ignore[call-arg]
    journal: Journal = Journal()
    log: Log = Log()
    identity: list[PluginTable] = []
    judge: list[PluginTable] = []
    router: list[PluginTable] = []
    transport: list[PluginTable] = []
    sink: list[PluginTable] = []

    @field_validator("workers", mode="before")
    @classmethod
    def _number_of_workers(cls, value: Any) -> Any:
        if value != "auto" and (not isinstance(value, int) or isinstance(value, bool)):
            raise ValueError('it is a number from 1 to 64, or "auto"')
        return value
