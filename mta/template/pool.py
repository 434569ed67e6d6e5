"""Renderers: processes that are started when they are needed, and replaced when they end.

Nothing here waits in the reactor's thread.  A request goes to the renderer that has the least to do;
when one ends in the midst of a request, what it was at is asked again in halves, so that only the
recipient whose data have ended it is refused, or, if it happens again and again, the template.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

import mta
from mta.interfaces import TemporarilyUnavailable
from mta.template.bundle import MOST_OCTETS, Bundle, Rendered, digest_of
from mta.template.framing import FrameError, Frames, frame
from mta.template.problem import TemplateError, TemplateProblem

#: Recipients in one request: what comes of them is taken in one go, so they keep others waiting.
CHUNK = 100
#: Renderers that one template may end in one go before it is refused as a whole.
_MOST_ENDED = 4
#: Seconds of processor time for a call, and for each recipient: ten thousand that are each just not too
#: slow would keep everybody else waiting for hours.
_LEAST_SECONDS = 30.0
_SECONDS_EACH = 0.02
#: Seconds after which a renderer that does not answer is ended, whatever it does.
_PATIENCE = 120.0
#: Octets of what a renderer writes to its standard error that are kept for the log.
_ERRORS = 2000
#: Octets that an answer may wait in its pipe, and that are read in one turn of the reactor.
_PIPE = 1 << 20
#: Octets that Twisted reads of a process at once; less: there was no more.
_TWISTED_READS = 8192

#: Data and locale of a recipient, and what the process needs to know of it besides.
Item = tuple[dict[str, Any], str] | tuple[dict[str, Any], str, dict[str, Any]]
Problems = tuple[TemplateProblem, ...]
Outcome = Rendered | Problems
#: What processes run.
RENDER = "mta.template.child"


class RendererEnded(Exception):
    """A renderer has ended while it was at it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one rendering may take.

    :ivar seconds: of processor time.
    :ivar characters: of a part.
    :ivar memory: octets.
    :ivar processes: renderers at the most; 0: as many as there are processors, and four at the most.
    """

    seconds: float = 1.0
    characters: int = 1 << 20
    memory: int = 256 << 20
    processes: int = 0

    @property
    def width(self) -> int:
        """Renderers at the most."""
        return self.processes or min(4, os.cpu_count() or 1)


@dataclass(slots=True)
class Budget:
    """What all recipients of one call may take together.

    :ivar seconds: of processor time.
    :ivar used: of it so far.
    :ivar ended: renderers that were ended.
    """

    seconds: float
    used: float = 0.0
    ended: int = 0

    @classmethod
    def of(cls, count: int) -> Budget:
        """That of so many recipients."""
        return cls(_LEAST_SECONDS + _SECONDS_EACH * count)


class _Renderer(ProcessProtocol):
    """The worker's end of one process."""

    log = Logger()

    def __init__(self, reactor: Any, ended: Callable[[_Renderer], None]) -> None:
        self._reactor = reactor
        self._ended = ended
        self._frames = Frames()
        self._waiting: deque[Deferred[dict[str, Any]]] = deque()
        self._errors = b""
        self._watch: Any = None
        self._answers = -1
        self.gone = False

    @property
    def load(self) -> int:
        """Requests that wait for it."""
        return len(self._waiting)

    def ask(self, request: dict[str, Any]) -> Deferred[dict[str, Any]]:
        """Its answer.

        :raise RendererEnded: by the Deferred.
        """
        answer: Deferred[dict[str, Any]] = Deferred()
        self._waiting.append(answer)
        assert self.transport is not None
        self.transport.write(frame(request))
        self._watch_over()
        return answer

    def _watch_over(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._waiting:
            self._watch = self._reactor.callLater(_PATIENCE, self._too_slow)

    def _too_slow(self) -> None:
        self._watch = None
        self.kill()

    def connectionMade(self) -> None:
        """Let a whole answer fit into the pipe, so that the renderer goes on to the next meanwhile."""
        self._answers = _descriptor(self.transport)
        if self._answers >= 0:
            with suppress(OSError):  # There is a limit to the pipes of a user.
                fcntl.fcntl(self._answers, fcntl.F_SETPIPE_SZ, _PIPE)

    def outReceived(self, data: bytes) -> None:
        """An answer, or a piece of it."""
        # Twisted reads 8 KiB in a turn of the reactor: under load an answer would take dozens of turns.
        if len(data) >= _TWISTED_READS and self._answers >= 0:
            with suppress(OSError):  # There is no more at present.
                data += os.read(self._answers, _PIPE)
        try:
            found = self._frames.receive(data)
        except FrameError:
            self.kill()
            return
        for value in found:
            if self._waiting:
                answer = self._waiting.popleft()
                self._watch_over()
                answer.callback(value)

    def errReceived(self, data: bytes) -> None:
        """What it has to say when it ends badly."""
        self._errors = (self._errors + data)[-_ERRORS:]

    def processEnded(self, reason: Failure) -> None:
        """Whoever waits asks another one."""
        self.gone = True
        self._ended(self)
        waiting, self._waiting = self._waiting, deque()
        self._watch_over()
        if self._errors and not reason.check(ProcessDone):
            self.log.warn("A renderer has ended: {why}", why=self._errors.decode("utf-8", "replace"))
        for answer in waiting:
            answer.errback(RendererEnded(str(reason.value)))

    def close(self) -> None:
        """Let it end when it is done."""
        if self.transport is not None:
            self.transport.closeStdin()

    def kill(self) -> None:
        """End it now."""
        if self.transport is not None and not self.gone:
            try:
                self.transport.signalProcess("KILL")
            except Exception:  # it has ended just now
                self.log.debug("a renderer was gone before it was ended")


class Pool:
    """All renderers of a worker.

    :param reactor: the reactor.
    :param limits: what a rendering may take.
    :param module: what the processes run; it ends in :func:`mta.template.child.main`.
    """

    def __init__(self, reactor: Any, limits: Limits | None = None, module: str = RENDER) -> None:
        self._module = module
        self._reactor = reactor
        self._limits = limits or Limits()
        self._renderers: list[_Renderer] = []
        self._retired: list[_Renderer] = []
        self._stopping = False
        self._stopped: Deferred[None] | None = None

    # --- asking --------------------------------------------------------------

    async def about(self, bundle: Bundle) -> dict[str, Any]:
        """What a template asks for: ``variables``, ``sample`` data, ``messages`` for translation.

        :raise TemplateError: with everything that is wrong.
        :raise TemporarilyUnavailable: if no renderer can be had.
        """
        encoded = _checked(bundle)
        for _ in range(2):
            try:
                return await self._ask(encoded, {"about": True})
            except RendererEnded:
                continue
        raise TemplateError(_stopped_by_it())

    async def render(self, bundle: Bundle, items: Sequence[Item]) -> list[Outcome]:
        """What becomes of each recipient's data, in order.

        :param items: data and locale of each recipient.
        :raise TemplateError: if the template itself is wrong.
        :raise TemporarilyUnavailable: if no renderer can be had.
        """
        found = await self.values(bundle, items)
        return [value if isinstance(value, tuple) else _rendered(value) for value in found]

    async def values(
        self,
        bundle: Bundle,
        items: Sequence[Item],
        common: dict[str, Any] | None = None,
        budget: Budget | None = None,
    ) -> list[dict[str, Any] | Problems]:
        """What the processes make of each recipient's data, in order.

        :param common: what all items share, for the process.
        :param budget: what several calls may take together.
        :raise TemplateError: if the template itself is wrong.
        :raise TemporarilyUnavailable: if no renderer can be had.
        """
        encoded = _checked(bundle)
        budget = budget or Budget.of(len(items))
        chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
        found: list[dict[str, Any] | Problems] = []
        shared = {"common": common} if common else {}
        # Enough to keep all renderers busy; what waits in pipes is held in memory twice.
        width = 2 * self._limits.width
        for start in range(0, len(chunks), width):
            some = [
                Deferred.fromCoroutine(self._some(encoded, chunk, shared, budget))
                for chunk in chunks[start : start + width]
            ]
            try:
                for part in await gatherResults(some, consumeErrors=True):
                    found += part
            except Exception as error:
                raise _first(error) from None
        return found

    async def _some(
        self, encoded: str, items: Sequence[Item], shared: dict[str, Any], budget: Budget
    ) -> list[dict[str, Any] | Problems]:
        if budget.ended >= _MOST_ENDED:
            return [(_stopped_by_it(),)] * len(items)
        if budget.used > budget.seconds:
            return [(_too_slow(budget.seconds),)] * len(items)
        try:
            answer = await self._ask(encoded, {"items": items, **shared})
        except RendererEnded:
            budget.ended += 1
            if len(items) == 1:
                return [(_stopped_by_it(),)]
            half = len(items) // 2
            return [
                *await self._some(encoded, items[:half], shared, budget),
                *await self._some(encoded, items[half:], shared, budget),
            ]
        budget.used += answer["seconds"]
        return [_value(value) for value in answer["results"]]

    async def _ask(self, encoded: str, request: dict[str, Any]) -> dict[str, Any]:
        request = {"digest": digest_of(encoded), **request}
        renderer = self._renderer()
        answer = await renderer.ask(request)
        if answer.get("unknown"):
            if renderer.gone:
                raise RendererEnded("it has ended")
            answer = await renderer.ask({**request, "bundle": encoded})
        if "problems" in answer:
            raise TemplateError(*(TemplateProblem(**problem) for problem in answer["problems"]))
        return answer

    # --- processes -----------------------------------------------------------

    def _renderer(self) -> _Renderer:
        if self._stopping:
            raise TemporarilyUnavailable("the server stops")
        least = min(self._renderers, key=lambda one: one.load, default=None)
        if least is None or (least.load and len(self._renderers) < self._limits.width):
            return self._start()
        return least

    def _start(self) -> _Renderer:
        limits = self._limits
        renderer = _Renderer(self._reactor, self._gone)
        # Its modules are ours; of our environment it needs nothing else.
        here = str(Path(mta.__file__).resolve().parent.parent)
        path = os.pathsep.join([here, *(one for one in sys.path if one and one != here)])
        values = (limits.seconds, limits.characters, limits.memory)
        arguments = [sys.executable, "-m", self._module, *map(str, values)]
        try:
            self._reactor.spawnProcess(
                renderer,
                sys.executable,
                arguments,
                env={"PYTHONPATH": path, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
                path="/",
            )
        except OSError as error:
            raise TemporarilyUnavailable(f"no renderer can be started: {error.strerror}") from error
        self._renderers.append(renderer)
        return renderer

    def _gone(self, renderer: _Renderer) -> None:
        for some in (self._renderers, self._retired):
            if renderer in some:
                some.remove(renderer)
        if self._stopped is not None and not (self._renderers or self._retired):
            stopped, self._stopped = self._stopped, None
            stopped.callback(None)

    def use(self, limits: Limits) -> None:
        """Go by other limits; renderers that work by the old ones end when they are done."""
        if limits != self._limits:
            self._limits = limits
            retired, self._renderers = self._renderers, []
            self._retired += retired
            for renderer in retired:
                renderer.close()

    async def start(self) -> None:
        """Nothing yet: renderers are started when they are needed."""

    async def stop(self) -> None:
        """End them all."""
        self._stopping = True
        if not (self._renderers or self._retired):
            return
        ended: Deferred[None] = Deferred()
        self._stopped = ended
        for renderer in [*self._renderers, *self._retired]:
            renderer.kill()
        await ended


def _descriptor(transport: Any) -> int:
    """Where what a process writes is read from; below 0: that is not known."""
    pipes = getattr(transport, "pipes", {})
    return int(pipes[1].fileno()) if 1 in pipes else -1


def _checked(bundle: Bundle) -> str:
    encoded = bundle.encode()
    if len(encoded) > MOST_OCTETS:
        raise TemplateError(
            TemplateProblem(
                "limit", f"its sources have {len(encoded)} octets together, and {MOST_OCTETS} is the most"
            )
        )
    return encoded


def _value(value: dict[str, Any]) -> dict[str, Any] | Problems:
    if "problems" in value:
        return tuple(TemplateProblem(**problem) for problem in value["problems"])
    return value


def _rendered(value: dict[str, Any]) -> Rendered:
    return Rendered(**{**value, "missing": tuple(value["missing"])})


def _stopped_by_it() -> TemplateProblem:
    return TemplateProblem(
        "limit",
        "the process that rendered it was ended: it takes too much time or memory",
        remedy="let it do less",
    )


def _too_slow(seconds: float) -> TemplateProblem:
    return TemplateProblem(
        "limit",
        f"all recipients together take more than {seconds:.0f} s to render",
        remedy="let the template do less, or send to fewer at once",
    )


def _first(error: Exception) -> Exception:
    failure = getattr(error, "subFailure", None)
    found = failure.value if failure is not None else error
    return found if isinstance(found, Exception) else error
