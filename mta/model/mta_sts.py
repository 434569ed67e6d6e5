"""What a domain publishes for MTA-STS: its TXT record and its policy (RFC 8461); pure.

Both come from strangers.  What does not keep to the grammar is as good as not there, and
says why: whoever cannot read half of a policy must not guess the other half.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Mode: TypeAlias = Literal["enforce", "testing", "none"]

#: Octets of a policy at the most (3.3).
MAX_POLICY = 64 * 1024
#: Seconds for which a policy may be believed at the most (3.2): about a year.
MAX_AGE = 31_557_600

_MODES: dict[str, Mode] = {"enforce": "enforce", "testing": "testing", "none": "none"}
_PREFIX = b"v=STSv1"
_ID = re.compile(r"[A-Za-z0-9]{1,32}\Z")
_EXTENSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}=[!-:<>-~]+\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}\Z")
_CONTROL = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
_MAX_AGE = re.compile(r"[0-9]{1,10}\Z")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


class BadPolicy(Exception):
    """It is no policy, for a reason in words."""


def policy_id(records: Iterable[bytes]) -> str:
    """The id in the TXT records of ``_mta-sts.DOMAIN`` (3.1); ``""``: the domain has no policy.

    Records about something else do not count; of more than one that do, none does.
    """
    ours = [record for record in records if _is_version(record)]
    if len(ours) != 1:
        return ""
    try:
        _, *fields = (field.strip(" \t") for field in ours[0].decode("ascii").split(";"))
    except UnicodeDecodeError:
        return ""
    if fields and not fields[-1]:
        fields.pop()
    found = ""
    for field in fields:
        if field.startswith("id="):
            if found or not _ID.match(field[3:]):
                return ""
            found = field[3:]
        elif not _EXTENSION.match(field):
            return ""
    return found


def _is_version(record: bytes) -> bool:
    """Whether it begins with the version, and goes on."""
    return record.startswith(_PREFIX) and record[len(_PREFIX) :].lstrip(b" \t").startswith(b";")


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """One policy (3.2).

    :ivar mode: ``enforce``; ``testing``: only tell of it; ``none``: there is none any more.
    :ivar max_age: seconds for which it may be believed.
    :ivar mx: patterns of the hosts, in lower case.
    """

    mode: Mode
    max_age: int
    mx: tuple[str, ...] = ()

    @classmethod
    def parse(cls, octets: bytes) -> StsPolicy:
        """Read it.

        Of a field that stands there twice the first counts, but for ``mx``; unknown ones do not.

        :raise BadPolicy: if it is none.
        """
        if len(octets) > MAX_POLICY:
            raise BadPolicy(f"it is longer than {MAX_POLICY} octets")
        try:
            text = octets.decode("utf-8")
        except UnicodeDecodeError:
            raise BadPolicy("it is not UTF-8") from None
        fields: dict[str, str] = {}
        mx: list[str] = []
        for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
            line = line.removesuffix("\r")
            name, _, value = line.partition(":")
            value = value.strip(" \t")
            if not (value and _NAME.match(name)) or _CONTROL.search(line):
                raise BadPolicy(f"line {number} is no field")
            if name == "mx":
                mx.append(_pattern(value, number))
            else:
                fields.setdefault(name, value)
        if fields.get("version") != "STSv1":
            raise BadPolicy("its version is not STSv1")
        age = fields.get("max_age", "")
        if not _MAX_AGE.match(age):
            raise BadPolicy("it has no max_age that is a number")
        mode = _MODES.get(fields.get("mode", ""))
        if mode is None:
            raise BadPolicy("its mode is none of enforce, testing and none")
        if mode != "none" and not mx:
            raise BadPolicy(f"its mode is {mode}, but it names no mx")
        return cls(mode, min(int(age), MAX_AGE), tuple(mx))

    @property
    def lines(self) -> tuple[str, ...]:
        """The policy as a domain would publish it."""
        hosts = tuple(f"mx: {pattern}" for pattern in self.mx)
        return ("version: STSv1", f"mode: {self.mode}", *hosts, f"max_age: {self.max_age}")

    def admits(self, host: str) -> bool:
        """Whether a host fits a pattern (4.1): ``*.`` stands for one label, no more and no less.

        :param host: in its ASCII form.
        """
        name = host.lower().rstrip(".")
        parent = name.partition(".")[2]
        return any(
            pattern == name or (pattern.startswith("*.") and pattern[2:] == parent != "")
            for pattern in self.mx
        )


def _pattern(text: str, number: int) -> str:
    pattern = text.lower()
    labels = pattern.removeprefix("*.").split(".")
    if len(pattern) > 255 or not all(_LABEL.match(label) for label in labels):
        raise BadPolicy(f"line {number}: mx is neither a host nor *. and a domain")
    return pattern
