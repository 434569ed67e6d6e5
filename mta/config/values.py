"""What a value of the configuration may look like: durations, sizes, rates, networks, patterns."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

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


def domain(value: str) -> str:
    """The name of a domain, in lower case."""
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
