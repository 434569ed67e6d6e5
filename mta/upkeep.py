"""What is out of date, for ``mta doctor``: packages, Python, OpenSSL, certificate, keys; and the disk.

Packages are held against ``mta/data/versions.txt``: what this release was tried with, and when that was
looked at.  Nobody is asked over the network.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import metadata, resources
from pathlib import Path

from cryptography import x509

#: Our distribution.
NAME = "twisted-mta"
#: Days after which the list itself is old, and so is a key that signs.
LIST_DAYS, KEY_DAYS = 180, 365
#: Days before the end at which a certificate is something to do.
CERTIFICATE_DAYS = 14
#: The last day of security fixes, by minor version (PEP 664, 693, 719, 745).
PYTHON_ENDS = {
    11: date(2027, 10, 31),
    12: date(2028, 10, 31),
    13: date(2029, 10, 31),
    14: date(2030, 10, 31),
}
_PIN = re.compile(r"([A-Za-z0-9._-]+)==(\S+)  # (\d{4}-\d{2}-\d{2})")
_BOUND = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*>=\s*([0-9.]+)\s*(;.*)?")

Finding = dict[str, str]


@dataclass(frozen=True, slots=True)
class Pin:
    """One line of a list of versions.

    :ivar day: when somebody looked whether this is the right one.
    """

    name: str
    version: str
    day: date


def normal(name: str) -> str:
    """A package's name as all indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def numbers(version: str) -> tuple[int, ...]:
    """A version, to be compared; what follows its numbers is left out."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def read_pins(text: str) -> dict[str, Pin]:
    """Versions by name.

    :raise ValueError: for a line that is none, or has no date.
    """
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _PIN.fullmatch(line.rstrip())
        if match is None:
            raise ValueError(f"line {number}: write name==version  # YYYY-MM-DD, and not {line!r}")
        found[normal(match[1])] = Pin(match[1], match[2], date.fromisoformat(match[3]))
    return found


def shipped_pins() -> dict[str, Pin]:
    """What this release was tried with."""
    return read_pins((resources.files("mta") / "data" / "versions.txt").read_text("utf-8"))


def installed(names: Iterable[str]) -> dict[str, str]:
    """Versions of packages; those that are not there are left out."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def bounds() -> dict[str, str]:
    """The least versions that this release works with."""
    try:
        lines = metadata.requires(NAME) or []
    except metadata.PackageNotFoundError:
        return {}
    matches = (_BOUND.fullmatch(line.strip()) for line in lines)
    return {normal(match[1]): match[2] for match in matches if match and "extra" not in (match[3] or "")}


def about_packages(
    pins: Mapping[str, Pin], there: Mapping[str, str], least: Mapping[str, str], today: date
) -> list[Finding]:
    """What of the packages is older than it should be."""
    found = []
    for name, pin in sorted(pins.items()):
        version = there.get(name)
        if version is None:
            if name in least:
                found.append(
                    _finding(name, "bad", "is not installed", f"pip install '{name}>={least[name]}'")
                )
        elif numbers(version) < numbers(least.get(name, "0")):
            what = f"{version} is older than {least[name]}, which this release needs"
            found.append(_finding(name, "bad", what, f"pip install --upgrade {name}"))
        elif numbers(version) < numbers(pin.version):
            what = f"{version} is older than {pin.version}, which was current on {pin.day}"
            found.append(_finding(name, "bad", what, f"pip install --upgrade {name}"))
    newest = max((pin.day for pin in pins.values()), default=date.min)
    if not found:
        what = f"{len(pins)} are as new as on {newest}, or newer"
        found.append(_finding("packages", "good", what))
    if (today - newest).days > LIST_DAYS:
        what = f"what is current was last looked at on {newest}"
        found.append(_finding("packages", "bad", what, "install a newer release of this server"))
    return found


def about_python(version: tuple[int, int], today: date) -> Finding:
    """Whether Python still gets security fixes."""
    name = f"{version[0]}.{version[1]}"
    end = PYTHON_ENDS.get(version[1])
    if version < (3, 11) or (end is not None and end < today):
        return _finding("python", "bad", f"{name} gets no more security fixes", "install a newer one")
    until = f" until {end}" if end else ""
    return _finding("python", "good", f"{name} gets security fixes{until}")


def about_openssl(version: tuple[int, ...], words: str) -> Finding:
    """Whether it is one that is still looked after."""
    if version < (3, 0):
        return _finding("openssl", "bad", f"{words} is not looked after any more", "install OpenSSL 3")
    return _finding("openssl", "good", words)


def about_certificate(path: Path, now: float) -> Finding:
    """When it expires."""
    try:
        parsed = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError, IndexError) as trouble:
        words = getattr(trouble, "strerror", None) or "no PEM certificate in it"
        return _finding("certificate", "unknown", f"{path}: {words}", "`mta check` tells more")
    end = parsed.not_valid_after_utc
    days = int((end.timestamp() - now) // 86400)
    until = end.strftime("%Y-%m-%d")
    if days < 0:
        return _finding("certificate", "bad", f"{path} has expired on {until}", "renew it")
    if days < CERTIFICATE_DAYS:
        return _finding("certificate", "bad", f"{path} expires in {days} days, on {until}", "renew it")
    return _finding("certificate", "good", f"{path} is good until {until}, for {days} days")


def about_key(domain: str, selector: str, since: float, now: float) -> Finding:
    """How long a key has signed."""
    days = int((now - since) // 86400)
    if days > KEY_DAYS:
        what = f"{selector} has signed for {days} days"
        return _finding(f"dkim {domain}", "bad", what, f"`mta dkim rotate {domain}` changes to another key")
    return _finding(f"dkim {domain}", "good", f"{selector} has signed for {days} days")


def about_disk(state: Path, least: int) -> Finding:
    """Whether there is room for mail."""
    place = next(path for path in (state, *state.parents) if path.exists())
    try:
        disk = os.statvfs(place)
    except OSError as trouble:
        return _finding("disk", "unknown", f"{place}: {trouble.strerror}")
    free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    what = f"{free >> 20} MiB of {size >> 20} MiB are free at {place}"
    if free < least:
        return _finding("disk", "bad", f"{what}: no mail is taken", "make room, or set queue.minimum_free")
    if free < 2 * least or free < size // 50:
        return _finding("disk", "bad", what, "make room: below queue.minimum_free no mail is taken")
    return _finding("disk", "good", what)


def upkeep(
    *,
    now: float,
    certificate: Path | None,
    keys: Iterable[tuple[str, str, float]],
    state: Path,
    minimum_free: int,
) -> list[Finding]:
    """Everything.

    :param certificate: ours, if there is one.
    :param keys: domain, selector and first day of each key that signs.
    """
    today = datetime.fromtimestamp(now, UTC).date()
    pins = shipped_pins()
    return [
        *about_packages(pins, installed(pins), bounds(), today),
        about_python(sys.version_info[:2], today),
        about_openssl(ssl.OPENSSL_VERSION_INFO, ssl.OPENSSL_VERSION),
        *([about_certificate(certificate, now)] if certificate is not None else []),
        *(about_key(domain, selector, since, now) for domain, selector, since in keys),
        about_disk(state, minimum_free),
    ]


def _finding(where: str, state: str, what: str, remedy: str = "") -> Finding:
    return {"where": where, "state": state, "what": what, "remedy": remedy}
