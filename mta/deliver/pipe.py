"""Kind ``pipe``: hands messages to a program on its standard input.

The program gets its arguments as they are, never through a shell, a small environment, and a
process group of its own, so that a timeout ends whatever it has started.  Its exit status is
the outcome, as sysexits.h names them.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import re
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.plugin import IPlugin
from twisted.python.failure import Failure
from zope.interface import implementer

from mta.config.settings import Duration, Size, Table
from mta.deliver.local_copy import has_been_at, top_fields, with_lf
from mta.interfaces import Delivery, IKind, IService, ITransport, PluginContext
from mta.model.address import AddressError, parse_address
from mta.model.catalogue import REPLIES
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Delivered, Failed, Outcome, Postponed, RemoteReply

_PLACEHOLDER = re.compile(r"\{([a-z]*)\}")
_NAMES = frozenset({"sender", "recipient", "original", "local", "domain", "detail", "id"})
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")

#: Exit status that means never, with its enhanced status code (RFC 3463); any other may pass.
PERMANENT = {
    65: ("5.6.0", "the data is in error"),
    67: ("5.1.1", "no such user"),
    68: ("5.1.2", "no such host"),
    69: ("5.3.0", "unavailable"),
    77: ("5.7.0", "not permitted"),
}
_KILL_AFTER = 5.0
_LINGER = 1.0


class PipeSettings(Table):
    """Settings of ``kind = "pipe"``.

    ``command`` is the program and its arguments with ``{sender}``, ``{recipient}``,
    ``{original}``, ``{local}``, ``{domain}``, ``{detail}`` and ``{id}``; ``environment`` names
    the variables that it gets of ours; ``user`` and ``group`` need root; ``directory`` is where
    it runs (the state directory).
    """

    command: list[str] = Field(min_length=1)
    user: str = ""
    group: str = ""
    directory: str = ""
    environment: list[str] = Field(["PATH", "LANG", "LC_ALL", "TZ"])
    timeout: Duration = Field(300.0, gt=0)
    concurrency: int = Field(10, ge=1)
    max_output: Size = 1024
    line_ends: Literal["lf", "crlf"] = "lf"
    return_path: bool = True
    delivered_to: bool = True


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


def outcome_of(program: str, failure: Failure, output: bytes) -> Outcome:
    """What the end of the program means.

    :param program: its name.
    :param failure: ``ProcessDone`` or ``ProcessTerminated``.
    :param output: what it wrote, or the start of that.
    """
    said = _CONTROLS.sub(" ", output.decode("utf-8", "replace")).strip()
    if failure.check(ProcessDone):
        return Delivered(_reply("delivered", said, place=f"the program {program}"))
    status = getattr(failure.value, "exitCode", None)
    number = getattr(failure.value, "signal", None)
    if status is None:
        problem = f"it was ended by signal {number}" if number else "it could not be run"
    elif status in PERMANENT:
        enhanced, words = PERMANENT[status]
        reply = _reply("pipe-refused", said, program=program, problem=f"exit status {status}, {words}")
        return Failed(RemoteReply(reply.code, enhanced, reply.text))
    else:
        problem = f"exit status {status}"
    return Postponed(_reply("pipe-postponed", said, program=program, problem=problem))


def _reply(name: str, said: str = "", **values: object) -> RemoteReply:
    reply = REPLIES.reply(name, **values)
    return RemoteReply(reply.code, reply.enhanced, f"{reply.text}: {said}" if said else reply.text)


@implementer(IPushProducer)
class _Run(ProcessProtocol):
    """One program at work.

    :ivar ended: fires when it has ended and its output is read.
    :ivar gone: likewise, for whoever stops it.
    :ivar reason: then, how it ended.
    """

    reason: Failure

    def __init__(self, reactor: Any, timeout: float, max_output: int, own_group: bool) -> None:
        self.ended: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()
        self.output = b""
        self.overdue = False
        self._reactor = reactor
        self._max_output = max_output
        self._own_group = own_group
        self._timer: Any = reactor.callLater(timeout, self.expire)
        self._drained: Deferred[None] | None = None
        self._deaf = False
        self._exited = False

    # --- feeding it ----------------------------------------------------------

    async def feed(self, blocks: Iterator[bytes], run: Callable[..., Any]) -> None:
        """Write blocks that are read in a thread, no faster than the program takes them.

        :raise OSError: if they cannot be read; the program is killed first, because it must
            not take half a message for a whole one.
        """
        pipe = self.transport.pipes.get(0)  # type: ignore[union-attr]
        if pipe is None:
            return
        pipe.registerProducer(self, True)
        try:
            while not self._deaf:
                block = await run(next, blocks, None)
                if block is None:
                    break
                if not self._deaf:
                    pipe.write(block)
                if self._drained is not None:
                    await self._drained
        except BaseException:
            self.kill(signal.SIGKILL)
            raise
        finally:
            if not self._deaf:
                pipe.unregisterProducer()
        self.close()

    def give(self, data: bytes) -> None:
        """Write it all at once."""
        self.transport.write(data)  # type: ignore[union-attr]
        self.close()

    def close(self) -> None:
        """That was the message."""
        if not self._deaf:
            self.transport.closeStdin()  # type: ignore[union-attr]

    def pauseProducing(self) -> None:
        """The pipe is full."""
        if self._drained is None:
            self._drained = Deferred()

    def resumeProducing(self) -> None:
        """It is not any more."""
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.callback(None)

    def stopProducing(self) -> None:
        """The program reads no more; its exit status tells whether that is right."""
        self._deaf = True
        self.resumeProducing()

    def inConnectionLost(self) -> None:
        """Likewise."""
        self.stopProducing()

    # --- listening to it -----------------------------------------------------

    def outReceived(self, data: bytes) -> None:
        """Keep the start of its output; read the rest, so that it does not block."""
        room = self._max_output - len(self.output)
        if room > 0:
            self.output += data[:room]

    errReceived = outReceived

    # --- its end -------------------------------------------------------------

    def kill(self, number: int) -> None:
        """Send a signal to the program and what it has started."""
        pid = getattr(self.transport, "pid", None)
        if pid is None or self._exited:
            return
        try:
            if self._own_group:
                os.killpg(pid, number)
                return
        except OSError:
            pass  # It has no group of its own yet.
        with suppress(OSError):
            os.kill(pid, number)

    def expire(self) -> None:
        """Its time is over."""
        self.forget()
        self.overdue = True
        self.kill(signal.SIGTERM)
        self._timer = self._reactor.callLater(_KILL_AFTER, self._expire_at_last)

    def _expire_at_last(self) -> None:
        self._timer = None
        self.kill(signal.SIGKILL)

    def processExited(self, reason: Failure) -> None:
        """Wait only a little for others that hold its output open."""
        self.forget()
        pid = getattr(self.transport, "pid", None)
        if self.overdue and self._own_group and pid is not None:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        self._exited = True
        self._timer = self._reactor.callLater(_LINGER, self._leave)

    def _leave(self) -> None:
        self._timer = None
        self.transport.loseConnection()  # type: ignore[union-attr]

    def forget(self) -> None:
        """No more timeouts: it has ended, or was never started."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def processEnded(self, reason: Failure) -> None:
        """All is read."""
        self.forget()
        self.stopProducing()
        self.reason = reason
        self.ended.callback(None)
        self.gone.callback(None)


@implementer(ITransport, IService)
class PipeTransport:
    """See the module.

    :param reactor: starts processes and keeps time.
    :param settings: validated.
    :param program: absolute path of the program.
    :param directory: where it runs.
    :param run_in_thread: for content that is in files.
    :param identity: user and group ids to run as; ``None`` to keep ours.
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
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._program = program
        self._name = Path(program).name
        self._directory = directory
        self._run_in_thread = run_in_thread
        self._uid, self._gid = identity
        self._setsid = shutil.which("setsid", path="/usr/bin:/bin")
        self._slots = DeferredSemaphore(settings.concurrency)
        self._running: set[_Run] = set()
        self._stopped = False

    def concurrency(self, next_hop: str) -> int:
        """See :class:`~mta.interfaces.ITransport`."""
        return self._settings.concurrency

    def start(self) -> None:
        """Programs may be run from now on."""
        self._stopped = False

    async def stop(self) -> None:
        """End the programs that still run, and begin none; their messages are tried again."""
        self._stopped = True
        running = list(self._running)
        for run in running:
            run.expire()
        for run in running:
            await run.gone

    async def deliver(self, delivery: Delivery) -> Sequence[Outcome]:
        """Run the program once for each addressee."""
        runs = [
            self._slots.run(self._deliver, delivery.message, addressee, delivery.sender)
            for addressee in delivery.addressees
        ]
        outcomes: Sequence[Outcome] = await gatherResults(runs)
        return outcomes

    def _deliver(self, message: Message, addressee: Addressee, sender: str) -> Deferred[Outcome]:
        return Deferred.fromCoroutine(self._guarded(message, addressee, sender))

    async def _guarded(self, message: Message, addressee: Addressee, sender: str) -> Outcome:
        try:
            return await self._one(message, addressee, sender)
        except ArgumentError as error:
            return Failed(_reply("pipe-refused", program=self._name, problem=str(error)))
        except OSError as error:
            problem = error.strerror or type(error).__name__
        except Exception:
            self._log.failure("Piping {id} to {program} failed", id=message.id, program=self._name)
            problem = "trouble on our side"
        return Postponed(_reply("pipe-postponed", program=self._name, problem=problem))

    async def _one(self, message: Message, addressee: Addressee, sender: str) -> Outcome:
        settings, content = self._settings, message.content
        if self._stopped:
            return Postponed(_reply("pipe-postponed", program=self._name, problem="the server stops"))
        command = arguments(settings.command, self._values(message, addressee, sender))
        if settings.delivered_to:
            start = (
                content.data
                if isinstance(content, InlineContent)
                else await self._run_in_thread(next, content.blocks(), b"")
            )
            if has_been_at(start, addressee.address):
                reply = REPLIES.reply("delivery-loop", address=addressee.address)
                return Failed(RemoteReply(reply.code, reply.enhanced, reply.text))
        run = self._spawn(command)
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
            problem = f"it ran for longer than {settings.timeout:g} seconds"
            return Postponed(_reply("pipe-postponed", program=self._name, problem=problem))
        return outcome_of(self._name, run.reason, run.output)

    def _spawn(self, command: list[str]) -> _Run:
        settings = self._settings
        environment = {name: os.environ[name] for name in settings.environment if name in os.environ}
        line = [self._program, *command[1:]]
        if self._setsid:
            # Without a group of its own, what the program starts would outlive a timeout.
            line = [self._setsid, *line]
        run = _Run(self._reactor, settings.timeout, settings.max_output, bool(self._setsid))
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
        read = 0
        for block in message.content.blocks():
            read += len(block)
            yield block
        if read != message.content.size:
            words = f"the queued content has {read} octets instead of {message.content.size}"
            raise OSError(errno.EIO, words)

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
        for part in settings.command:
            for match in _PLACEHOLDER.finditer(part):
                if match[1] not in _NAMES:
                    names = ", ".join(f"{{{name}}}" for name in sorted(_NAMES))
                    raise ValueError(f"command: {match[0]} is unknown; there are {names}")
        program = settings.command[0]
        if _PLACEHOLDER.search(program):
            raise ValueError("command: the program itself must not depend on the message")
        found = shutil.which(program if "/" not in program else str(Path(context.base) / program))
        if found is None:
            raise ValueError(f"command: there is no program {program!r} that can be run")
        directory = str(Path(context.state) / settings.directory)
        return PipeTransport(
            context.reactor, settings, found, directory, context.run_in_thread, _identity(settings)
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
