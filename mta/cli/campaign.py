"""Makes campaigns, starts, pauses and stops them, and tells what came of them.

    mta campaign create spring.json
    mta campaign check spring
    mta campaign test spring ann@example.org --variant B
    mta campaign start spring
    mta campaign show spring --watch
    mta campaign pause spring --hold --reason "wrong price"
    mta campaign result spring

A file has what ``POST /v1/campaigns`` takes.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from mta.cli.audience_asking import ask, pages, part, read_json, with_tenant
from mta.cli.context import CommandError, Context

#: Columns of the bar.
_WIDTH = 40
#: Seconds between two looks.
_PAUSE = 1.0
_ACTS = {
    "start": "start it now",
    "schedule": "have it begin at its time",
    "unschedule": "make a draft again of one that is scheduled",
    "pause": "hand nothing more to the queue until it is resumed",
    "resume": "go on with one that is paused",
    "stop": "end it for good",
    "decide": "choose what the rest gets, where a test shows no clear winner",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta campaign list|create|change|remove|show|check|test|ACT|result|recipients``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    look = actions.add_parser("list", help="show campaigns, the last made first")
    look.add_argument("--in", dest="wanted", default="", metavar="STATE", help="only those, such as running")
    create = actions.add_parser("create", help="make a draft")
    change = actions.add_parser("change", help="change a draft")
    for act in (create, change):
        act.add_argument("file", metavar="FILE", help="JSON")
    one = [change]
    for name, what in {
        "show": "show one, and how far it is",
        "check": "look at everything before it begins",
        "test": "send test messages",
        "result": "tell what came of it, and how sure that is",
        "recipients": "show who gets it, and how they stand",
        "remove": "remove one that was never started",
        **_ACTS,
    }.items():
        one.append(actions.add_parser(name, help=what))
        if name in _ACTS:
            one[-1].add_argument("--reason", default="", help="stands in the journal")
    for act in one:
        act.add_argument("name", metavar="CAMPAIGN")
    choices = actions.choices
    choices["show"].add_argument("--watch", action="store_true", help="until it ends")
    choices["test"].add_argument("to", metavar="ADDRESS", nargs="+")
    choices["test"].add_argument("--variant", default="", help="only this one")
    choices["test"].add_argument("--contact", default="", help="the contact with whose data it is made")
    choices["schedule"].add_argument("--at", default="", help="such as 2027-01-31T08:00:00Z")
    choices["pause"].add_argument("--hold", action="store_true", help="hold what is in the queue, too")
    choices["decide"].add_argument(
        "variant", metavar="VARIANT", nargs="?", help="(default: split as the test was)"
    )
    choices["result"].add_argument(
        "--metric", default="", help="by what variants are compared: opened or clicked"
    )
    choices["recipients"].add_argument(
        "--in", dest="wanted", default="", metavar="STATE", help="waiting, sent, suppressed, refused or left"
    )
    with_tenant(actions)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    acts: dict[str, Any] = {
        "list": _list,
        "create": _create,
        "change": _create,
        "remove": _remove,
        "show": _show,
        "check": _check,
        "test": _test,
        "result": _result,
        "recipients": _recipients,
    }
    done: int = acts.get(arguments.action, _act)(arguments, context)
    return done


def _path(arguments: argparse.Namespace, more: str = "") -> str:
    return f"/v1/campaigns/{part(arguments.name)}{more}"


def _list(arguments: argparse.Namespace, context: Context) -> int:
    found = list(pages(arguments, context, "/v1/campaigns", "campaigns", state=arguments.wanted))
    if context.out.as_json:
        context.out.json(found)
        return os.EX_OK
    rows = [
        (one["name"], one["state"], one["title"], one["started"] or one["begins"] or "", one["by"])
        for one in found
    ]
    context.out.table(("name", "state", "title", "begins", "by"), rows)
    return os.EX_OK


def _create(arguments: argparse.Namespace, context: Context) -> int:
    body = read_json(f"@{arguments.file}", arguments.file)
    if not isinstance(body, dict):
        raise CommandError(f"{arguments.file}: it is an object of JSON", os.EX_DATAERR)
    if arguments.action == "change":
        body.pop("name", None)
        return _told(context, ask(arguments, context, "PUT", _path(arguments), body))
    return _told(context, ask(arguments, context, "POST", "/v1/campaigns", body))


def _remove(arguments: argparse.Namespace, context: Context) -> int:
    ask(arguments, context, "DELETE", _path(arguments))
    if not context.out.as_json:
        context.out.line(f"{arguments.name} is removed")
    return os.EX_OK


def _show(arguments: argparse.Namespace, context: Context) -> int:
    one = ask(arguments, context, "GET", _path(arguments))
    while arguments.watch and one["state"] in ("scheduled", "running"):
        _told(context, one)
        time.sleep(_PAUSE)
        one = ask(arguments, context, "GET", _path(arguments))
    return _told(context, one)


def _act(arguments: argparse.Namespace, context: Context) -> int:
    body: dict[str, Any] = {"reason": arguments.reason}
    if arguments.action == "pause":
        body["hold"] = arguments.hold
    if arguments.action == "schedule" and arguments.at:
        body["send_at"] = arguments.at
    if arguments.action == "decide":
        body["variant"] = arguments.variant
    return _told(context, ask(arguments, context, "POST", _path(arguments, f"/{arguments.action}"), body))


def bar(done: int, total: int, width: int = _WIDTH) -> str:
    """How far something is, in so many columns."""
    full = width if not total else min(width, width * done // total)
    return f"[{'#' * full}{'.' * (width - full)}]"


def span(seconds: int) -> str:
    """Some seconds, for a person."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _told(context: Context, one: dict[str, Any]) -> int:
    if context.out.as_json:
        context.out.json(one)
        return os.EX_OK
    line = f"{one['name']}: {one['state']}"
    if one["begins"]:
        line += f", begins {one['begins']}"
    context.out.line(f"{line} ({one['reason']})" if one["reason"] else line)
    progress = one["progress"]
    if one["started"] and not progress["prepared"] and not one["ended"]:
        context.out.line(f"  who gets it is being written down: {progress['total']} so far")
    elif one["started"]:
        total = progress["total"]
        done = total - progress["waiting"]
        share = f"{done / total:.1%}" if total else "100%"
        left = progress["seconds_left"]
        more = f", about {span(left)} to go" if left else ""
        context.out.line(f"  {bar(done, total)} {share} of {total}{more}")
        words = ("sent", "suppressed", "left", "refused", "waiting")
        context.out.line("  " + ", ".join(f"{progress[word]} {word}" for word in words))
    for word in (progress["waits"], one["decision"]):
        if word:
            context.out.line(f"  {word}")
    return os.EX_OK


def _check(arguments: argparse.Namespace, context: Context) -> int:
    found = ask(arguments, context, "POST", _path(arguments, "/check"))
    if context.out.as_json:
        context.out.json(found)
    else:
        size = "unknown" if found["size"] is None else found["size"]
        context.out.line(f"audience: {size}, of whom {found['suppressed']} get nothing")
        for one in found["findings"]:
            remedy = f" -- {one['remedy']}" if one["remedy"] else ""
            context.out.line(f"{one['level']}: {one['words']}{remedy}")
        context.out.line("it may begin" if found["fit"] else "it cannot begin")
    return os.EX_OK if found["fit"] else os.EX_DATAERR


def _test(arguments: argparse.Namespace, context: Context) -> int:
    body = {
        "to": [{"email": address} for address in arguments.to],
        "variant": arguments.variant,
        "contact": arguments.contact,
    }
    found = ask(arguments, context, "POST", _path(arguments, "/test"), body)["messages"]
    if context.out.as_json:
        context.out.json(found)
    else:
        rows = [(one["to"], one["variant"], one.get("id", ""), one.get("error", "")) for one in found]
        context.out.table(("to", "variant", "message", "error"), rows)
    return os.EX_DATAERR if any("error" in one for one in found) else os.EX_OK


def _result(arguments: argparse.Namespace, context: Context) -> int:
    found = ask(arguments, context, "GET", _path(arguments, "/result"), metric=arguments.metric)
    if context.out.as_json:
        context.out.json(found)
        return os.EX_OK
    words = ("delivered", "bounced", "opened", "clicked", "complained", "unsubscribed")
    rows = []
    for one in found["variants"]:
        cells = [f"{one['counts'][word]} ({one['rates'][word]['rate']:.1%})" for word in words]
        rows.append((one["name"], one["counts"]["recipients"], *cells, f"{one['best']:.1%}"))
    context.out.table(("variant", "sent", *words, "best"), rows)
    context.out.line(found["words"])
    if found["decision"]:
        context.out.line(f"Decided: {found['decision']}")
    return os.EX_OK


def _recipients(arguments: argparse.Namespace, context: Context) -> int:
    found = pages(arguments, context, _path(arguments, "/recipients"), "recipients", state=arguments.wanted)
    if context.out.as_json:
        context.out.json(list(found))
        return os.EX_OK
    rows = [(one["email"], one["variant"], one["state"], one["message"] or "", one["why"]) for one in found]
    context.out.table(("address", "variant", "state", "message", "why"), rows)
    return os.EX_OK
