"""A TLS report as JSON (RFC 8460, 4.4): what we write, and what strangers send us; pure.

Reading is generous where reporters differ (a policy, or the pattern of its hosts, as one string or
as several; fields that nobody knows), and strict where it must be: types, counts, and sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    model_validator,
)

#: Policies of one report, and failures of one policy, at the most.
MOST_POLICIES = 1000
MOST_FAILURES = 5000
#: Objects, and values, of one report at the most: whoever counts first needs no memory for more.
_MOST_OBJECTS, _MOST_VALUES = 50_000, 500_000
#: Characters of a text that are kept.
_LONGEST = 1000


class BadTlsReport(ValueError):
    """It is no TLS report, for a reason in words."""


def _cut(value: Any) -> Any:
    """Texts of strangers, without what a terminal obeys, and not too long."""
    if not isinstance(value, str):
        return value
    return "".join(c if c.isprintable() else " " for c in value[:_LONGEST])


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else [] if value is None else value


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


Text = Annotated[str, BeforeValidator(_cut)]
Texts = Annotated[list[Text], BeforeValidator(_as_list), Field(max_length=1000)]
Count = Annotated[int, Field(ge=0, le=10**15)]
Moment = Annotated[datetime, AfterValidator(_in_utc)]


class _Part(BaseModel):
    """Unknown fields are passed over: the RFC lets reporters add some."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )


class DateRange(_Part):
    """The time that a report is about."""

    start_datetime: Moment
    end_datetime: Moment

    @model_validator(mode="after")
    def _is_a_time(self) -> DateRange:
        if self.end_datetime < self.start_datetime:
            raise ValueError("it ends before it begins")
        return self

    @field_serializer("start_datetime", "end_datetime")
    def _written(self, value: datetime) -> str:
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Policy(_Part):
    """A policy that was applied."""

    policy_type: Text
    policy_string: Texts = []
    policy_domain: Text
    mx_host: Texts = []


class Summary(_Part):
    """Sessions under a policy."""

    total_successful_session_count: Count = 0
    total_failure_session_count: Count = 0


class FailureDetail(_Part):
    """Sessions that failed in the same way."""

    result_type: Text
    sending_mta_ip: Text = ""
    receiving_mx_hostname: Text = ""
    receiving_mx_helo: Text = ""
    receiving_ip: Text = ""
    failed_session_count: Count = 0
    additional_information: Text = ""
    failure_reason_code: Text = ""


class PolicyReport(_Part):
    """What became of the sessions under one policy."""

    policy: Policy
    summary: Summary = Summary()
    failure_details: Annotated[
        list[FailureDetail],
        BeforeValidator(lambda value: [] if value is None else value),
        Field(max_length=MOST_FAILURES),
    ] = []


class TlsReport(_Part):
    """The whole report."""

    organization_name: Text = ""
    date_range: DateRange
    contact_info: Text = ""
    report_id: Text
    policies: list[PolicyReport] = Field(max_length=MOST_POLICIES)

    @classmethod
    def read(cls, data: bytes) -> TlsReport:
        """The report in a text of JSON.

        :raise BadTlsReport: saying where it is wrong.
        """
        if data.count(b"{") > _MOST_OBJECTS or data.count(b",") > _MOST_VALUES:
            raise BadTlsReport("it has more parts than any report needs")
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise BadTlsReport(_words(error)) from None

    def written(self) -> bytes:
        """As JSON; what was not given is left out."""
        return self.model_dump_json(by_alias=True, exclude_unset=True).encode()

    @property
    def domains(self) -> Sequence[str]:
        """The policy domains."""
        return tuple(dict.fromkeys(one.policy.policy_domain.lower() for one in self.policies))

    @property
    def successes(self) -> int:
        """Sessions that went well."""
        return sum(one.summary.total_successful_session_count for one in self.policies)

    @property
    def failures(self) -> int:
        """Sessions that did not."""
        return sum(one.summary.total_failure_session_count for one in self.policies)


def _words(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    first = found[0]
    where = ".".join(str(part) for part in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return _cut(f"{where}: {what}{more}" if where else f"{what}{more}")[:300]  # type: ignore[no-any-return]
