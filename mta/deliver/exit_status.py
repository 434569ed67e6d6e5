"""What the end of a program means for a recipient: sysexits.h and signals; pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Collection

from twisted.internet.error import ProcessDone
from twisted.python.failure import Failure

from mta.model.catalogue import REPLIES
from mta.model.outcome import Delivered, Failed, Outcome, Postponed, RemoteReply

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")

#: Exit statuses that programs mean something by, with an enhanced status code (RFC 3463) and words.
MEANINGS = {
    64: ("5.3.0", "it was called wrongly"),
    65: ("5.6.0", "the data is in error"),
    66: ("5.3.0", "it cannot open its input"),
    67: ("5.1.1", "no such user"),
    68: ("5.1.2", "no such host"),
    69: ("5.3.0", "unavailable"),
    70: ("5.3.0", "an error inside it"),
    71: ("5.3.0", "the system is in trouble"),
    72: ("5.3.0", "a file of the system is missing"),
    73: ("5.2.0", "it cannot create a file"),
    74: ("5.3.0", "an error of input or output"),
    75: ("5.3.0", "try again later"),
    76: ("5.5.0", "an error in the protocol"),
    77: ("5.7.0", "not permitted"),
    78: ("5.3.5", "its configuration is in error"),
    126: ("5.3.0", "it cannot be run"),
    127: ("5.3.0", "there is no such program"),
}
#: Those that mean never.  The others are trouble here, and nothing to tell a sender.
PERMANENT = (65, 67, 68, 69, 77)

#: Signals by which the kernel ends who is above a limit.
_LIMITS = {
    signal.SIGXCPU: "it took more processor time than cpu_time allows",
    signal.SIGXFSZ: "it wrote a larger file than file_size allows",
}


def outcome_of(
    program: str, failure: Failure, output: bytes, permanent: Collection[int] = PERMANENT
) -> Outcome:
    """What the end of the program means.

    :param program: its name.
    :param failure: ``ProcessDone`` or ``ProcessTerminated``.
    :param output: what it wrote, or the start of that.
    :param permanent: exit statuses that mean never.
    """
    said = _CONTROLS.sub(" ", output.decode("utf-8", "replace")).strip()
    if failure.check(ProcessDone):
        return Delivered(pipe_reply("delivered", said, place=f"the program {program}"))
    status = getattr(failure.value, "exitCode", None)
    number = getattr(failure.value, "signal", None)
    if status is None:
        problem = "it could not be run"
        if number:
            problem = _LIMITS.get(number, f"it was ended by signal {number}")
    else:
        enhanced, words = MEANINGS.get(status, ("5.3.0", ""))
        problem = f"exit status {status}, {words}" if words else f"exit status {status}"
        if status in permanent:
            reply = pipe_reply("pipe-refused", said, program=program, problem=problem)
            return Failed(RemoteReply(reply.code, enhanced, reply.text))
    return Postponed(pipe_reply("pipe-postponed", said, program=program, problem=problem))


def pipe_reply(name: str, said: str = "", **values: object) -> RemoteReply:
    """A reply of the catalogue, and what the program said."""
    reply = REPLIES.reply(name, **values)
    return RemoteReply(reply.code, reply.enhanced, f"{reply.text}: {said}" if said else reply.text)
