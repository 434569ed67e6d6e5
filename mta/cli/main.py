"""Reads the command line of ``mta`` and calls the command.

This module alone joins commands with the packages that they may not import
(:class:`~mta.cli.context.Seams`).
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from mta.cli.context import CommandError, Context, Seams
from mta.cli.output import Output
from mta.config.problem import nearest
from mta.model.supposition import Supposition

#: The commands: module, and what they do.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "write a configuration, and print the DNS records to publish"),
    "check": ("check", "find everything that is wrong with the configuration"),
    "doctor": ("doctor", "look at what others see of this server in the DNS"),
    "user": ("user", "add, list and remove accounts, and set passwords"),
    "rules": ("rules", "look at the rules of mailboxes for their mail, check and change them"),
    "dkim": ("dkim", "make the keys that sign, publish and rotate them"),
    "tenant": ("tenant", "add, list and change the tenants of the sending API, and their domains"),
    "key": ("key", "make, list, rotate and revoke keys of the sending API"),
    "domain": ("domain", "add, list and verify the domains that a tenant sends from"),
    "webhook": ("webhook", "add, list, change, test and remove webhooks, and post events again"),
    "message": ("message", "search the messages of a tenant, and cancel, hold or reschedule them"),
    "batch": ("batch", "look at the batches of a tenant"),
    "api": ("api", "ask the sending API anything, as the operator"),
    "template": ("template", "list, push and preview the templates of the sending API"),
    "sequence": ("sequence", "look at sequences of messages, who is where in them and why, and try them out"),
    "notify": ("notify", "tell contacts something, each by the channel that they have chosen"),
    "suppression": ("suppression", "look at the addresses that get nothing more, and change the list"),
    "contact": ("contact", "look at contacts, change, import, export and forget them"),
    "list": ("list", "look at lists and who is on them, and change both"),
    "campaign": ("campaign", "make campaigns, start, pause and stop them, and tell what came of them"),
    "segment": ("segment", "try out and save conditions that choose contacts"),
    "queue": ("queue", "look at the queue, and hold, release, retry or remove messages"),
    "quarantine": ("quarantine", "look at what filters have had held, and release or remove it"),
    "trace": ("trace", "tell what happened to a message, address, or client"),
    "why": ("why", "tell why an address, a client or a message was refused or marked, and the way out"),
    "alert": ("alert", "who is told of what, and try it out"),
    "ban": ("ban", "look at the networks that are not let in, and add and lift bans"),
    "account": ("account", "look at suspended accounts, and suspend and resume them"),
    "log": ("log", "show events, newest last"),
    "explain": ("explain", "explain a reply code, an enhanced code, or a pasted reply"),
    "test": ("test", "tell what would become of a message, sending nothing"),
    "send": ("send", "send a message"),
    "dns": ("dns", "print the DNS records, and the MTA-STS policies, to publish"),
    "dmarc-report": ("dmarc_report", "DMARC reports: who sends in our name, and what we tell others"),
    "tls-report": ("tls_report", "TLS reports: those that came, and those that are sent"),
    "stats": ("stats", "counts, rates and delivery times, over time and by what you like"),
    "top": ("top", "what the server does, live"),
    "tracking": ("tracking", "make the index of the sending API's messages anew out of the journal"),
    "reload": ("reload", "have the server read its configuration anew"),
    "status": ("status", "numbers about the running server"),
}


class Parser(argparse.ArgumentParser):
    """Fails with EX_USAGE, and names the nearest known word."""

    _actions_of: Any = None

    def add_subparsers(self, **options: Any) -> Any:
        """As of the base class; remembers the actions."""
        self._actions_of = super().add_subparsers(**options)
        return self._actions_of

    def take_everywhere(self) -> None:
        """Take the global options at the end, too, behind an action; its help need not repeat them."""
        hidden: dict[str, Any] = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
        for act in self._actions_of.choices.values() if self._actions_of is not None else ():
            act.add_argument("--json", action="store_true", **hidden)
            act.add_argument("--config", "-c", **hidden)
            act.add_argument("--state", **hidden)

    def _options(self) -> list[str]:
        """The long options of this parser and of all its actions."""
        parsers = [self, *(self._actions_of.choices.values() if self._actions_of is not None else ())]
        found = {name: True for parser in parsers for name in parser._option_string_actions}
        return [name for name in found if name.startswith("--")]

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        match = re.match(r"argument \S+: invalid choice: '(.*)' \(choose from (.*)\)", message)
        if match:
            known = re.findall(r"[\w-]+", match[2])
            like = nearest(match[1], known)
            hint = f"did you mean {like}?" if like else f"there are {', '.join(known)}"
            message = f"there is no {match[1]!r} here; {hint}"
        match = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        like = nearest(match[1], self._options()) if match else ""
        if match and like:
            message = f"there is no {match[1]} here; did you mean {like}?"
        raise CommandError(f"{message}\n{self.format_usage().rstrip()}", os.EX_USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :param argv: without the program's name; ``None`` for the process's.
    :return: the exit status (sysexits).
    """
    out = Output(sys.stdout, sys.stderr)
    try:
        status = _run(list(sys.argv[1:] if argv is None else argv), out)
        sys.stdout.flush()
    except CommandError as error:
        out.error(str(error))
        return error.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing may be flushed into the void at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return os.EX_OK
    except PermissionError as error:
        from mta.cli.context import forbidden

        out.error(forbidden(Path(error.filename or ".")))
        return os.EX_NOPERM
    except OSError as error:
        if not error.filename or not error.strerror:
            raise
        out.error(f"{error.filename}: {error.strerror}")
        return os.EX_IOERR
    except Exception as error:
        known = _known(error)
        if known is None:
            raise
        out.error(str(error))
        return known
    return status


def _known(error: Exception) -> int | None:
    """The exit status for what other packages raise with a text for a person."""
    from mta.config.problem import ConfigurationError
    from mta.interfaces import TemporarilyUnavailable

    if isinstance(error, ConfigurationError):
        return os.EX_CONFIG
    return os.EX_TEMPFAIL if isinstance(error, TemporarilyUnavailable) else None


def _run(argv: list[str], out: Output) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    if options.version:
        from mta import __version__

        out.line(f"mta {__version__}")
        return os.EX_OK
    name = options.command
    if name in (None, "help"):
        if options.rest:
            _known_command(options.rest[0])
            return _run([options.rest[0], "--help"], out)
        parser.print_help(out.stream)
        return os.EX_OK if name else os.EX_USAGE
    _known_command(name)
    module = import_module(f"mta.cli.{COMMANDS[name][0]}")
    own = Parser(
        prog=f"mta {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_global_options(suppress=True)],
        allow_abbrev=False,
    )
    module.add_arguments(own)
    own.take_everywhere()
    try:
        arguments = own.parse_args(options.rest, options)
    except SystemExit as done:  # --help
        return int(done.code or 0)
    out.as_json = arguments.json
    config = Path(arguments.config) if arguments.config else None
    context = Context(config, arguments.state or "", out, seams())
    return int(module.run(arguments, context) or os.EX_OK)


def _known_command(name: str) -> None:
    if name not in COMMANDS:
        like = nearest(name, COMMANDS)
        hint = f"; did you mean `mta {like}`?" if like else f"; there are {', '.join(COMMANDS)}"
        raise CommandError(f"there is no command {name!r}{hint}", os.EX_USAGE)


def _parser() -> Parser:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {help}" for name, (_, help) in COMMANDS.items())
    parser = Parser(
        prog="mta",
        usage="mta [--config FILE] [--state DIR] [--json] COMMAND ...",
        description="Operates the mail server.",
        epilog=f"commands:\n{commands}\n\n`mta COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_global_options()],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _global_options(suppress: bool = False) -> argparse.ArgumentParser:
    """Options that may stand before the command and after it."""
    default: Any = argparse.SUPPRESS if suppress else None
    parser = argparse.ArgumentParser(add_help=False, argument_default=default)
    group = parser.add_argument_group("everywhere")
    group.add_argument(
        "--config",
        "-c",
        metavar="FILE",
        default=argparse.SUPPRESS if suppress else os.environ.get("MTA_CONFIG"),
        help="the configuration (default: $MTA_CONFIG, mta.toml here, or /etc/mta/mta.toml)",
    )
    group.add_argument("--state", metavar="DIR", help="the state directory, instead of the configuration's")
    group.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS if suppress else False,
        help="print JSON, for a program",
    )
    return parser


# --- seams -------------------------------------------------------------------


def seams() -> Seams:
    """The other packages, each imported when it is called."""
    return Seams(
        queue_reader=_queue_reader,
        check=_check,
        examine=_examine,
        diagnose=_diagnose,
        read_report=_read_report,
        add_user=_add_user,
        set_password=_set_password,
        remove_user=_remove_user,
        users=_users,
        new_password=_new_password,
        tls_ledger=_tls_ledger,
        indexes=_indexes,
        dmarc_ledger=_dmarc_ledger,
        key_store=_key_store,
        new_keys=_new_keys,
        import_key=_import_key,
        text_records=_text_records,
        entries=_entries,
        administer=_administer,
        read_sequence=_read_sequence,
        sequence_events=_sequence_events,
        read_api=_read_api,
        rules=_rules,
    )


def _queue_reader(directory: Path) -> Any:
    from mta.queue.reader import QueueReader

    return QueueReader(directory)


def _check(path: Path | None, state: str | None = None) -> list[Any]:
    from mta.examination import check

    return check(path, state)


def _examine(loaded: Any, supposed: Supposition) -> dict[str, Any]:
    from mta.examination import examine

    answer: dict[str, Any] = _finished(lambda: examine(loaded, supposed))
    return answer


def _diagnose(loaded: Any) -> list[dict[str, str]]:
    from mta.examination import diagnose

    found: list[dict[str, str]] = _finished(lambda: diagnose(loaded))
    return found


def _rules(loaded: Any, act: str, address: str, text: str | None, by: str = "") -> str | None:
    from mta.queue.notes import noting
    from mta.ruling import at_desk, check

    if act == "check":
        check(loaded, text or "", address)
        return None

    def done(events: list[Any]) -> str | None:
        found: str | None = _finished(lambda: at_desk(loaded, act, address, text, by, events.append))
        return found

    if act == "get":
        return done([])
    # What is done without a server stands in the journal, too.
    with noting(loaded.state / "spool" / "0") as events:
        return done(events)


def _text_records(loaded: Any, names: list[str]) -> dict[str, Any]:
    from mta.examination import text_records

    answer: dict[str, Any] = _finished(lambda: text_records(loaded, names))
    return answer


def _finished(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """What a coroutine answers, in a reactor that runs until then."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    loop: Any = reactor
    results: list[Any] = []

    def begin() -> None:
        done = Deferred.fromCoroutine(work())
        done.addBoth(results.append).addBoth(lambda result: loop.stop())

    loop.callWhenRunning(begin)
    loop.run()
    if not results:
        raise KeyboardInterrupt
    result = results[0]
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


def _read_report(octets: bytes) -> Any:
    from mta.feedback.reading import read

    return read(octets)


def _add_user(path: Path, name: str, password: str) -> None:
    from mta.identity.passwd import add_user

    add_user(path, name, password)


def _set_password(path: Path, name: str, password: str) -> None:
    from mta.identity.passwd import set_password

    set_password(path, name, password)


def _remove_user(path: Path, name: str) -> None:
    from mta.identity.passwd import remove_user

    remove_user(path, name)


def _users(text: str) -> list[str]:
    from mta.identity.passwd import names

    return names(text)


def _entries(state: Path, kind: str) -> list[tuple[str, Any, float]]:
    from mta.ledger.book import read_entries
    from mta.ledger.shared import DATABASE

    try:
        return read_entries(state / DATABASE, kind, time.time())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        raise
    except OSError as error:
        raise CommandError(f"{error}; a running server puts a damaged one aside", os.EX_IOERR) from None


def _tls_ledger(state: Path) -> Any:
    from mta.tls_report.ledger import TlsLedger

    return TlsLedger(state / "tls-reports.db")


def _indexes(state: Path, keep: float) -> list[Any]:
    from mta.tracking.index import JOURNAL, Index

    journals = sorted((state / "spool").glob(f"*/{JOURNAL}"))
    return [Index(path.parent, keep) for path in journals if path.parent.name.isdigit()]


def _dmarc_ledger(state: Path) -> Any:
    from mta.dmarc_report.ledger import DmarcLedger

    return DmarcLedger(state / "dmarc-reports.db")


def _key_store(state: Path) -> Any:
    from mta.dkim.key_store import KeyStore

    return KeyStore(state)


def _new_keys(*what: Any) -> list[Any]:
    from mta.dkim.key_store import new_selectors

    made: list[Any] = new_selectors(*what)
    return made


def _import_key(path: Path) -> Any:
    from mta.dkim.key_store import import_key

    return import_key(path)


async def _forget(state: Path, tenant: str) -> None:
    """Forget contacts, sequences and campaigns of a tenant that is gone, without a server."""
    from mta.audience.audience import direct
    from mta.campaign import campaigns
    from mta.campaign.schema import TABLES as CAMPAIGNS
    from mta.sequence.stores import TABLES, Sequences

    audience, close = direct(state, (*TABLES, CAMPAIGNS))
    Sequences(audience)
    audience.emptying.append(campaigns.empty)
    try:
        await audience.forget(tenant)
    finally:
        close()


def _administer(state: Path, domains: Sequence[str], action: str, request: dict[str, Any]) -> dict[str, Any]:
    import time

    from mta.queue.notes import noting
    from mta.registry.administration import Administration
    from mta.registry.database import finished
    from mta.registry.registry import Registry, direct

    def done(events: list[Any]) -> dict[str, Any]:
        database = direct(state)
        try:
            registry = Registry(database, domains)
            administration = Administration(registry, time.time, events.append, partial(_forget, state))
            answer: dict[str, Any] = finished(administration.act(action, request))
        finally:
            database.close()
        return answer

    if action.endswith(("-list", "-export")):
        return done([])
    # What is done without a server stands in the journal, too.
    with noting(state / "spool" / "0") as events:
        return done(events)


def _read_api(loaded: Any, tenant: str, place: str) -> Any:
    from mta.api.problem import ApiProblem
    from mta.cli.control import problem_status
    from mta.registry.domains import configured_domains
    from mta.stopped import answered

    try:
        return answered(loaded, configured_domains(loaded.settings), tenant, place)
    except ApiProblem as problem:
        detail = f": {problem.detail}" if problem.detail != problem.title else ""
        raise CommandError(f"{problem.title}{detail}", problem_status(problem.status)) from None


def _read_sequence(text: str, file: str) -> dict[str, Any]:
    from mta.sequence.drawing import drawn
    from mta.sequence.person import check_foreign
    from mta.sequence.reading import read

    definition = read(text, file, check_foreign)
    return {"definition": definition.to_json(), "drawing": drawn(definition)}


def _sequence_events(state: Path, tenant: str, address: str) -> dict[int, list[dict[str, Any]]]:
    from mta.journal.reader import JournalReader
    from mta.journal.text import event_line
    from mta.model.event_sequence import SequenceStepped

    found: dict[int, list[dict[str, Any]]] = {}
    reader = JournalReader(sorted((state / "spool").glob("*/queue.db")))
    records = sorted(reader.find(address.lower(), limit=2000), key=lambda one: one.order)
    for event in (record.event for record in records):
        if isinstance(event, SequenceStepped) and event.tenant == tenant:
            line = event_line(event).removeprefix(f"{event.message}: ")
            found.setdefault(event.enrolment, []).append(
                {"at": event.at, "message": event.message, "line": line}
            )
    return found


def _new_password() -> str:
    from mta.first_run import new_password

    return new_password()


if __name__ == "__main__":
    sys.exit(main())
