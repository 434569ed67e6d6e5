"""Writes a configuration for a domain, and prints the DNS records to publish.

On a terminal it asks for what is not given; with --non-interactive, or without
a terminal, it takes the flags and reasonable defaults.
"""

from __future__ import annotations

import argparse
import os
import pwd
import re
import shutil
import socket
import sys
import time
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from mta.cli.context import CommandError, Context
from mta.cli.password import choose_password
from mta.cli.starter import (
    DMARC_REPORTS,
    TLS_REPORTS,
    DnsRecord,
    Plan,
    aliases_text,
    configuration_text,
    records,
    report_record,
    sts_policy,
    sts_records,
)
from mta.cli.zone_file import quoted_text
from mta.model.address import AddressError, parse_address

_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z"
)
#: The user that the systemd unit runs the server as.
_USER = "mta"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta init --hostname mx.example.org --domain example.org``."""
    parser.add_argument("--hostname", default="", metavar="NAME", help="this server's name")
    parser.add_argument("--domain", action="append", default=[], metavar="DOMAIN", help="a domain to serve")
    parser.add_argument("--directory", default="", metavar="DIR", help="where to write (default: here)")
    parser.add_argument("--user", default="", metavar="ADDRESS", help="make a first account")
    parser.add_argument("--password-stdin", action="store_true", help="read its password from standard input")
    parser.add_argument("--certificate", default="", metavar="FILE", help="certificate and chain, PEM")
    parser.add_argument("--key", default="", metavar="FILE", help="its key, PEM")
    parser.add_argument("--unprivileged", action="store_true", help="ports 2525, 2587, 2465, 2993 and 2995")
    parser.add_argument("--non-interactive", action="store_true", help="do not ask")
    parser.add_argument("--force", action="store_true", help="write a new mta.toml over an old one")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Write the files."""
    directory = Path(arguments.directory or ".").absolute()
    file = directory / "mta.toml"
    if file.exists() and not arguments.force:
        raise CommandError(
            f"{file} exists already; nothing was written. --force replaces it (the old one is kept as "
            "mta.toml.old; users and aliases stay)",
            os.EX_CANTCREAT,
        )
    plan = _plan(arguments, context, directory)
    text = configuration_text(plan)
    _verify(text, file)
    password, made = "", False
    if plan.user and not _has_user(directory / "users", plan.user, context):
        password, made = choose_password(
            arguments.password_stdin,
            arguments.non_interactive or context.out.as_json,
            context.seams.new_password,
            context.stdin,
        )
    written = _write(plan, text, directory, password, context)
    keys = _keys(plan, directory, context)
    _report(plan, written, keys, file, password if made else "", context)
    return os.EX_OK


def _plan(arguments: argparse.Namespace, context: Context, directory: Path) -> Plan:
    asking = context.stdin.isatty() and not arguments.non_interactive and not context.out.as_json
    own = socket.getfqdn().lower()
    hostname = arguments.hostname or (_ask("This server's name", own, context) if asking else own)
    if not asking and not arguments.hostname and "." not in own:
        raise CommandError(
            f"say --hostname, such as mx.example.org: this machine only knows itself as {own!r}", os.EX_USAGE
        )
    hostname = _name(hostname, "--hostname")
    domains = list(arguments.domain)
    if not domains:
        parent = hostname.partition(".")[2]
        guess = parent if "." in parent else hostname
        domains = _ask("Domains to serve", guess, context).replace(",", " ").split() if asking else [guess]
    domains = [_name(domain, "--domain") for domain in domains]
    state = context.state_option
    if not state:
        usual = "/var/lib/mta" if directory == Path("/etc/mta") else "var"
        state = _ask("State directory", usual, context) if asking else usual
    user = arguments.user
    if not user and asking:
        user = _ask("First account (an address; empty for none)", f"postmaster@{domains[0]}", context, True)
    if bool(arguments.certificate) != bool(arguments.key):
        raise CommandError("--certificate and --key belong together", os.EX_USAGE)
    for name in filter(None, (arguments.certificate, arguments.key)):
        if not Path(name).exists():
            raise CommandError(f"{name}: there is no such file", os.EX_NOINPUT)
    return Plan(
        hostname=hostname,
        domains=tuple(dict.fromkeys(domains)),
        state=state,
        user=_user(user, domains) if user else "",
        certificate=str(Path(arguments.certificate).absolute()) if arguments.certificate else "",
        key=str(Path(arguments.key).absolute()) if arguments.key else "",
        unprivileged=arguments.unprivileged,
    )


def _ask(question: str, default: str, context: Context, optional: bool = False) -> str:
    print(f"{question} [{default}]: ", end="", file=context.out.errors, flush=True)
    answer = context.stdin.readline()
    if not answer:
        raise CommandError("nothing was written", os.EX_OK)
    answer = answer.strip()
    if optional and answer in ("-", "none", "no"):
        return ""
    return answer or default


def _name(text: str, option: str) -> str:
    name = text.strip().lower().rstrip(".")
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            name = ""
    if not _NAME.match(name) or name.replace(".", "").isdigit():
        raise CommandError(f'{option}: {text!r} is no domain name, such as "mx.example.org"', os.EX_USAGE)
    return name


def _user(text: str, domains: list[str]) -> str:
    try:
        address = parse_address(text if "@" in text else f"{text}@{domains[0]}")
    except AddressError as error:
        raise CommandError(f"--user: {error}", os.EX_USAGE) from None
    if address.domain not in domains:
        raise CommandError(
            f"--user: {address} is not in a domain that is served ({', '.join(domains)})", os.EX_USAGE
        )
    return str(address)


def _verify(text: str, file: Path) -> None:
    """What we write, we can read."""
    from mta.config.loading import parse
    from mta.config.problem import ConfigurationError

    try:
        parse(text, file)
    except ConfigurationError as error:
        raise CommandError(f"these answers give no valid configuration:\n{error}", os.EX_DATAERR) from None


def _has_user(users: Path, name: str, context: Context) -> bool:
    return users.exists() and name.lower() in map(str.lower, context.seams.users(users.read_text("utf-8")))


def _write(plan: Plan, text: str, directory: Path, password: str, context: Context) -> list[Path]:
    file = directory / "mta.toml"
    users, aliases = directory / "users", directory / "aliases"
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        if file.exists():
            file.replace(file.with_name("mta.toml.old"))
        written = [_new(file, text, 0o640)]
        if not users.exists():
            written.append(_new(users, "# ADDRESS:HASH; `mta user add ADDRESS` writes here\n", 0o600))
        if not aliases.exists():
            written.append(_new(aliases, aliases_text(plan), 0o644))
        if password:
            context.seams.add_user(users, plan.user, password)
    except OSError as error:
        raise CommandError(f"{error.filename or directory}: {error.strerror}", os.EX_CANTCREAT) from None
    if os.geteuid() == 0:
        with suppress(LookupError, OSError):
            shutil.chown(file, group=_USER)
            for path in (users, users.with_name("users.lock")):
                if path.exists():
                    shutil.chown(path, _USER, _USER)
    return written


def _keys(plan: Plan, directory: Path, context: Context) -> list[Any]:
    """The keys that are to sign the mail of each domain (DKIM); they wait for their records."""
    state = directory / plan.state
    day = time.strftime("%Y%m%d")
    try:
        state.mkdir(mode=0o711, parents=True, exist_ok=True)
        store = context.seams.key_store(state)
        for domain in plan.domains:
            known = store.stored()
            if not any(key.domain == domain for key in known):
                keys = context.seams.new_keys(domain, known, day, ("rsa", "ed25519"), 2048)
                store.add(domain, keys, "", time.time())
        found = [key for key in store.stored() if key.domain in plan.domains and key.state != "retired"]
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        context.out.warn(f"no keys for DKIM were made in {state}: {why}; `mta dkim new DOMAIN` makes them")
        return []
    if os.geteuid() == 0:
        with suppress(LookupError, OSError):
            for path in (state, *state.glob("dkim"), *state.glob("dkim/*")):
                shutil.chown(path, _USER, _USER)
    return found


def _new(path: Path, text: str, mode: int) -> Path:
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path


def _published(plan: Plan, keys: list[Any]) -> list[DnsRecord]:
    """Everything that is to be published."""
    found = records(plan, _public_addresses(), [f"{DMARC_REPORTS}@{name}" for name in plan.domains])
    for key in keys:
        value = quoted_text(key.record)
        found.append(DnsRecord(f"{key.name}.", "TXT", value, "DKIM: others verify signatures with it"))
    policy = sts_policy([plan.hostname], "testing", 7 * 86400)
    for domain in plan.domains:
        found.append(report_record(domain, [f"{TLS_REPORTS}@{domain}"]))
        found += sts_records(domain, policy)
    return found


def _report(
    plan: Plan, written: list[Path], keys: list[Any], file: Path, password: str, context: Context
) -> None:
    out = context.out
    published = _published(plan, keys)
    program = _called()
    config = "" if file.parent == Path.cwd() or str(file) == "/etc/mta/mta.toml" else f" --config {file}"
    commands = [
        *_service_user(plan, file),
        *([] if plan.user else [f"{program}{config} user add postmaster@{plan.domains[0]}"]),
        f"{program}{config} check",
        f"{program.removesuffix('mta')}twistd --nodaemon --pidfile={_dropping(plan)} mta{config}",
        f"{program}{config} test postmaster@{plan.domains[0]}",
        f"{program}{config} doctor",
        # They sign when others can verify it.
        *(
            f"{program}{config} dkim {'rotate' if keys else 'new'} {domain}"
            for domain in plan.domains
            if not any(key.domain == domain and key.state == "active" for key in keys)
        ),
    ]
    if out.as_json:
        answer = {
            "files": [str(path) for path in written],
            "records": [
                {"name": item.name, "type": item.type, "value": item.value, "why": item.why}
                for item in published
            ],
            "next": commands,
        }
        out.json({**answer, "user": plan.user, "password": password} if password else answer)
        return
    for path in written:
        out.line(f"written: {path}")
    if password:
        out.line(f"\naccount {plan.user}, password {password}   (shown only now)")
    out.line("\nPublish in the DNS:\n")
    out.table(("name", "type", "value", "why"), [(r.name, r.type, r.value, r.why) for r in published])
    out.line("\nThe name of this server's address (PTR) is set by whoever gave you the address.")
    out.line("MTA-STS needs a web server, too: `mta dns` prints the policy that it serves.")
    out.line("\nThen:\n")
    for command in commands:
        out.line(f"    {command}")


def _dropping(plan: Plan) -> str:
    """What has twistd give up root once it has the low ports."""
    return f" --uid {_USER} --gid {_USER}" if os.geteuid() == 0 and not plan.unprivileged else ""


def _service_user(plan: Plan, file: Path) -> list[str]:
    """A line that makes the server's user, where it is needed and missing."""
    if not _dropping(plan):
        return []
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        made = f"useradd --system --user-group --home-dir /var/lib/mta --shell /usr/sbin/nologin {_USER}"
        state = file.parent / plan.state
        owned = f"chown {_USER}:{_USER} {file.with_name('users')} && chgrp {_USER} {file}"
        return [f"{made} && {owned} && chown -R {_USER}:{_USER} {state}"]
    return []


def _called() -> str:
    """How this program was called, for a line to paste."""
    name = sys.argv[0] if sys.argv else ""
    return name if name.endswith("/mta") and not shutil.which("mta") else "mta"


def _public_addresses() -> list[str]:
    """This machine's addresses towards the internet, if they are public; nothing is sent."""
    found = []
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))
                address = probe.getsockname()[0]
        except OSError:
            continue
        if ip_address(address.partition("%")[0]).is_global:
            found.append(address)
    return found
