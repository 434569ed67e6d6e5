"""Explains a whole message that came back: whom it is about, what was said of each, and what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mta.cli.context import CommandError, Context, plural
from mta.cli.explain import classifier_of, details
from mta.journal.words import printable
from mta.model.address import domain_of
from mta.model.bounce import Classification, Classifier

#: Octets that are read: behind them is the body of the message that is returned.
_LONGEST = 1024 * 1024
#: Recipients that are named of those about whom the same is to be said.
_NAMED = 20
_FORMS = {
    "rfc3464": "a notification (RFC 3464)",
    "rfc5965": "a complaint (RFC 5965)",
    "rfc8460": "a report about TLS (RFC 8460)",
    "text": "a bounce in a form of its own",
}
_ACTIONS = {
    "failed": "did not get it",
    "delayed": "has not got it yet",
    "delivered": "got it",
    "relayed": "got it passed on, as far as is known",
    "expanded": "is a list, to whose members it went",
}


def run(source: str, context: Context) -> int:
    """Read a file, or standard input with ``-``, and explain it."""
    octets = _octets(source, context)
    reading = context.seams.read_report(octets)
    if not reading.format:
        return _unread(octets, context)
    rules = classifier_of(context)
    told = [(one, _verdict(one, rules)) for one in reading.recipients]
    if context.out.as_json:
        context.out.json(_json(reading, told))
        return os.EX_OK
    lines = [f"This is {_FORMS[reading.format]}.", ""]
    if reading.complaint is not None:
        lines += _complaint(reading.complaint)
    if reading.tls is not None:
        lines += _tls(reading.tls)
    if reading.problem:
        lines += [f"It cannot be read: {reading.problem}", ""]
    lines += _recipients(told)
    lines += _original(reading.traces)
    for line in lines:
        context.out.line(printable(line))
    return os.EX_OK


def _octets(source: str, context: Context) -> bytes:
    try:
        if source != "-":
            with Path(source).open("rb") as file:
                return _whole(file.read(_LONGEST))
        stream = context.stdin
        buffer = getattr(stream, "buffer", None)
        if stream.isatty():
            print("Paste the message, then press Ctrl-D.", file=sys.stderr)
        return _whole(buffer.read(_LONGEST) if buffer is not None else stream.read(_LONGEST).encode())
    except OSError as error:
        raise CommandError(f"{source}: {error.strerror}", os.EX_NOINPUT) from None


def _whole(octets: bytes) -> bytes:
    """What was pasted, as a message: without empty lines on top, and with a header, if an empty one."""
    octets = octets.lstrip(b"\r\n\t ")
    first = octets.split(b"\n", 1)[0]
    if first.startswith((b"From ", b">From ")):
        return octets[len(first) + 1 :]
    name, colon, _ = first.partition(b":")
    is_field = bool(colon) and bool(name) and all(33 <= octet < 127 for octet in name.rstrip())
    return octets if is_field else b"\n" + octets


def _verdict(report: Any, rules: Classifier) -> Classification | None:
    if report.action not in ("failed", "delayed"):
        return None
    if not report.host:
        # Who said it stands in the words, if anywhere.
        pasted = rules.classify_pasted(report.diagnostic)
        if pasted is not None:
            return pasted
    return rules.classify(report.reply, domain_of(report.original or report.recipient))


def _recipients(told: Sequence[tuple[Any, Classification | None]]) -> list[str]:
    """Those of whom the same was said stand together."""
    groups: dict[tuple[str, str], list[tuple[Any, Classification | None]]] = {}
    for report, verdict in told:
        said = verdict.rule + verdict.name if verdict else ""
        groups.setdefault((report.action, said), []).append((report, verdict))
    lines = []
    for (action, _), group in groups.items():
        for report, _ in group[:_NAMED]:
            also = report.original if report.original.lower() != report.recipient.lower() else ""
            name = f"<{report.recipient}>" + (f" (you wrote to <{also}>)" if also else "")
            lines.append(f"{name} {_ACTIONS[action]}")
            if report.diagnostic or report.status:
                by = f"{report.host} said: " if report.host else ""
                lines.append(f"    said    {by}{report.diagnostic or report.status}")
        if len(group) > _NAMED:
            lines.append(f"and {plural(len(group) - _NAMED, 'recipient')} more")
        verdict = group[0][1]
        if verdict is not None:
            lines += _unfolded(details(verdict))
        lines.append("")
    return lines


def _unfolded(paragraphs: Sequence[str]) -> list[str]:
    return [line for paragraph in paragraphs for line in paragraph.split("\n")]


def _complaint(complaint: Any) -> list[str]:
    who = ", ".join(f"<{one}>" for one in complaint.recipients) or "A recipient whom the report does not name"
    said = {"abuse": "calls it spam", "not-spam": "says that it is no spam"}.get(
        complaint.type, f"reports it as {complaint.type}"
    )
    lines = [f"{who} {said}"]
    if complaint.reporter:
        lines.append(f"    by      {complaint.reporter}")
    if complaint.source:
        lines.append(f"    from    {complaint.source}")
    if complaint.type != "not-spam":
        remedy = "Send this recipient nothing of the kind any more: providers block who goes on."
        lines.append(f"    remedy  {remedy}")
    return [*lines, ""]


def _tls(report: Any) -> list[str]:
    span = report.date_range
    lines = [
        f"{report.organization_name or 'Somebody'} opened {report.successes + report.failures} sessions "
        f"to send mail to {', '.join(report.domains)},",
        f"from {span.start_datetime:%Y-%m-%d %H:%M} to {span.end_datetime:%Y-%m-%d %H:%M} UTC; "
        f"{report.failures} failed",
    ]
    for one in report.policies:
        for detail in one.failure_details:
            host = f" at {detail.receiving_mx_hostname}" if detail.receiving_mx_hostname else ""
            why = " ".join(filter(None, (detail.failure_reason_code, detail.additional_information)))
            lines.append(
                f"    {detail.failed_session_count:7} {detail.result_type}{host}, "
                f"by the policy {one.policy.policy_type}{f': {why}' if why else ''}"
            )
    return [*lines, ""]


def _original(traces: Any) -> list[str]:
    lines = [f"`mta trace {one}` tells of the message, if it was sent from here." for one in traces.queue_ids]
    lines += [f"`mta trace '{one}'` finds it by its Message-ID." for one in traces.message_ids[:1]]
    return lines


def _json(reading: Any, told: Sequence[tuple[Any, Classification | None]]) -> dict[str, Any]:
    return {
        "format": reading.format,
        "recipients": [
            {**asdict(report), "class": None if verdict is None else asdict(verdict)}
            for report, verdict in told
        ],
        "tls": None if reading.tls is None else reading.tls.model_dump(mode="json", by_alias=True),
        "problem": reading.problem,
        "complaint": None if reading.complaint is None else asdict(reading.complaint),
        "about": asdict(reading.traces),
    }


def _unread(octets: bytes, context: Context) -> int:
    """No bounce that anybody knows; a reply may stand in it all the same."""
    rules = classifier_of(context)
    lines = [line.strip() for line in octets.decode("utf-8", "replace").splitlines()]
    for number, line in enumerate(lines):
        # A reply often goes on in the next lines.
        text = " ".join(lines[number : number + 3])
        verdict = rules.classify_pasted(text) if _has_reply(line) else None
        if verdict is not None:
            if context.out.as_json:
                context.out.json({"format": "", "line": line, "class": asdict(verdict)})
                return os.EX_OK
            context.out.line("This is no bounce of a known form, but a reply stands in it:")
            context.out.line(f"    said    {printable(line)}")
            for told in _unfolded(details(verdict)):
                context.out.line(printable(told))
            return os.EX_OK
    raise CommandError(
        "this is neither a bounce nor a complaint, and no reply stands in it; give the whole message, "
        "with its header, as the mail program saves it or shows its source",
        os.EX_DATAERR,
    )


def _has_reply(line: str) -> bool:
    from mta.model.standards import codes_in

    codes = codes_in(line)
    return bool(codes.reply and codes.reply[0] in "45" and (codes.enhanced or line.startswith(codes.reply)))
