"""Looks at sequences: their flow, who is where and why; keeps, checks and tries out definitions.

mta sequence check welcome.toml
mta sequence push welcome welcome.toml --note "a second reminder"
mta sequence show welcome
mta sequence rehearse welcome ann@example.org --opens welcome=2h --event purchase=3d
mta sequence enrol welcome ann@example.org
mta sequence why ann@example.org
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mta.cli.context import CommandError, Context, moment
from mta.journal.words import local_time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta sequence list|show|check|push|...``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="show all")
    show = actions.add_parser("show", help="draw the flow, with how many are where")
    check = actions.add_parser("check", help="find everything that is wrong with a file; asks no server")
    check.add_argument("file", metavar="FILE", type=Path)
    push = actions.add_parser("push", help="keep a file as a new version")
    push.add_argument("name", metavar="NAME")
    push.add_argument("file", metavar="FILE", type=Path)
    push.add_argument("--note", default="", help="what is said of this version")
    push.add_argument(
        "--no-activate", dest="activate", action="store_false", help="those who come in get the earlier one"
    )
    rehearse = actions.add_parser("rehearse", help="tell what would happen to a contact, sending nothing")
    rehearse.add_argument("name", metavar="NAME")
    rehearse.add_argument("address", metavar="ADDRESS", nargs="?", help="without it: somebody unknown")
    rehearse.add_argument("--file", type=Path, help="a definition in place of the one that is kept")
    rehearse.add_argument("--at", default="", help="when it would come in (default: now)")
    for word in ("opens", "clicks", "bounces"):
        rehearse.add_argument(
            f"--{word}",
            action="append",
            default=[],
            metavar="STEP=TIME",
            help=f"suppose that it {word} the message of a step so long after it was sent",
        )
    rehearse.add_argument(
        "--event",
        action="append",
        default=[],
        metavar="NAME=TIME",
        help="suppose that the application tells of an event so long after it came in",
    )
    enrol = actions.add_parser("enrol", help="let contacts in")
    enrol.add_argument("name", metavar="NAME")
    enrol.add_argument("addresses", metavar="ADDRESS", nargs="+")
    unenrol = actions.add_parser("unenrol", help="take a contact out")
    unenrol.add_argument("name", metavar="NAME")
    unenrol.add_argument("address", metavar="ADDRESS")
    unenrol.add_argument("--reason", default="", help="why")
    why = actions.add_parser("why", help="where a contact is, in all sequences, and how it came there")
    why.add_argument("address", metavar="ADDRESS")
    move = actions.add_parser("move", help="let those of one version go on in another")
    move.add_argument("name", metavar="NAME")
    move.add_argument("source", metavar="FROM", type=int)
    move.add_argument("version", metavar="TO", type=int)
    pause = actions.add_parser("pause", help="let nobody come in or go on")
    pause.add_argument("--reason", default="", help="why")
    resume = actions.add_parser("resume", help="let them")
    remove = actions.add_parser("remove", help="forget it, with all who are in it")
    for act in (show, pause, resume, remove):
        act.add_argument("name", metavar="NAME")
    for act in actions.choices.values():
        act.add_argument("--tenant", default="default", help="whose (default: default)")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    acts = {
        "list": _list,
        "show": _show,
        "check": _check,
        "push": _push,
        "rehearse": _rehearse,
        "enrol": _enrol,
        "unenrol": _unenrol,
        "why": _why,
        "move": _move,
        "pause": _pause,
        "resume": _resume,
        "remove": _remove,
    }
    return acts[arguments.action](arguments, context)


def _ask(
    arguments: argparse.Namespace,
    context: Context,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    from mta.cli.application import Tenant

    return Tenant(context, arguments.tenant).ask(method, path, body)


def _place(name: str) -> str:
    return f"/v1/sequences/{quote(name, safe='')}"


def _list(arguments: argparse.Namespace, context: Context) -> int:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = _ask(arguments, context, "GET", f"/v1/sequences?limit=1000&cursor={cursor}")
        found += answer["sequences"]
        cursor = answer["next"] or ""
        if not cursor:
            break
    if context.out.as_json:
        context.out.json(found)
        return os.EX_OK
    rows = [
        (one["name"], one["state"], one["live"] or "none", one["latest"], one["created"]) for one in found
    ]
    context.out.table(("name", "state", "live", "latest", "made"), rows)
    return os.EX_OK


def _show(arguments: argparse.Namespace, context: Context) -> int:
    answer = _ask(arguments, context, "GET", _place(arguments.name))
    if context.out.as_json:
        context.out.json(answer)
        return os.EX_OK
    words = f"{answer['name']}: {answer['state']}, version {answer['version']['version']}"
    if answer["paused"]:
        words += f": {answer['paused']}"
    context.out.line(words)
    context.out.line("")
    for line in answer["drawing"]:
        context.out.line(line)
    ended = ", ".join(f"{count} {how}" for how, count in sorted(answer["ended"].items()))
    here = sum(answer["steps"].values())
    context.out.line("")
    context.out.line(f"{here} in it now" + (f"; ended: {ended}" if ended else ""))
    return os.EX_OK


def _read(path: Path, context: Context) -> dict[str, Any]:
    """A definition of a file, checked.

    :raise CommandError: with everything that is wrong.
    """
    try:
        text = context.stdin.read() if str(path) == "-" else path.read_text("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise CommandError(f"{path}: {getattr(error, 'strerror', None) or error}", os.EX_NOINPUT) from None
    return context.seams.read_sequence(text, str(path))


def _check(arguments: argparse.Namespace, context: Context) -> int:
    found = _read(arguments.file, context)
    if context.out.as_json:
        context.out.json(found["definition"])
        return os.EX_OK
    for line in found["drawing"]:
        context.out.line(line)
    return os.EX_OK


def _push(arguments: argparse.Namespace, context: Context) -> int:
    body = {
        "definition": _read(arguments.file, context)["definition"],
        "note": arguments.note,
        "activate": arguments.activate,
    }
    answer = _ask(arguments, context, "PUT", _place(arguments.name), body)
    words = f"{answer['name']}: version {answer['version']}"
    words += "" if answer["new"] else ", as it was"
    return _told(answer, f"{words}{', live' if answer['live'] else ''}", context)


def _rehearse(arguments: argparse.Namespace, context: Context) -> int:
    supposed: list[dict[str, Any]] = []
    for word, outcome in (("opens", "opened"), ("clicks", "clicked"), ("bounces", "bounced")):
        for text in getattr(arguments, word):
            step, after = _pair(text, f"--{word}")
            supposed.append({"after": after, "outcome": outcome, "step": step})
    for text in arguments.event:
        name, after = _pair(text, "--event")
        supposed.append({"after": after, "event": name})
    body: dict[str, Any] = {"supposed": supposed}
    if arguments.address:
        body["address"] = arguments.address
    if arguments.file is not None:
        body["definition"] = _read(arguments.file, context)["definition"]
    if arguments.at:
        at = moment(arguments.at, time.time())
        body["at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    answer = _ask(arguments, context, "POST", f"{_place(arguments.name)}/rehearse", body)
    if context.out.as_json:
        context.out.json(answer["lines"])
        return os.EX_OK
    rows = [
        (
            one["at"],
            one["step"],
            " ".join(filter(None, (one["action"], one["way"]))),
            ", ".join(filter(None, (one["reason"], f"until {one['until']}" if one["until"] else ""))),
        )
        for one in answer["lines"]
    ]
    context.out.table(("when", "step", "what", "why"), rows)
    return os.EX_OK


def _pair(text: str, option: str) -> tuple[str, float]:
    name, equals, after = text.partition("=")
    try:
        # How long ago something was is how long it lasts.
        seconds = -moment(after, 0.0) if equals and after[-1:] in "smhdw" else -1.0
    except CommandError:
        seconds = -1.0
    if not name or seconds < 0:
        raise CommandError(f'{option} {text!r}: write NAME=TIME, such as "welcome=2h"', os.EX_USAGE)
    return name, seconds


def _enrol(arguments: argparse.Namespace, context: Context) -> int:
    body = {"addresses": arguments.addresses}
    answer = _ask(arguments, context, "POST", f"{_place(arguments.name)}/enrolments", body)
    if context.out.as_json:
        context.out.json(answer)
    else:
        for one in answer["contacts"]:
            number = one["enrolment"]
            said = f"enrolment {number}" if number else f"not in: {one['detail']}"
            context.out.line(f"{one['address']}: {said}")
    return os.EX_OK if answer["enrolled"] == len(arguments.addresses) else os.EX_DATAERR


def _unenrol(arguments: argparse.Namespace, context: Context) -> int:
    found = [
        one
        for one in _runs(arguments, context)
        if one["sequence"] == arguments.name and one["state"] == "active"
    ]
    if not found:
        raise CommandError(f"{arguments.address} is not in {arguments.name}", os.EX_DATAERR)
    for one in found:
        place = f"{_place(arguments.name)}/enrolments/{one['id']}?reason={quote(arguments.reason, safe='')}"
        _ask(arguments, context, "DELETE", place)
    return _told({"removed": [one["id"] for one in found]}, f"{arguments.address} is out", context)


def _runs(arguments: argparse.Namespace, context: Context) -> list[dict[str, Any]]:
    place = f"/v1/contacts/{quote(arguments.address, safe='')}/enrolments"
    found: list[dict[str, Any]] = _ask(arguments, context, "GET", place)["enrolments"]
    return found


def _why(arguments: argparse.Namespace, context: Context) -> int:
    found = _runs(arguments, context)
    events = context.seams.sequence_events(context.state, arguments.tenant, arguments.address)
    if context.out.as_json:
        context.out.json([{**one, "events": events.get(one["id"], [])} for one in found])
        return os.EX_OK
    if not found:
        context.out.line(f"{arguments.address} is in no sequence, and never was")
        return os.EX_OK
    for number, one in enumerate(found):
        if number:
            context.out.line("")
        state = one["state"] if one["state"] != "active" else f"is at step {one['step']}"
        words = f"{one['sequence']}, version {one['version']} (enrolment {one['id']}): {state}"
        if one["waits_until"]:
            words += f", waits until {one['waits_until']}"
        context.out.line(f"{words}: {one['reason']}" if one["reason"] else words)
        told = events.get(one["id"], [])
        for event in told:
            context.out.line(f"  {local_time(event['at'])}  {event['line']}")
        if not told:
            context.out.line("  (how it came there is not in the journal any more; see journal.keep)")
    return os.EX_OK


def _move(arguments: argparse.Namespace, context: Context) -> int:
    body = {"from": arguments.source, "to": arguments.version}
    answer = _ask(arguments, context, "POST", f"{_place(arguments.name)}/move", body)
    words = f"{answer['moved']} go on in version {arguments.version}"
    if answer["stay"]:
        words += f"; {answer['stay']} stay, for it has not the step at which they are"
    return _told(answer, words, context)


def _pause(arguments: argparse.Namespace, context: Context) -> int:
    body = {"reason": arguments.reason}
    answer = _ask(arguments, context, "POST", f"{_place(arguments.name)}/pause", body)
    return _told(answer, f"{arguments.name} is paused", context)


def _resume(arguments: argparse.Namespace, context: Context) -> int:
    answer = _ask(arguments, context, "POST", f"{_place(arguments.name)}/resume")
    return _told(answer, f"{arguments.name} {answer['state']}", context)


def _remove(arguments: argparse.Namespace, context: Context) -> int:
    _ask(arguments, context, "DELETE", _place(arguments.name))
    return _told({"removed": arguments.name}, f"{arguments.name} is gone", context)


def _told(answer: dict[str, Any], words: str, context: Context) -> int:
    if context.out.as_json:
        context.out.json(answer)
    else:
        context.out.line(words)
    return os.EX_OK
