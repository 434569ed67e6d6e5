"""What a code, one of our replies, a class of replies, a pasted line of a log, or a bounce means."""

from __future__ import annotations

import argparse
import os
import re
import textwrap
from dataclasses import asdict

from mta.cli.context import CommandError, Context
from mta.config.problem import nearest
from mta.model.bounce import Classification, Classifier
from mta.model.bounce_classes import BY_NAME, BounceClass
from mta.model.bounce_data import classifier, default_classifier
from mta.model.catalogue import REPLIES
from mta.model.reply_entry import Entry
from mta.model.standard import Standard
from mta.model.standards import Codes, codes_in, reply_code, status_code

_SCOPES = {
    "recipient": "this recipient",
    "message": "this message",
    "sender": "all mail of this sender",
    "site": "all mail from here to the same hosts",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta explain 550``, ``mta explain 550 5.7.26 some text``."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="CODE",
        help="such as 550, 5.7.26, relay-denied, greylisted, or a whole reply; "
        "- for a whole bounce on standard input; without one, list our own",
    )
    parser.add_argument("--file", "-f", default="", metavar="FILE", help="a bounce or complaint in a file")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Explain."""
    out = context.out
    text = " ".join(arguments.words).strip()
    source = arguments.file or ("-" if text == "-" else "")
    if source:
        if arguments.file and text:
            raise CommandError("give a code or a file, not both", os.EX_USAGE)
        from mta.cli.explain_report import run as run_report

        return run_report(source, context)
    if not text:
        if out.as_json:
            out.json([_entry_json(entry) for entry in REPLIES])
        else:
            rows = [(entry.code, entry.enhanced, entry.name, entry.text) for entry in REPLIES]
            out.table(("code", "enhanced", "name", "text"), rows)
        return os.EX_OK
    if text.lower() in BY_NAME and not REPLIES.find(text.lower()):
        of = BY_NAME[text.lower()]
        if out.as_json:
            out.json(asdict(of))
        else:
            out.line(class_explanation(of))
        return os.EX_OK
    entries, standards = explain(text)
    pasted = bool(codes_in(text)) and re.search(r"[^\W\d_]{2}", text) is not None
    verdict = classifier_of(context).classify_pasted(text) if pasted else None
    if out.as_json:
        out.json(
            {
                "ours": [_entry_json(entry) for entry in entries],
                "standards": [_standard_json(standard) for standard in standards],
                "class": None if verdict is None else asdict(verdict),
            }
        )
    else:
        parts = [] if verdict is None else [verdict_explanation(verdict)]
        out.line("\n\n".join([*parts, explanation(entries, standards)]))
    return os.EX_OK


def classifier_of(context: Context) -> Classifier:
    """With the operator's rules, if there is a configuration that can be read."""
    try:
        bounce = context.load().settings.bounce
    except CommandError:
        return default_classifier()
    return classifier(one.rule() for one in bounce)


def verdict_explanation(verdict: Classification) -> str:
    """What a pasted reply means, where another server gave it."""
    title = f"From another server it means: {verdict.name}, {verdict.title}"
    meaning, sender, admin, scope, by = details(verdict)[1:]
    then = _wrapped("then", f"{verdict.consequence}.".capitalize())
    return "\n".join([title + _provider(verdict), meaning, sender, admin, then, scope, by])


def details(verdict: Classification) -> list[str]:
    """Its class, what it means and what to do, by whoever is asked."""
    return [
        f"    class   {verdict.name}, {verdict.title}{_provider(verdict)}",
        _wrapped("meaning", verdict.cause),
        _wrapped("sender", verdict.remedy),
        _wrapped("admin", verdict.operator),
        _wrapped("scope", _SCOPES[verdict.scope]),
        _wrapped("by", verdict.rule or "nothing fits"),
    ]


def _provider(verdict: Classification) -> str:
    return f"   [{verdict.provider}]" if verdict.provider else ""


def class_explanation(of: BounceClass) -> str:
    """What a class of replies means."""
    return "\n".join(
        [
            f"Replies of this class mean: {of.name}, {of.title}",
            _wrapped("meaning", of.cause),
            _wrapped("sender", of.remedy),
            _wrapped("admin", of.operator),
            _wrapped("scope", _SCOPES[of.scope]),
        ]
    )


def explain(text: str) -> tuple[list[Entry], list[Standard]]:
    """Our own entries, and what the standards say.

    :param text: a code, a name of the catalogue, or a text with a code in it.
    :raise CommandError: if there is no code in it.
    """
    named = REPLIES.find(text.lower()) if not text[:1].isdigit() else []
    if named:
        codes = Codes(str(named[0].code), named[0].enhanced)
        return named, _standards(codes)
    if text[:2].lower() == "x.":
        standard = status_code(text)
        if standard is not None:
            return [], [standard]
    codes = codes_in(text)
    if not codes and text.isdigit() and reply_code(text):
        codes = Codes(text)
    if not codes:
        like = nearest(text, (*(entry.name for entry in REPLIES), *BY_NAME))
        hint = f"; did you mean {like!r}?" if like else ""
        raise CommandError(
            f"{text!r} has no code in it{hint}; give a reply code (550), an enhanced code (5.7.1), the name "
            "of one of our replies (`mta explain` lists them) or of a class of replies, or a whole reply",
            os.EX_USAGE,
        )
    return _ours(codes, text), _standards(codes)


def _ours(codes: Codes, text: str) -> list[Entry]:
    """Our entries with these codes; those whose words stand in the text, if there are such."""
    found = [
        entry
        for entry in REPLIES
        if (not codes.reply or str(entry.code) == codes.reply)
        and (not codes.enhanced or entry.enhanced == codes.enhanced)
    ]
    spoken = [entry for entry in found if _is_said(entry.text, text)]
    return spoken or found


def _is_said(template: str, text: str) -> bool:
    """Whether the fixed words of a template stand in a text, in their order."""
    fixed = [part.strip() for part in re.split(r"\{\w+\}", template)]
    fixed = [part for part in fixed if len(part) > 3]
    return bool(fixed) and re.search(".*".join(map(re.escape, fixed)), text) is not None


def _standards(codes: Codes) -> list[Standard]:
    found = [status_code(codes.enhanced) if codes.enhanced else None]
    found.append(reply_code(codes.reply) if codes.reply else None)
    return [standard for standard in found if standard is not None]


def explanation(entries: list[Entry], standards: list[Standard]) -> str:
    """All of it for a person."""
    parts = []
    if entries:
        parts.append("This server says:" if len(entries) > 1 else "This server says it so:")
    for entry in entries:
        mark = " ".join(filter(None, (str(entry.code), entry.enhanced)))
        lines = [f"  {mark} {entry.text}   [{entry.name}]"]
        lines += [_wrapped("cause", entry.cause), _wrapped("remedy", entry.remedy)]
        parts.append("\n".join(lines))
    if standards:
        parts.append("From any server it means:")
    for standard in standards:
        source = f"   [{standard.source}]" if standard.source else ""
        lines = [f"  {standard.code} {standard.title}{source}", _wrapped("meaning", standard.meaning)]
        lines += [_wrapped("cause", standard.cause), _wrapped("remedy", standard.remedy)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _wrapped(name: str, text: str) -> str:
    return textwrap.fill(text, 100, initial_indent=f"    {name:8}", subsequent_indent=" " * 12)


def _entry_json(entry: Entry) -> dict[str, object]:
    return {
        "name": entry.name,
        "code": entry.code,
        "enhanced": entry.enhanced,
        "text": entry.text,
        "cause": entry.cause,
        "remedy": entry.remedy,
    }


def _standard_json(standard: Standard) -> dict[str, object]:
    return {
        "code": standard.code,
        "title": standard.title,
        "meaning": standard.meaning,
        "cause": standard.cause,
        "remedy": standard.remedy,
        "source": standard.source,
    }
