"""What every command is given, and how it fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from mta.cli.output import Output
    from mta.config.loading import Loaded
    from mta.config.problem import Problem
    from mta.journal.reader import JournalReader


class CommandError(Exception):
    """A command cannot do what it was asked.

    :param text: what is wrong, and what to do, for a person.
    :param status: the exit status (sysexits).
    """

    def __init__(self, text: str, status: int = os.EX_UNAVAILABLE) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class Seams:
    """What commands need of packages that they may not import; ``main`` fills it in.

    :ivar queue_reader: opens one shard's directory for reading.
    :ivar check: everything that is wrong with a configuration.
    :ivar examine: what would become of a message, without a server.
    :ivar diagnose: what others see of this server.
    :ivar read_report: what a message that came back says (``mta.feedback.report.Reading``).
    :ivar add_user: (file, address, password).
    :ivar set_password: likewise.
    :ivar remove_user: (file, address).
    :ivar users: the accounts in a file's text.
    :ivar new_password: makes one.
    :ivar tls_ledger: the counts of TLS reports, of a state directory.
    :ivar indexes: of messages, for each shard of a state directory; and for how long they keep them.
    :ivar dmarc_ledger: those of DMARC reports.
    :ivar key_store: the keys that sign, in a state directory.
    :ivar new_keys: makes some: (domain, keys that there are, day, algorithms, bits).
    :ivar import_key: reads one from a file.
    :ivar administer: changes tenants and keys without a server: (state directory, domains of the
        configuration, action, request).
    :ivar read_api: answers a GET of the application API from the disk: (configuration, tenant, path with
        query).
    :ivar read_sequence: the definition in a text, JSON values, and its drawing: (text, path).
    :ivar sequence_events: what the journal has of a contact in sequences, by enrolment: (state directory,
        tenant, address).
    :ivar text_records: asks the DNS for TXT records of several names: for each a list, or why not.
    :ivar entries: what workers remember together, of a state directory and a kind: key, value, end.
    """

    queue_reader: Callable[[Path], Any]
    check: Callable[..., list[Problem]]
    examine: Callable[..., dict[str, Any]]
    diagnose: Callable[[Loaded], list[dict[str, str]]]
    read_report: Callable[[bytes], Any]
    add_user: Callable[[Path, str, str], None]
    set_password: Callable[[Path, str, str], None]
    remove_user: Callable[[Path, str], None]
    users: Callable[[str], list[str]]
    new_password: Callable[[], str]
    tls_ledger: Callable[[Path], Any]
    indexes: Callable[[Path, float], list[Any]]
    dmarc_ledger: Callable[[Path], Any]
    key_store: Callable[[Path], Any]
    new_keys: Callable[..., list[Any]]
    import_key: Callable[[Path], Any]
    text_records: Callable[[Loaded, list[str]], dict[str, Any]]
    entries: Callable[[Path, str], list[tuple[str, Any, float]]]
    administer: Callable[[Path, list[str], str, dict[str, Any]], dict[str, Any]]
    read_sequence: Callable[[str, str], dict[str, Any]]
    sequence_events: Callable[[Path, str, str], dict[int, list[dict[str, Any]]]]
    read_api: Callable[[Loaded, str, str], Any]
    rules: Callable[..., str | None]


@dataclass
class Context:
    """What every command is given.

    :ivar config: the configuration file that was named.
    :ivar state_option: the state directory that was named; ``""`` for the configuration's.
    :ivar out: prints.
    :ivar seams: see there.
    :ivar stdin: asked where a command reads.
    """

    config: Path | None
    state_option: str
    out: Output
    seams: Seams
    stdin: TextIO = field(default_factory=lambda: sys.stdin)
    _loaded: Loaded | None = None
    _queues: list[Any] | None = None

    def load(self) -> Loaded:
        """The configuration, read once; its warnings are printed.

        :raise CommandError: if it cannot be used.
        """
        if self._loaded is None:
            from mta.config.loading import load
            from mta.config.problem import ConfigurationError

            try:
                self._loaded = load(self.config, self.state_option or None)
            except ConfigurationError as error:
                raise CommandError(f"the configuration cannot be used:\n{error}", os.EX_CONFIG) from None
            for problem in self._loaded.problems:
                self.out.warn(str(problem))
        return self._loaded

    @property
    def state(self) -> Path:
        """The state directory, absolute.

        :raise CommandError: if only the configuration tells it, and that cannot be used.
        """
        return Path(self.state_option).absolute() if self.state_option else self.load().state

    def shards(self) -> list[Path]:
        """The directories of all shards, in order.

        :raise CommandError: if there are none, or they cannot be seen.
        """
        spool = self.state / "spool"
        try:
            found = [path for path in spool.iterdir() if path.name.isdigit() and path.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            raise CommandError(
                f"{spool}: there is no queue; is this the right state directory? "
                "Name the configuration with --config, or the directory with --state",
                os.EX_NOINPUT,
            ) from None
        except PermissionError:
            raise CommandError(forbidden(spool), os.EX_NOPERM) from None
        return sorted(found, key=lambda path: int(path.name))

    def journal(self) -> JournalReader:
        """The journal of all shards."""
        from mta.journal.reader import JournalReader

        return JournalReader([path / "queue.db" for path in self.shards()])

    def queues(self) -> list[Any]:
        """A reader for each shard that has a database; opened once."""
        if self._queues is not None:
            return self._queues
        self._queues = readers = []
        for path in self.shards():
            if (path / "queue.db").exists():
                try:
                    readers.append(self.seams.queue_reader(path))
                except OSError as error:
                    raise CommandError(f"{path}: {error}", os.EX_NOINPUT) from None
        return readers


def forbidden(path: Path) -> str:
    """Permission denied, and who may."""
    owner = owner_of(path)
    who = "root (sudo mta ...)" if owner == "root" else f"root, or {owner} (sudo -u {owner} mta ...)"
    return f"{path}: permission denied; be {who}"


def owner_of(path: Path) -> str:
    """The user that a path, or the nearest directory above it that can be seen, belongs to."""
    for place in (path, *path.parents):
        try:
            return place.owner()
        except (OSError, KeyError):
            continue
    return "root"


def plural(count: int, noun: str) -> str:
    """``1 message``, ``2 messages``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def coming(text: str, now: float) -> float:
    """A point in time to come: ``2h`` (from now), and whatever else :func:`moment` knows.

    :param now: seconds since 1970.
    :raise CommandError: if it is none, or has passed.
    """
    at = moment(text, now)
    if text.strip()[-1:].lower() in "smhdw":
        at = 2 * now - at
    if at <= now:
        raise CommandError(f"{text!r} has passed", os.EX_USAGE)
    return at


def moment(text: str, now: float) -> float:
    """A point in time: ``2h`` (ago), ``2026-01-31``, ``2026-01-31 12:00``, ``12:00`` (today).

    :param now: seconds since 1970.
    :raise CommandError: if it is none.
    """
    import re
    from datetime import datetime

    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text.strip().lower())
    if match:
        return now - float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]]
    if re.fullmatch(r"\d{1,2}:\d\d(:\d\d)?", text):
        text = f"{datetime.fromtimestamp(now):%Y-%m-%d} {text.zfill(len(text) + (text.index(':') == 1))}"
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise CommandError(
            f'{text!r} is no time: say how long ago ("30m", "2h", "3d") or when ("2026-01-31 12:00")',
            os.EX_USAGE,
        ) from None


def confirm_ids(ids: Sequence[str]) -> list[str]:
    """Queue ids as they are typed, checked.

    :raise CommandError: for one that is none.
    """
    from mta.model.ids import decode_id

    for item in ids:
        try:
            decode_id(item)
        except ValueError as error:
            raise CommandError(f"{error}; `mta queue list` shows them", os.EX_USAGE) from None
    return [item.lower() for item in ids]
