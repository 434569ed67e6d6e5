"""Kind ``pipe``: hands messages to a program on its standard input.

The program gets its arguments as they are, never through a shell, a small environment, and a
process group of its own, so that a timeout ends whatever it has started; the kernel keeps it
within limits (:mod:`~mta.deliver.pipe_limits`).  Its exit status is the outcome, as sysexits.h
names them (:mod:`~mta.deliver.exit_status`).
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Duration, Size, Table
from mta.deliver.exit_status import PERMANENT, outcome_of, pipe_reply
from mta.deliver.local_copy import has_been_at, top_fields, whole_content, with_lf
from mta.deliver.one_by_one import OneByOne
from mta.deliver.pipe_limits import LIMITS, wrapper
from mta.deliver.pipe_run import Run
from mta.interfaces import IKind, IService, ITransport, PluginContext
from mta.model.address import AddressError, parse_address
from mta.model.catalogue import REPLIES
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Failed, Outcome, Postponed, RemoteReply

_PLACEHOLDER = re.compile(r"\{([a-z]*)\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAMES = frozenset({"sender", "recipient", "original", "local", "domain", "detail", "id"})
#: Octets without which no program starts.
_LEAST_MEMORY = 16 * 1024 * 1024


class PipeSettings(Table):
    """Settings of ``kind = "pipe"``.

    ``command`` is the program and its arguments with ``{sender}``, ``{recipient}``,
    ``{original}``, ``{local}``, ``{domain}``, ``{detail}`` and ``{id}``; ``environment`` names
    the variables that it gets of ours, ``variables`` gives it others, which may have the same
    placeholders; ``user`` and ``group`` need root; ``directory`` is where it runs (the state
    directory).

    ``memory``, ``cpu_time`` and ``file_size`` are limits of each process, ``processes`` of all
    processes of its user; 0: none.
    """

    command: list[str] = Field(min_length=1)
    user: str = ""
    group: str = ""
    directory: str = ""
    environment: list[str] = Field(["PATH", "LANG", "LC_ALL", "TZ"])
    variables: dict[str, str] = Field({})
    timeout: Duration = Field(300.0, gt=0)
    concurrency: int = Field(10, ge=1)
    memory: Size = 0
    cpu_time: Duration = 0.0
    processes: int = Field(0, ge=0)
    file_size: Size = 0
    output_limit: Size = 10 * 1024 * 1024
    max_output: Size = 1024
    permanent: list[int] = Field(list(PERMANENT))
    line_ends: Literal["lf", "crlf"] = "lf"
    return_path: bool = True
    delivered_to: bool = True

    @field_validator("memory")
    @classmethod
    def _enough(cls, value: int) -> int:
        if 0 < value < _LEAST_MEMORY:
            raise ValueError("with less than 16M no program starts; 0 is no limit")
        return value

    @field_validator("variables")
    @classmethod
    def _named(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _VARIABLE.fullmatch(name) or "\0" in text:
                raise ValueError(f"{name!r} is no variable that a program can be given")
        return value

    @field_validator("permanent")
    @classmethod
    def _statuses(cls, value: list[int]) -> list[int]:
        for status in value:
            if not 1 <= status <= 255:
                raise ValueError(f"{status} is no exit status of a failure; there are 1 to 255")
        return value


class ArgumentError(ValueError):
    """An address would be taken for something else on the command line."""


def arguments(command: Sequence[str], values: dict[str, str]) -> list[str]:
    """The command with its placeholders filled in.

    :raise ArgumentError: if an argument would become an option by what the network sent, or
        hold a NUL.
    """
    filled = []
    for part in command:
        argument = _PLACEHOLDER.sub(lambda match: values[match[1]], part)
        if argument.startswith("-") and not part.startswith("-"):
            raise ArgumentError("an address that begins with - would be taken for an option")
        if "\0" in argument:
            raise ArgumentError("an address holds a NUL")
        filled.append(argument)
    return filled


def variables(templates: Mapping[str, str], values: dict[str, str]) -> dict[str, str]:
    """Variables of the environment with their placeholders filled in.

    :raise ArgumentError: if one would hold a NUL.
    """
    filled = {}
    for name, text in templates.items():
        filled[name] = _PLACEHOLDER.sub(lambda match: values[match[1]], text)
        if "\0" in filled[name]:
            raise ArgumentError("an address holds a NUL")
    return filled


@implementer(ITransport, IService)
class PipeTransport(OneByOne):
    """See the module.

    :param reactor: starts processes and keeps time.
    :param settings: validated.
    :param program: absolute path of the program.
    :param directory: where it runs.
    :param run_in_thread: for content that is in files.
    :param identity: user and group ids to run as; ``None`` to keep ours.
    :param before: see :func:`~mta.deliver.pipe_limits.wrapper`.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: PipeSettings,
        program: str,
        directory: str,
        run_in_thread: Callable[..., Any],
        identity: tuple[int | None, int | None] = (None, None),
        before: Sequence[str] = (),
    ) -> None:
        super().__init__(settings.concurrency)
        self._reactor = reactor
        self._settings = settings
        self._program = program
        self._name = Path(program).name
        self._directory = directory
        self._run_in_thread = run_in_thread
        self._uid, self._gid = identity
        self._before = list(before)
        self._running: set[Run] = set()
        self._stopped = False

    def start(self) -> None:
        """Programs may be run from now on."""
        self._stopped = False

    async def stop(self) -> None:
        """End the programs that still run, and begin none; their messages are tried again."""
        self._stopped = True
        running = list(self._running)
        for run in running:
            run.expire("the server stops")
        for run in running:
            await run.gone

    async def attempt(self, message: Message, addressee: Addressee, sender: str) -> Outcome:
        """Run the program."""
        try:
            return await self._one(message, addressee, sender)
        except ArgumentError as error:
            return Failed(pipe_reply("pipe-refused", program=self._name, problem=str(error)))
        except OSError as error:
            problem = error.strerror or type(error).__name__
        except Exception:
            self._log.failure("Piping {id} to {program} failed", id=message.id, program=self._name)
            problem = "trouble on our side"
        return Postponed(pipe_reply("pipe-postponed", program=self._name, problem=problem))

    async def _one(self, message: Message, addressee: Addressee, sender: str) -> Outcome:
        settings, content = self._settings, message.content
        if self._stopped:
            return Postponed(pipe_reply("pipe-postponed", program=self._name, problem="the server stops"))
        values = self._values(message, addressee, sender)
        command = arguments(settings.command, values)
        environment = {name: os.environ[name] for name in settings.environment if name in os.environ}
        environment.update(variables(settings.variables, values))
        if settings.delivered_to:
            start = (
                content.data
                if isinstance(content, InlineContent)
                else await self._run_in_thread(next, content.blocks(), b"")
            )
            if has_been_at(start, addressee.address):
                reply = REPLIES.reply("delivery-loop", address=addressee.address)
                return Failed(RemoteReply.ours(reply))
        run = self._spawn(command, environment)
        try:
            blocks = self._blocks(message, addressee, sender)
            if isinstance(content, InlineContent):
                run.give(b"".join(blocks))
            else:
                await run.feed(iter(blocks), self._run_in_thread)
        finally:
            await run.ended
            self._running.discard(run)
        if run.overdue:
            return Postponed(pipe_reply("pipe-postponed", program=self._name, problem=run.overdue))
        return outcome_of(self._name, run.reason, run.output, settings.permanent)

    def _spawn(self, command: list[str], environment: dict[str, str]) -> Run:
        settings = self._settings
        line = [*self._before, self._program, *command[1:]]
        own_group = bool(self._before) and Path(self._before[0]).name == "setsid"
        run = Run(self._reactor, settings.timeout, settings.max_output, settings.output_limit, own_group)
        self._running.add(run)
        try:
            self._reactor.spawnProcess(
                run,
                line[0],
                [os.fsencode(argument) for argument in line],
                environment,
                self._directory,
                self._uid,
                self._gid,
            )
        except BaseException:
            self._running.discard(run)
            run.forget()
            raise
        return run

    def _blocks(self, message: Message, addressee: Addressee, sender: str) -> Iterable[bytes]:
        settings = self._settings
        whole = self._whole(message, addressee, sender)
        if settings.line_ends == "crlf" or message.envelope.body == "BINARYMIME":
            return whole
        return with_lf(whole)

    def _whole(self, message: Message, addressee: Addressee, sender: str) -> Iterator[bytes]:
        fields = top_fields(sender, addressee.address).splitlines(keepends=True)
        if self._settings.return_path:
            yield fields[0]
        if self._settings.delivered_to:
            yield fields[1]
        yield message.trace
        yield from whole_content(message.content)

    @staticmethod
    def _values(message: Message, addressee: Addressee, sender: str) -> dict[str, str]:
        try:
            address = parse_address(addressee.address)
            local, domain = address.local, address.domain
        except AddressError:
            local, domain = addressee.address, ""
        return {
            "sender": sender,
            "recipient": addressee.address,
            "original": addressee.original,
            "local": local,
            "domain": domain,
            "detail": str(addressee.options.get("detail", "")),
            "id": message.id,
        }


@implementer(IPlugin, IKind)
class PipeKind:
    """Makes :class:`PipeTransport`."""

    seam = ITransport
    kind = "pipe"
    settings = PipeSettings

    def build(self, settings: PipeSettings, context: PluginContext) -> PipeTransport:
        """See :class:`~mta.interfaces.IKind`."""
        for key, parts in (("command", settings.command), ("variables", settings.variables.values())):
            for part in parts:
                for match in _PLACEHOLDER.finditer(part):
                    if match[1] not in _NAMES:
                        names = ", ".join(f"{{{name}}}" for name in sorted(_NAMES))
                        raise ValueError(f"{key}: {match[0]} is unknown; there are {names}")
        program = settings.command[0]
        if _PLACEHOLDER.search(program):
            raise ValueError("command: the program itself must not depend on the message")
        found = shutil.which(program if "/" not in program else str(Path(context.base) / program))
        if found is None:
            raise ValueError(f"command: there is no program {program!r} that can be run")
        directory = Path(context.state) / settings.directory
        if settings.directory and not directory.is_dir():
            raise ValueError(f"directory: there is no directory {str(directory)!r}")
        return PipeTransport(
            context.reactor,
            settings,
            found,
            str(directory),
            context.run_in_thread,
            _identity(settings),
            wrapper({name: getattr(settings, name) for name in LIMITS}),
        )


def _identity(settings: PipeSettings) -> tuple[int | None, int | None]:
    if not settings.user and not settings.group:
        return None, None
    if os.geteuid() != 0:
        raise ValueError("user: only root can run a program as somebody else")
    uid = gid = None
    if settings.user:
        try:
            entry = pwd.getpwnam(settings.user)
        except KeyError:
            raise ValueError(f"user: there is no user {settings.user!r} on this machine") from None
        uid, gid = entry.pw_uid, entry.pw_gid
    if settings.group:
        try:
            gid = grp.getgrnam(settings.group).gr_gid
        except KeyError:
            raise ValueError(f"group: there is no group {settings.group!r} on this machine") from None
    return uid, gid


PIPE = PipeKind()
