"""What may stand in a file of rules."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mta.config.values import Size
from mta.mailbox.names import new_directory_of
from mta.mailbox.refusal import Refused
from mta.model.address import AddressError, parse_address

#: Rules of a file, and words of a condition.
MOST_RULES, MOST_WORDS = 200, 200
#: Flags by their names, with the letters that they have in names of files.
FLAGS = {"answered": "R", "draft": "D", "flagged": "F", "passed": "P", "seen": "S"}


def _words(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _is_word(value: str) -> str:
    if not value.strip() or len(value) > 500:
        raise ValueError("what is looked for has 1 to 500 characters")
    if value.count("*") > 10:
        raise ValueError('"*" may stand in it ten times at the most')
    return value


def _is_folder(value: str) -> str:
    try:
        if value.upper() != "INBOX":
            new_directory_of(value)
    except Refused as refused:
        raise ValueError(str(refused)) from None
    return value


def _is_address(value: str) -> str:
    try:
        found = parse_address(value)
    except (AddressError, UnicodeError) as error:
        raise ValueError(f"{value!r} is no address: {error}") from None
    if not found.domain:
        raise ValueError(f"{value!r} has no domain")
    return str(found)


def _is_keyword(value: str) -> str:
    if (
        not value
        or len(value) > 100
        or not all("!" <= one <= "~" and one not in '(){%*"\\]' for one in value)
    ):
        raise ValueError(f"{value!r} can be no keyword of IMAP, such as $Work")
    return value


def _is_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("it is one line")
    return value


Words = Annotated[
    tuple[Annotated[str, AfterValidator(_is_word)], ...],
    BeforeValidator(_words),
    Field(max_length=MOST_WORDS),
]
Addresses = Annotated[tuple[Annotated[str, AfterValidator(_is_address)], ...], BeforeValidator(_words)]
Line = Annotated[str, Field(max_length=500), AfterValidator(_is_line)]


class Part(BaseModel):
    """A table of the file; what nobody knows is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Conditions(Part):
    """What is asked of a message; of several words one is enough."""

    sender: Words = Field((), alias="from")
    to: Words = ()
    subject: Words = ()
    list: Words = ()
    header: dict[str, Words] = {}
    larger: Size | None = None
    smaller: Size | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked."""
        asked = (self.sender, self.to, self.subject, self.list, self.header)
        return not any(asked) and self.larger is None and self.smaller is None


class Vacation(Part):
    """A reply that a program sends (RFC 5230).

    :ivar subject: ``""``: "Auto: " and the subject that is answered.
    :ivar days: for which somebody who was answered is not answered again.
    :ivar sender: the author; ``""``: the account.
    :ivar addresses: further ones that are the owner's.
    :ivar since: the first day; likewise ``until`` is the last.
    """

    text: str = Field(min_length=1, max_length=20_000)
    subject: Line = ""
    days: int = Field(7, ge=1, le=365)
    sender: Annotated[str, AfterValidator(lambda value: value and _is_address(value))] = Field(
        "", alias="from"
    )
    addresses: Addresses = ()
    enabled: bool = True
    since: date | None = None
    until: date | None = None

    def is_on(self, now: datetime) -> bool:
        """Whether it is sent on this day."""
        day = now.date()
        return (
            self.enabled
            and (self.since is None or self.since <= day)
            and (self.until is None or day <= self.until)
        )


class Rule(Conditions):
    """Conditions, and what is done with a message that meets them."""

    name: Line = ""
    enabled: bool = True
    match: Literal["all", "any"] = "all"
    unless: Conditions | None = None
    junk: bool | Literal["any"] = False
    file: Annotated[str, AfterValidator(lambda value: value and _is_folder(value))] = ""
    forward: Addresses = ()
    keep: bool = True
    discard: bool = False
    flags: tuple[Literal["answered", "draft", "flagged", "passed", "seen"], ...] = ()
    keywords: tuple[Annotated[str, AfterValidator(_is_keyword)], ...] = Field((), max_length=10)
    vacation: Vacation | None = None
    stop: bool = False

    @model_validator(mode="after")
    def _makes_sense(self) -> Rule:
        if self.discard and (self.file or self.flags or self.keywords):
            raise ValueError("what is discarded is in no folder and has no flags")
        if not self.keep and not self.forward:
            raise ValueError("keep = false goes with forward; discard = true throws a message away")
        acts = (self.file, self.forward, self.discard, self.flags, self.keywords, self.vacation, self.stop)
        if not any(acts):
            raise ValueError("it does nothing: say file, forward, flags, keywords, discard, vacation or stop")
        if self.discard and self.is_empty and self.junk is not True:
            raise ValueError("it asks nothing, so that all mail would be thrown away")
        return self


class RuleFile(Part):
    """A file: rules in the order in which they are asked, and a reply to all mail."""

    rule: Annotated[list[Rule], Field(max_length=MOST_RULES)] = []
    vacation: Vacation | None = None

    def name_of(self, number: int) -> str:
        """What a rule is called."""
        return self.rule[number].name or f"rule {number + 1}"
