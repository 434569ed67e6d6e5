"""A process that renders, and that may be stopped at any time: ``python -m mta.template.child``.

It reads requests from its standard input and answers on its standard output; nothing else is open to
it.  A request names a bundle by its digest and brings it only if it is asked to.  Processor time is
bounded twice: after the first limit an exception is raised, which tells the line; what does not look
at exceptions (a step of C that takes for ever) is ended by the kernel at the second.
"""

from __future__ import annotations

import resource
import signal
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from time import process_time
from typing import Any, BinaryIO

from mta.template.bundle import Bundle, Rendered
from mta.template.framing import frame, read_frame
from mta.template.problem import TemplateError, TemplateProblem
from mta.template.rendering import Compiled, place_of
from mta.template.variables import paths, sample, variables

#: Bundles that stay compiled.
_KEPT = 64
#: Processor time after which the process is ended, as a multiple of that after which it is told.
_PATIENCE = 2.0


#: From a rendering, what the request's items share, and what an item brings besides: JSON values.
Finish = Callable[[Rendered, Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]


class TimeIsUp(BaseException):
    """A rendering takes too long; nothing on the way catches it."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Bound the processor time of what is inside; :class:`TimeIsUp`, and then the end."""
    # SIGPROF is left to the kernel, whose answer is to end the process.
    signal.setitimer(signal.ITIMER_PROF, seconds * _PATIENCE)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)


def _time_is_up(number: int, stack: Any) -> None:
    raise TimeIsUp


class Renderer:
    """Answers requests.

    :param seconds: of processor time that one rendering may take.
    :param characters: that a part may have.
    :param finish: what is made of each rendering, within its time: JSON values.
    """

    def __init__(self, seconds: float, characters: int, finish: Finish | None = None) -> None:
        self._finish = finish or (lambda rendered, common, more: asdict(rendered))
        self._seconds = seconds
        self._characters = characters
        self._kept: OrderedDict[str, Compiled | list[dict[str, Any]]] = OrderedDict()

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What is answered to a request."""
        digest = request["digest"]
        if digest not in self._kept:
            if "bundle" not in request:
                return {"unknown": True}
            self._kept[digest] = self._compiled(request["bundle"])
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(digest)
        compiled = self._kept[digest]
        if not isinstance(compiled, Compiled):
            return {"problems": compiled}
        if request.get("about"):
            return self._about(compiled)
        before = process_time()
        common = request.get("common") or {}
        results = [
            self._rendered(compiled, common, data, locale, *more) for data, locale, *more in request["items"]
        ]
        return {"results": results, "seconds": process_time() - before}

    def _compiled(self, encoded: str) -> Compiled | list[dict[str, Any]]:
        try:
            with limited(max(self._seconds, 1.0)):
                return Compiled(Bundle.decode(encoded))
        except TemplateError as error:
            return [problem.told() for problem in error.problems]
        except (MemoryError, RecursionError, TimeIsUp) as error:
            return [_exhausted(error, self._seconds).told()]

    def _about(self, compiled: Compiled) -> dict[str, Any]:
        try:
            with limited(max(self._seconds, 1.0)):
                shape = variables(compiled)
                messages = sorted(compiled.messages())
                return {"variables": paths(shape), "sample": sample(shape), "messages": messages}
        except (MemoryError, RecursionError, TimeIsUp) as error:
            return {"problems": [_exhausted(error, self._seconds).told()]}

    def _rendered(
        self,
        compiled: Compiled,
        common: Mapping[str, Any],
        data: Mapping[str, Any],
        locale: str,
        more: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        try:
            with limited(self._seconds):
                return self._finish(compiled.render(data, locale, self._characters), common, more or {})
        except TemplateError as error:
            return {"problems": [problem.told() for problem in error.problems]}
        except (MemoryError, RecursionError, TimeIsUp) as error:
            return {"problems": [_exhausted(error, self._seconds).told()]}


def _exhausted(error: BaseException, seconds: float) -> TemplateProblem:
    name, line = place_of(error.__traceback__)
    if isinstance(error, TimeIsUp):
        what = f"it takes more than {seconds:g} s"
    elif isinstance(error, MemoryError):
        what = "it takes too much memory"
    else:
        what = "it goes too deep"
    part, _, _ = name.partition("@")
    return TemplateProblem("limit", what, part, line, remedy="let it do less")


def confine(memory: int) -> None:
    """Take from this process what a renderer needs not.

    :param memory: octets that it may take beyond what it has now.
    """
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[0])
    most = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # No file grows by it, and no process is made.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGVTALRM, _time_is_up)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP):
        # A person at the terminal means the server, which ends us by closing our input.
        signal.signal(number, signal.SIG_IGN)


def serve(renderer: Renderer, source: BinaryIO, sink: BinaryIO) -> None:
    """Answer until nobody asks any more."""
    while True:
        try:
            request = read_frame(source)
        except EOFError:
            return
        try:
            answer = frame(renderer.answer(request))
        except MemoryError as error:
            answer = frame({"problems": [_exhausted(error, 0).told()]})
        sink.write(answer)
        sink.flush()


def main(arguments: list[str], finish: Finish | None = None) -> None:
    """Run with seconds, characters and memory as arguments."""
    seconds, characters, memory = arguments
    confine(int(memory))
    renderer = Renderer(float(seconds), int(characters), finish)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    # What anything prints must not be taken for an answer.
    sys.stdout = sys.stderr
    serve(renderer, source, sink)


if __name__ == "__main__":
    main(sys.argv[1:])
