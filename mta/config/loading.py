"""Reads ``mta.toml`` and completes it: paths, the host name, and what an embedded server is."""

from __future__ import annotations

import os
import re
import socket
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mta.config.locations import Locations, dotted
from mta.config.problem import ConfigurationError, Problem
from mta.config.settings import Domain, Listen, PluginTable, Settings
from mta.config.validation import validate

#: Where the file is looked for when none is named.
DEFAULT_FILES = ("mta.toml", "/etc/mta/mta.toml")
#: The one domain of an embedded server.
EMBEDDED_DOMAIN = "localhost"
#: Seconds for which it keeps the content of what it sent.
_EMBEDDED_BODIES = 7 * 86400.0
#: The one account there.
EMBEDDED_ACCOUNT = f"user@{EMBEDDED_DOMAIN}"
#: Ports of an embedded server by which mail is read.
_EMBEDDED_PORTS = {"pop3": 2110, "pop3s": 2995, "imap": 2143, "imaps": 2993}
_NAME = re.compile(r"(?=.{1,255}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63})*\Z")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used.

    :ivar settings: with host name and embedded defaults filled in.
    :ivar path: the file; ``None`` when there is none.
    :ivar base: relative paths of the file are relative to this directory.
    :ivar state: the state directory, absolute.
    :ivar locations: the line of each key.
    :ivar embedded: whether there is neither a domain nor an identity, so that
        one of each was put in.
    :ivar problems: warnings.
    """

    settings: Settings
    path: Path | None
    base: Path
    state: Path
    locations: Locations
    embedded: bool
    problems: list[Problem] = field(default_factory=list)

    @property
    def file(self) -> str:
        """The path for messages; ``""`` when there is no file."""
        return str(self.path) if self.path else ""

    def resolve(self, name: str) -> Path:
        """A path of the file, absolute; ``{state}`` in it is the state directory."""
        return self.base / name.replace("{state}", str(self.state))

    def problem(self, place: tuple[str | int, ...], what: str, remedy: str = "") -> Problem:
        """What is wrong at a place of the file, with its line."""
        return Problem(self.file, self.locations.line(place), dotted(place), what, remedy)


def load(path: Path | None = None, state: str | None = None) -> Loaded:
    """Read, validate, complete.

    :param path: the file; ``None`` looks in the usual places, and takes the
        defaults if there is none.
    :param state: the state directory, instead of the file's.
    :raise ConfigurationError: with everything that is wrong.
    """
    if path is None:
        path = next((item for item in map(Path, DEFAULT_FILES) if item.is_file()), None)
    text = ""
    if path is not None:
        path = path.absolute()
        text = _read(path)
    return parse(text, path, state)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        problem = Problem(str(path), line, "", "this is not UTF-8", "save the file as UTF-8")
    except OSError as error:
        remedy = {
            FileNotFoundError: "`mta init` writes one",
            IsADirectoryError: "name the file in it",
        }.get(type(error), "check its permissions")
        problem = Problem(str(path), 0, "", f"cannot be read: {error.strerror}", remedy)
    raise ConfigurationError([problem])


def parse(text: str, path: Path | None = None, state: str | None = None) -> Loaded:
    """As :func:`load`, from a text.

    :raise ConfigurationError: with everything that is wrong.
    """
    file = str(path) if path else ""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([_syntax(str(error), file, text)]) from None
    locations = Locations(text)
    settings = validate(Settings, data, file, locations)
    problems = [*_errors(settings, file, locations)]
    if problems:
        raise ConfigurationError(problems)
    base = path.parent if path else Path.cwd()
    directory = Path(os.path.abspath(state or base / settings.state))
    embedded = not settings.domains and not settings.identity
    return Loaded(_completed(settings, directory, embedded), path, base, directory, locations, embedded)


def _syntax(message: str, file: str, text: str) -> Problem:
    match = re.search(r"\(at line (\d+), column (\d+)\)", message)
    line = int(match[1]) if match else text.count("\n") + 1
    what = message.split(" (at ")[0]
    return Problem(file, line, "", f"not TOML: {what}", "text stands in quotes, lists in brackets")


def _errors(settings: Settings, file: str, locations: Locations) -> list[Problem]:
    """What the types alone do not tell."""
    found = []

    def wrong(place: tuple[str | int, ...], what: str, remedy: str) -> None:
        found.append(Problem(file, locations.line(place), dotted(place), what, remedy))

    if settings.hostname and not _NAME.match(settings.hostname):
        wrong(("hostname",), f"{settings.hostname!r} is no host name", 'write it as "mx.example.org"')
    if isinstance(settings.workers, int) and not 1 <= settings.workers <= 64:
        wrong(("workers",), f"{settings.workers} workers", 'a number from 1 to 64, or "auto"')
    domains: set[str] = set()
    for name in settings.domains:
        if not _NAME.match(_ascii(name)):
            wrong(("domains", name), f"{name!r} is no domain", 'write it as [domains."example.org"]')
        if name.lower() in domains:
            wrong(("domains", name), f"there are two tables for {name.lower()}", "join them")
        domains.add(name.lower())
    endpoints: dict[str, str] = {}
    for role in Listen.model_fields:
        for endpoint in getattr(settings.listen, role):
            other = endpoints.get(endpoint)
            if other and not endpoint.startswith(("tcp:0", "tcp6:0")):
                wrong(("listen", role), f"{endpoint!r} is taken by listen.{other}", "give one another port")
            endpoints[endpoint] = role
    if bool(settings.tls.certificate) != bool(settings.tls.key):
        missing = "key" if settings.tls.certificate else "certificate"
        wrong(("tls",), f"tls.{missing} is missing", "set both, or neither for a self-signed one")
    for table in ("transport", "router", "judge", "sink", "alert"):
        names: set[str] = set()
        for number, item in enumerate(getattr(settings, table)):
            name = item.name or getattr(item, "kind", "")
            if name in names:
                wrong((table, number), f"two [[{table}]] are called {name!r}", "give one another name")
            names.add(name)
    return found


def _ascii(domain: str) -> str:
    """The name as the DNS spells it; ``""`` if it cannot."""
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return ""


def _completed(settings: Settings, state: Path, embedded: bool) -> Settings:
    changes: dict[str, Any] = {}
    if not settings.hostname:
        changes["hostname"] = "localhost" if embedded else _own_name()
    if embedded:
        changes["domains"] = {EMBEDDED_DOMAIN: Domain()}
        changes["identity"] = [PluginTable(kind="file", name="users", path=str(state / "users"))]  # type: ignore[call-arg]
        if not settings.dashboard.administrators:
            # Whoever has started it on loopback is the only one there is.
            changes["dashboard"] = settings.dashboard.model_copy(
                update={"administrators": [EMBEDDED_ACCOUNT]}
            )
        if "bodies" not in settings.tracking.model_fields_set:
            # So that who tries it out can send again what did not arrive.
            changes["tracking"] = settings.tracking.model_copy(update={"bodies": _EMBEDDED_BODIES})
        changes["listen"] = settings.listen.model_copy(
            update={
                role: [f"tcp:{port}:interface=127.0.0.1"]
                for role, port in _EMBEDDED_PORTS.items()
                if role not in settings.listen.model_fields_set
            }
        )
        if not settings.api.url and (port := _loopback_port(settings)):
            # Links in mail lead to whoever tries it out, who reads it on this machine.
            changes["api"] = settings.api.model_copy(update={"url": f"http://127.0.0.1:{port}"})
    else:
        changes["domains"] = {name.lower(): item for name, item in settings.domains.items()}
    if settings.workers == "auto":
        changes["workers"] = max(1, len(os.sched_getaffinity(0)))
    return settings.model_copy(update=changes)


def _loopback_port(settings: Settings) -> str:
    """Of the HTTP listener; ``""`` if there is none on loopback."""
    for one in settings.listen.http:
        found = re.fullmatch(r"tcp:(\d+):interface=127\.0\.0\.1", one)
        if found:
            return found[1]
    return ""


def _own_name() -> str:
    name = socket.getfqdn()
    return name if _NAME.match(name) else "localhost"
