"""Adds, lists and removes accounts, and sets passwords, in the users file.

The file is the first [[identity]] of the kind "file". A running server sees the
change by itself. Accounts in LDAP are changed there.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mta.cli.context import CommandError, Context, forbidden
from mta.cli.password import choose_password
from mta.config.problem import nearest
from mta.model.address import AddressError, parse_address


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta user add ADDRESS`` and so on."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, help in (("add", "make an account"), ("password", "give an account another password")):
        act = actions.add_parser(name, help=help)
        act.add_argument("address", metavar="ADDRESS")
        act.add_argument("--password-stdin", action="store_true", help="read it from standard input")
        act.add_argument("--generate", action="store_true", help="make one, and show it once")
    actions.add_parser("remove", help="remove an account; its mail stays").add_argument(
        "address", metavar="ADDRESS"
    )
    actions.add_parser("list", help="show the accounts")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    path = _users_file(context)
    try:
        if arguments.action == "list":
            return _list(path, context)
        name = _address(arguments.address)
        if arguments.action == "remove":
            context.seams.remove_user(path, name)
            _done(context, name, path, "removed")
            return os.EX_OK
        return _set(arguments, name, path, context)
    except PermissionError as error:
        raise CommandError(forbidden(Path(error.filename or path)), os.EX_NOPERM) from None
    except OSError as error:
        raise CommandError(f"{error.filename or path}: {error.strerror}", os.EX_IOERR) from None
    except ValueError as error:
        raise CommandError(_hinted(str(error), arguments, path, context), os.EX_DATAERR) from None


def _set(arguments: argparse.Namespace, name: str, path: Path, context: Context) -> int:
    known = {item.lower() for item in _names(path, context)}
    # Before a person types a password twice.
    if arguments.action == "add" and name.lower() in known:
        raise ValueError(f"{name} exists already; `mta user password {name}` gives it another password")
    if arguments.action == "password" and name.lower() not in known:
        raise ValueError(f"there is no account {name}")
    domain = parse_address(name).domain
    served = context.load().settings.domains
    if arguments.action == "add" and domain not in served:
        known_domains = ", ".join(served) or "none"
        context.out.warn(
            f"mail for {domain} is not served here (served: {known_domains}): the account can log in, but "
            f'gets no mail until there is a [domains."{domain}"]'
        )
    elif arguments.action == "add" and served[domain].alias_of:
        context.out.warn(
            f"{domain} stands for {served[domain].alias_of}: the account can log in, but its mail goes to "
            f"the address there"
        )
    password, made = choose_password(
        arguments.password_stdin, arguments.generate, context.seams.new_password, context.stdin
    )
    fresh = not path.exists()
    if arguments.action == "add":
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        context.seams.add_user(path, name, password)
        if fresh:
            give_away(path, context.state)
    else:
        context.seams.set_password(path, name, password)
    shown = password if made else ""
    _done(context, name, path, "added" if arguments.action == "add" else "has a new password", shown)
    return os.EX_OK


def give_away(path: Path, state: Path) -> None:
    """Let root's new file belong to the user that the server runs as: the owner of the state directory."""
    if os.geteuid() == 0 and state.exists():
        owner = state.stat()
        for item in (path, path.with_name(f"{path.name}.lock")):
            if item.exists():
                os.chown(item, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _done(context: Context, name: str, path: Path, what: str, password: str = "") -> None:
    if context.out.as_json:
        answer = {"address": name, "file": str(path), "done": what}
        context.out.json({**answer, "password": password} if password else answer)
        return
    context.out.line(f"{name} {what} ({path})")
    if password:
        context.out.line(f"password: {password}   (shown only now)")


def _list(path: Path, context: Context) -> int:
    names = _names(path, context)
    if context.out.as_json:
        context.out.json(names)
        return os.EX_OK
    for name in names:
        context.out.line(name)
    if not names:
        context.out.error(f"there are no accounts in {path} yet; `mta user add ADDRESS` makes one")
    return os.EX_OK


def _names(path: Path, context: Context) -> list[str]:
    try:
        return context.seams.users(path.read_text("utf-8"))
    except FileNotFoundError:
        return []


def _users_file(context: Context) -> Path:
    loaded = context.load()
    for identity in loaded.settings.identity:
        if identity.kind == "file":
            path = identity.own().get("path")
            return loaded.resolve(str(path or "users"))
    kinds = ", ".join(item.kind for item in loaded.settings.identity) or "none"
    raise CommandError(
        f'there is no [[identity]] of kind "file" in the configuration (but {kinds}); accounts of other '
        "kinds are changed where they are kept",
        os.EX_CONFIG,
    )


def _address(text: str) -> str:
    try:
        return str(parse_address(text))
    except AddressError as error:
        raise CommandError(f"{error}", os.EX_USAGE) from None


def _hinted(error: str, arguments: argparse.Namespace, path: Path, context: Context) -> str:
    if error.startswith("there is no account"):
        like = nearest(arguments.address, _names(path, context))
        error += f"; did you mean {like}?" if like else "; `mta user list` shows them"
    return error
