"""Everything that ``mta.toml`` may say, with its defaults.

An empty file is a working embedded server.  Tables of plugins
(``[[identity]]``, ``[[judge]]``, ``[[router]]``, ``[[transport]]``,
``[[sink]]``) keep their own settings in the plugin's model; here they are
``kind``, ``name`` and the rest.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from mta.config.access_settings import Abuse as Abuse
from mta.config.access_settings import Access as Access
from mta.config.access_settings import AccessRule as AccessRule
from mta.config.access_settings import Authentication as Authentication
from mta.config.access_settings import Ban as Ban
from mta.config.access_settings import Limit as Limit
from mta.config.alert_settings import Alert as Alert
from mta.config.analytics_settings import Analytics as Analytics
from mta.config.api_settings import Api as Api
from mta.config.audience_settings import AudienceTable as AudienceTable
from mta.config.dashboard_settings import Dashboard as Dashboard
from mta.config.dkim_settings import Arc as Arc
from mta.config.dkim_settings import Dkim as Dkim
from mta.config.engagement_settings import Engagement as Engagement
from mta.config.junk_settings import Junk as Junk
from mta.config.mailbox_settings import ClientSetup as ClientSetup
from mta.config.mailbox_settings import Imap as Imap
from mta.config.mailbox_settings import MailboxTable as MailboxTable
from mta.config.mailbox_settings import Pop3 as Pop3
from mta.config.report_settings import DailyReports as DailyReports
from mta.config.report_settings import DmarcReports as DmarcReports
from mta.config.report_settings import TlsReports as TlsReports
from mta.config.rules_settings import RulesTable as RulesTable
from mta.config.sending_domain_settings import SendingDomainTable as SendingDomainTable
from mta.config.shaping_settings import Automation as Automation
from mta.config.shaping_settings import Egress as Egress
from mta.config.shaping_settings import EgressPool as EgressPool
from mta.config.shaping_settings import Shape as Shape
from mta.config.submission_settings import Submission as Submission
from mta.config.suppression_settings import SuppressionTable as SuppressionTable
from mta.config.template_settings import TemplateLimits as TemplateLimits
from mta.config.tracking_settings import Metrics as Metrics
from mta.config.tracking_settings import Tracking as Tracking
from mta.config.values import Duration as Duration
from mta.config.values import HostPatterns as HostPatterns
from mta.config.values import Mode as Mode
from mta.config.values import Network as Network
from mta.config.values import OneOrMore as OneOrMore
from mta.config.values import Rate as Rate
from mta.config.values import Size as Size
from mta.config.values import Table as Table
from mta.config.values import domain
from mta.config.values import parse_duration as parse_duration
from mta.config.values import parse_mode as parse_mode
from mta.config.values import parse_rate as parse_rate
from mta.config.values import parse_size as parse_size
from mta.config.webhook_settings import WebhookTable as WebhookTable
from mta.model.bounce import Rule
from mta.model.bounce_classes import BY_NAME


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
    pop3: list[str] = []
    pop3s: list[str] = []
    imap: list[str] = []
    imaps: list[str] = []
    http: list[str] = ["tcp:8025:interface=127.0.0.1"]


class Tls(Table):
    """Our certificate.  Both empty: a self-signed one is made in the state directory."""

    certificate: str = ""
    key: str = ""
    minimum: Literal["1.2", "1.3"] = "1.2"


class Trust(Table):
    """What is found out about senders, and told on; see :mod:`mta.model.authentication`."""

    authserv_id: str = ""

    @field_validator("authserv_id")
    @classmethod
    def _is_name(cls, value: str) -> str:
        return domain(value) if value else ""


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
    demand: Literal["may", "encrypt", "verify", "dane", "mta-sts"]
    mx: HostPatterns = []

    @model_validator(mode="after")
    def _names_are_checked(self) -> TlsPolicy:
        if self.mx and self.demand != "verify":
            raise ValueError('"mx" needs demand = "verify": without a certificate anybody has any name')
        return self


class Dns(Table):
    """Which servers to ask; empty: those of /etc/resolv.conf.  ``stale`` as in RFC 8767.

    That an answer is validated (DNSSEC) is believed of servers at loopback addresses and in ``trusted``.
    """

    servers: list[str] = []
    trusted: list[Network] = []
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
        return {name.lower(): domain(other) for name, other in value.items()}

    @field_validator("srs", mode="after")
    @classmethod
    def _lower_domain(cls, value: str) -> str:
        return domain(value) if value else ""

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
    """How long the history is kept, and how large it becomes, in octets, of all workers together."""

    keep: Duration = 30 * 86400.0
    max_size: Size = 10 * 1024 * 1024 * 1024


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
    limit: list[Limit] = []
    authentication: Authentication = Authentication()  # type: ignore[call-arg]
    ban: Ban = Ban()  # type: ignore[call-arg]
    abuse: Abuse = Abuse()  # type: ignore[call-arg]
    trust: Trust = Trust()
    limits: Limits = Limits()  # type: ignore[call-arg]
    submission: Submission = Submission()
    api: Api = Api()  # type: ignore[call-arg]
    dashboard: Dashboard = Dashboard()  # type: ignore[call-arg]
    tracking: Tracking = Tracking()  # type: ignore[call-arg]
    analytics: Analytics = Analytics()
    engagement: Engagement = Engagement()
    metrics: Metrics = Metrics()
    template: TemplateLimits = TemplateLimits()  # type: ignore[call-arg]
    sending_domains: SendingDomainTable = SendingDomainTable()  # type: ignore[call-arg]
    suppression: SuppressionTable = SuppressionTable()
    audience: AudienceTable = AudienceTable()  # type: ignore[call-arg]
    webhook: WebhookTable = WebhookTable()  # type: ignore[call-arg]
    junk: Junk = Junk()
    rules: RulesTable = RulesTable()  # type: ignore[call-arg]
    mailbox: MailboxTable = MailboxTable()  # type: ignore[call-arg]
    pop3: Pop3 = Pop3()  # type: ignore[call-arg]
    imap: Imap = Imap()  # type: ignore[call-arg]
    client_setup: ClientSetup = ClientSetup()
    domains: dict[str, Domain] = {}
    rewrite: list[Rewrite] = []
    route: list[RouteRule] = []
    sender_relay: list[SenderRelay] = []
    backup_mx: BackupMx = BackupMx()
    relay: Relay = Relay()  # type: ignore[call-arg]
    shape: list[Shape] = []
    automation: list[Automation] = []
    egress: list[Egress] = []
    egress_pool: list[EgressPool] = []
    bounce: list[Bounce] = []
    tls_policy: list[TlsPolicy] = []
    dns: Dns = Dns()
    feedback: Feedback = Feedback()
    tls_report: TlsReports = TlsReports()
    dmarc_report: DmarcReports = DmarcReports()  # type: ignore[call-arg]
    dkim: Dkim = Dkim()
    arc: Arc = Arc()
    queue: Queue = Queue()  # type: ignore[call-arg]
    journal: Journal = Journal()
    alert: list[Alert] = []
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
