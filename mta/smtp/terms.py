"""What all sessions of one listener have in common, with the octets that do not change."""

from __future__ import annotations

from collections.abc import Callable

from mta.config.settings import Limits, Submission
from mta.interfaces import IAuthenticator, IReception
from mta.model.catalogue import REPLIES
from mta.model.reply import Reply
from mta.smtp.parameters import latest, utc
from mta.smtp.replies import encode

#: Roles in which mail is taken only from people, inside TLS (RFC 6409; RFC 8314).
SUBMISSION_ROLES = frozenset({"submission", "submissions"})

_FOREVER = 10 * 365 * 86400.0
_BOUNDLESS = 1 << 62
#: Replies to EHLO that are kept; what may be scheduled is another time every minute.
_REMEMBERED = 100


class Terms:
    """The terms under which one listener receives.

    :param role: ``mx``, ``submission``, ``submissions``, ``lmtp`` or ``local``.
    :param hostname: our name, as it stands in the greeting.
    :param reception: answers questions.
    :param limits: bounds against hostile or broken clients; a time or size of 0 is none.
    :param seconds: gives the time, in seconds since 1970.
    :param authenticator: runs SASL; ``None`` for no AUTH.
    :param starttls: whether STARTTLS can be offered.
    :param auth_required: whether MAIL needs AUTH; by default in the submission roles.
    :param tls_required: whether MAIL needs TLS; by default in the submission roles.
    :param submission: what is offered in the submission roles.
    """

    __slots__ = (
        "_ehlo",
        "auth_required",
        "authenticator",
        "command_timeout",
        "data_timeout",
        "greeting",
        "greeting_timeout",
        "hostname",
        "limits",
        "lmtp",
        "message_size",
        "reception",
        "role",
        "seconds",
        "session_time",
        "starttls",
        "submission",
        "tls_required",
    )

    def __init__(
        self,
        *,
        role: str,
        hostname: str,
        reception: IReception,
        limits: Limits,
        seconds: Callable[[], float],
        authenticator: IAuthenticator | None = None,
        starttls: bool = False,
        auth_required: bool | None = None,
        tls_required: bool | None = None,
        submission: Submission | None = None,
    ) -> None:
        submits = role in SUBMISSION_ROLES
        self.submission = submission if submits else None
        self.role = role
        self.lmtp = role == "lmtp"
        self.hostname = hostname
        self.reception = reception
        self.limits = limits
        self.greeting_timeout = limits.greeting_timeout or _FOREVER
        self.command_timeout = limits.command_timeout or _FOREVER
        self.data_timeout = limits.data_timeout or _FOREVER
        self.session_time = limits.session_time or _FOREVER
        # RFC 1870, 4: "SIZE 0" in EHLO says that there is no limit.
        self.message_size = limits.message_size or _BOUNDLESS
        self.seconds = seconds
        self.authenticator = authenticator
        self.starttls = starttls
        self.auth_required = submits if auth_required is None else auth_required
        self.tls_required = submits if tls_required is None else tls_required
        greeting = REPLIES.reply("greeting", hostname=hostname)
        if self.lmtp:
            greeting = Reply(220, (f"{hostname} LMTP",), name="greeting")
        self.greeting = encode(greeting)
        self._ehlo: dict[tuple[str | bool, ...], bytes] = {}

    def ehlo(self, starttls: bool, mechanisms: tuple[str, ...]) -> bytes:
        """The reply to EHLO or LHLO.

        :param starttls: whether to offer STARTTLS.
        :param mechanisms: SASL mechanisms to offer.
        """
        future = self._future_release()
        key: tuple[str | bool, ...] = (starttls, future, *mechanisms)
        found = self._ehlo.get(key)
        if found is None:
            limits = self.limits
            lines = [
                self.hostname,
                "PIPELINING",
                f"SIZE {limits.message_size}",
                "8BITMIME",
                "SMTPUTF8",
                "ENHANCEDSTATUSCODES",
                "CHUNKING",
                "BINARYMIME",
                "DSN",
                f"LIMITS MAILMAX={limits.messages} RCPTMAX={limits.recipients}",
            ]
            if future:
                lines.append(future)
            if self.submission is not None and self.submission.priorities:
                lines.append("MT-PRIORITY")
            if starttls:
                lines.append("STARTTLS")
            if mechanisms:
                lines.append("AUTH " + " ".join(mechanisms))
            lines.append("HELP")
            if len(self._ehlo) > _REMEMBERED:
                self._ehlo.clear()
            found = self._ehlo[key] = encode(Reply(250, tuple(lines)))
        return found

    def _future_release(self) -> str:
        """How far ahead a message may be scheduled: as seconds and as a time (RFC 4865, 3)."""
        longest = self.submission.future_release if self.submission is not None else 0.0
        if not longest:
            return ""
        return f"FUTURERELEASE {int(longest)} {utc(latest(self.seconds(), longest))}"
