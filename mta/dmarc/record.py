"""What a domain publishes at ``_dmarc`` (RFC 9989, 4.7 and 4.8)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit

Policy: TypeAlias = Literal["none", "quarantine", "reject"]

#: From the mildest to the strictest.
POLICIES: tuple[Policy, ...] = ("none", "quarantine", "reject")
#: Octets of a record that are looked at.
_LONGEST = 8192
#: Addresses for reports of one kind that count.
_MOST_URIS = 10

_VERSION = re.compile(r"[ \t]*v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_TAG = re.compile(r"[ \t]*([A-Za-z]+)[ \t]*=[ \t]*([\x20-\x3a\x3c-\x7e]*?)[ \t]*\Z")
# The obsolete limit of a report's size: it is to be ignored.
_SIZE = re.compile(r"![0-9]+[kmgt]?\Z", re.IGNORECASE)
_FO = re.compile(r"[01ds](?::[01ds]){0,3}\Z")


@dataclass(frozen=True, slots=True)
class Record:
    """A policy record; what is not written well is not there, and told in ``faults``.

    :ivar policy: ``p``; ``None`` if there is none.
    :ivar subdomains: ``sp``, likewise.
    :ivar nonexistent: ``np``, likewise.
    :ivar strict_dkim: whether ``adkim=s``.
    :ivar strict_spf: whether ``aspf=s``.
    :ivar psd: ``y``: a public suffix; ``n``: an organizational domain; ``u``: not said.
    :ivar is_testing: whether ``t=y``.
    :ivar aggregate: URIs of ``rua``.
    :ivar failure: URIs of ``ruf``.
    :ivar fo: when reports of single failures are wanted, as it is written.
    :ivar faults: what is wrong with it, in words.
    :ivar text: as it was published.
    """

    policy: Policy | None = None
    subdomains: Policy | None = None
    nonexistent: Policy | None = None
    strict_dkim: bool = False
    strict_spf: bool = False
    psd: Literal["y", "n", "u"] = "u"
    is_testing: bool = False
    aggregate: tuple[str, ...] = ()
    failure: tuple[str, ...] = ()
    fo: str = "0"
    faults: tuple[str, ...] = ()
    text: str = ""

    @property
    def is_applicable(self) -> bool:
        """Whether it says what is to be done (4.10.1).

        With a policy that is not there or not written well it does only where it asks for
        reports; then it is as if it said ``p=none``.
        """
        return bool(self.aggregate) or (self.policy is not None and not self._bad_policy)

    @property
    def _bad_policy(self) -> bool:
        return any(fault.startswith(("p=", "sp=", "np=")) for fault in self.faults)

    def asks(self, of_subdomain: bool, exists: bool) -> Policy:
        """What is to be done with what fails.

        :param of_subdomain: whether the author's domain is below the one that publishes this.
        :param exists: whether the author's domain exists.
        """
        policy = self.policy or "none"
        if self._bad_policy:
            return "none"
        if not of_subdomain:
            return policy
        if not exists and self.nonexistent is not None:
            return self.nonexistent
        return self.subdomains or policy


def milder(policy: Policy) -> Policy:
    """One level below, as ``t=y`` asks for."""
    return POLICIES[max(0, POLICIES.index(policy) - 1)]


def policy_record(strings: Sequence[bytes]) -> Record | None:
    """The policy record among the TXT records of a name; ``None`` without one, or with several."""
    found = [octets for octets in strings if _VERSION.match(octets[:_LONGEST].decode("latin-1"))]
    return parse_record(found[0]) if len(found) == 1 else None


def parse_record(octets: bytes) -> Record | None:
    """A record; ``None`` if it is none: ``v=DMARC1`` does not come first."""
    text = octets[:_LONGEST].decode("latin-1")
    if not _VERSION.match(text):
        return None
    tags: dict[str, str] = {}
    faults: list[str] = []
    for part in text.split(";")[1:]:
        if not part.strip(" \t"):
            continue
        match = _TAG.match(part)
        if match is None:
            faults.append(f"{_shown(part)} is no tag")
            continue
        name = match[1].lower()
        if name in tags or name == "v":
            faults.append(f"{name} stands there twice")
        else:
            tags[name] = match[2]
    return Record(
        policy=_policy(tags, "p", faults),
        subdomains=_policy(tags, "sp", faults),
        nonexistent=_policy(tags, "np", faults),
        strict_dkim=_one_of(tags, "adkim", "rs", "r", faults) == "s",
        strict_spf=_one_of(tags, "aspf", "rs", "r", faults) == "s",
        psd=_psd(_one_of(tags, "psd", "ynu", "u", faults)),
        is_testing=_one_of(tags, "t", "yn", "n", faults) == "y",
        aggregate=_uris(tags, "rua", faults),
        failure=_uris(tags, "ruf", faults),
        fo=_fo(tags, faults),
        faults=tuple(faults),
        text=text,
    )


def mail_address(uri: str) -> str | None:
    """The address of a ``mailto:`` URI; ``None`` if it is none, or another one."""
    if uri[:7].lower() != "mailto:":
        return None
    address = unquote(uri[7:].partition("?")[0])
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain or any(ord(one) <= 32 or one in "<>,;" for one in address):
        return None
    return address


def _policy(tags: dict[str, str], name: str, faults: list[str]) -> Policy | None:
    value = tags.get(name)
    if value is None:
        return None
    for policy in POLICIES:
        if value.lower() == policy:
            return policy
    faults.append(f"{name}={_shown(value)} is no policy")
    return None


def _one_of(tags: dict[str, str], name: str, known: str, default: str, faults: list[str]) -> str:
    value = tags.get(name, default).lower()
    if len(value) == 1 and value in known:
        return value
    faults.append(f"{name} is {_shown(value)}, not one of {', '.join(known)}")
    return default


def _psd(value: str) -> Literal["y", "n", "u"]:
    return "y" if value == "y" else "n" if value == "n" else "u"


def _fo(tags: dict[str, str], faults: list[str]) -> str:
    value = tags.get("fo", "0").replace(" ", "").lower()
    if _FO.match(value) and not ("0" in value and "1" in value):
        return value
    faults.append(f"fo is {_shown(value)}")
    return "0"


def _uris(tags: dict[str, str], name: str, faults: list[str]) -> tuple[str, ...]:
    """The URIs that are well written."""
    found = []
    for text in tags.get(name, "").split(","):
        uri = _SIZE.sub("", text.strip(" \t"))
        if not uri:
            continue
        if _is_uri(uri):
            found.append(uri)
        else:
            faults.append(f"{name} has {_shown(uri)}, which is no URI for reports")
    return tuple(dict.fromkeys(found))[:_MOST_URIS]


def _is_uri(text: str) -> bool:
    if "!" in text or " " in text:
        return False
    if text[:7].lower() == "mailto:":
        return mail_address(text) is not None
    try:
        parts = urlsplit(text)
        return bool(parts.scheme and parts.hostname)
    except ValueError:
        return False


def _shown(text: str) -> str:
    return ascii(text.strip(" \t")[:60])
