"""Settings of ``kind = "ldap"``, and values put safely into filters and names."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from mta.config.settings import Duration, Table

_FIELDS = ("{address}", "{local}", "{domain}")


class LdapSettings(Table):
    """One directory; docs/guides/ldap.rst explains each setting."""

    uri: str | list[str]
    base: str = ""
    filter: str = "(&(objectClass=inetOrgPerson)(|(mail={address})(mailAlternateAddress={address})))"
    login_filter: str = Field("", description='empty: the same as "filter"')
    bind_dn_template: str = ""
    bind_dn: str = ""
    password_file: str = ""
    start_tls: bool = False
    ca_file: str = ""
    verify: bool = True
    domain: str = ""
    connect_timeout: Duration = 3.0
    timeout: Duration = 5.0
    down_for: Duration = 5.0
    connections: int = Field(4, ge=1, le=64)
    waiting: int = Field(200, ge=1, description="questions that may wait for a connection")
    mail: str = "mail"
    forward: str = "mailForwardingAddress"
    keep: str = "mailKeepCopy"
    quota: str = "mailQuota"
    maildir: str = "mailMessageStore"
    senders: str = "mailSenderAddress"
    list_filter: str = ""
    list_member: list[str] = Field(["member"])
    domain_filter: str = ""
    domain_like: str = ""
    domain_alias: str = "mtaDomainAlias"
    domain_catch_all: str = "mtaCatchAll"
    domain_transport: str = "mtaTransport"
    domain_next_hop: str = "mtaNextHop"
    cache: Duration = 60.0
    negative_cache: Duration = 10.0
    stale: Duration = 600.0

    @field_validator("uri")
    @classmethod
    def _uris(cls, value: str | list[str]) -> list[str]:
        uris = [value] if isinstance(value, str) else value
        if not uris or not all(map(_is_uri, uris)):
            raise ValueError("a directory is ldap://HOST[:PORT] or ldaps://HOST[:PORT]")
        return uris

    @field_validator("filter", "login_filter", "list_filter")
    @classmethod
    def _filter(cls, value: str) -> str:
        if value:
            _check_fields(value)
            _check_filter(value)
        return value

    @field_validator("domain_filter")
    @classmethod
    def _domain_filter(cls, value: str) -> str:
        if value:
            unknown = sorted(set(re.findall(r"\{[^{}]*\}", value)) - {"{domain}"})
            if unknown:
                raise ValueError(f"{unknown[0]} is not known here; there is {{domain}}")
            if "{domain}" not in value:
                raise ValueError("it does not hold {domain}, so it asks for no domain")
            _check_filter(value)
        return value

    @field_validator("bind_dn_template")
    @classmethod
    def _template(cls, value: str) -> str:
        if value:
            _check_fields(value)
        return value


def _check_filter(value: str) -> None:
    # Megabytes that a server without a directory needs not.
    from ldap3.core.exceptions import LDAPInvalidFilterError
    from ldap3.operation.search import parse_filter

    try:
        # RFC 4515; without it, every look-up would be answered 451.
        parse_filter(fill(value, "a@example.org", "filter"), None, True, True, None, False)
    except (LDAPInvalidFilterError, ValueError, IndexError):
        raise ValueError("it is no filter, such as (mail={address}); count the brackets") from None


def _is_uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("ldap", "ldaps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_fields(template: str) -> None:
    unknown = sorted(set(re.findall(r"\{[^{}]*\}", template)) - set(_FIELDS))
    if unknown:
        raise ValueError(f"{unknown[0]} is not known here; there are {', '.join(_FIELDS)}")
    if "{address}" not in template and "{local}" not in template:
        raise ValueError("it holds neither {address} nor {local}, so it asks for nobody")


def fill(template: str, address: str, escape: str) -> str:
    """Put an address into a filter or a DN.

    :param escape: ``filter`` (RFC 4515, 3) or ``dn`` (RFC 4514, 2.4).
    """
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
    guard = _filter_value if escape == "filter" else _dn_value
    values = dict(zip(_FIELDS, (address, local, domain), strict=True))
    result, rest = "", template
    while rest:
        # One pass, so that a value that looks like a field stays a value.
        found = [(rest.find(name), name) for name in _FIELDS if name in rest]
        if not found:
            return result + rest
        place, name = min(found)
        result += rest[:place] + guard(values[name])
        rest = rest[place + len(name) :]
    return result


def _filter_value(text: str) -> str:
    return "".join(f"\\{ord(c):02x}" if c in "\\*()\0" else c for c in text)


def _dn_value(text: str) -> str:
    # Hexadecimal pairs are allowed for any octet, so they serve for all special ones.
    return "".join(f"\\{ord(c):02x}" if c in ' "#+,;<=>\\\0' else c for c in text)
