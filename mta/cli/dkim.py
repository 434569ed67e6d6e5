"""Makes the keys that sign (DKIM), shows their records, and has new ones take over.

    mta dkim new example.org         makes keys, which wait
    mta dkim publish example.org     prints the records to publish, and which are in the DNS
    mta dkim rotate example.org      has those that wait sign from now on

The same three, later on, are a rotation: keys that signed before stay known, as retired, until
their records may go.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

from mta.cli.context import CommandError, Context, forbidden
from mta.cli.zone_file import quoted_text
from mta.journal.words import duration, local_time

#: Seconds, beyond those for which delivery is tried, for which a retired record stays.
_MARGIN = 2 * 86400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta dkim new|publish|rotate|list|remove``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = actions.add_parser("new", help="make keys, which wait for their records")
    new.add_argument("domain")
    new.add_argument("--tenant", default="", help="whose mail alone they sign")
    new.add_argument("--selector", default="", help="its name, for one key (default: made of the day)")
    new.add_argument("--algorithm", choices=("both", "rsa", "ed25519"), default="both")
    new.add_argument("--bits", type=int, choices=(2048, 3072, 4096), default=2048, help="of an RSA key")
    new.add_argument("--import", dest="file", default="", metavar="FILE", help="take a key in PEM")
    publish = actions.add_parser("publish", help="print the records to publish, and ask the DNS for them")
    publish.add_argument("domain", nargs="?", default="")
    publish.add_argument("--offline", action="store_true", help="do not ask the DNS")
    rotate = actions.add_parser("rotate", help="have the keys that wait sign from now on")
    rotate.add_argument("domain")
    rotate.add_argument("--tenant", default="")
    rotate.add_argument("--force", action="store_true", help="though their records are not in the DNS")
    actions.add_parser("list", help="show all keys")
    remove = actions.add_parser("remove", help="forget a key that does not sign")
    remove.add_argument("domain")
    remove.add_argument("selector")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do it.

    :raise CommandError: with what is wrong.
    """
    act = {"new": _new, "publish": _publish, "rotate": _rotate, "list": _list, "remove": _remove}
    store = context.seams.key_store(context.state)
    try:
        return act[arguments.action](arguments, context, store)
    except PermissionError:
        raise CommandError(forbidden(store.directory), os.EX_NOPERM) from None
    except ValueError as error:
        raise CommandError(str(error), os.EX_DATAERR) from None


def _domain(text: str) -> str:
    name = text.strip().lower().rstrip(".")
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            raise CommandError(f"{text!r} is no domain", os.EX_USAGE) from None
    return name


def _new(arguments: argparse.Namespace, context: Context, store: Any) -> int:
    domain = _domain(arguments.domain)
    if not context.state.is_dir():
        raise CommandError(
            f"{context.state}: there is no such directory; start the server once, which makes it",
            os.EX_NOINPUT,
        )
    kinds = ("rsa", "ed25519") if arguments.algorithm == "both" else (arguments.algorithm,)
    day = time.strftime("%Y%m%d")
    if arguments.file:
        keys = [(arguments.selector or f"k{day}", context.seams.import_key(Path(arguments.file)))]
    else:
        keys = context.seams.new_keys(domain, store.stored(), day, kinds, arguments.bits)
        if arguments.selector and len(keys) > 1:
            raise CommandError("--selector names one key; say --algorithm rsa or ed25519", os.EX_USAGE)
        if arguments.selector:
            keys = [(arguments.selector.lower(), keys[0][1])]
    made = store.add(domain, keys, arguments.tenant, time.time())
    if context.out.as_json:
        context.out.json([_json(key) for key in made])
        return os.EX_OK
    _print_records(made, context)
    tenant = f" --tenant {arguments.tenant}" if arguments.tenant else ""
    context.out.line(
        "\nThey wait. Publish these records; `mta dkim publish` tells when they are there. Then:\n"
    )
    context.out.line(f"    mta dkim rotate {domain}{tenant}")
    return os.EX_OK


def _publish(arguments: argparse.Namespace, context: Context, store: Any) -> int:
    domain = _domain(arguments.domain)
    keys = [key for key in store.stored() if domain in ("", key.domain)]
    if not keys:
        raise CommandError(_none(domain), os.EX_NOINPUT)
    now = time.time()
    keys = [key for key in keys if _is_published(key, now, context)]
    found = {} if arguments.offline else _look_up(keys, context)
    states = {key.name: _in_dns(key, found.get(key.name)) for key in keys}
    if context.out.as_json:
        context.out.json([{**_json(key), "dns": states[key.name]} for key in keys])
        return os.EX_OK
    _print_records(keys, context)
    if arguments.offline:
        return os.EX_OK
    context.out.line()
    rows = [(key.name, key.state, states[key.name]) for key in keys]
    context.out.table(("name", "state", "in the DNS"), rows)
    waiting = [key for key in keys if key.state == "waiting"]
    if waiting and all(states[key.name] == "yes" for key in waiting):
        context.out.line("\nAll that wait are there:\n")
        for place in dict.fromkeys((key.domain, key.tenant) for key in waiting):
            context.out.line(f"    mta dkim rotate {place[0]}{f' --tenant {place[1]}' if place[1] else ''}")
    return os.EX_OK


def _rotate(arguments: argparse.Namespace, context: Context, store: Any) -> int:
    domain = _domain(arguments.domain)
    waiting = [
        key
        for key in store.stored()
        if (key.domain, key.tenant, key.state) == (domain, arguments.tenant, "waiting")
    ]
    if waiting and not arguments.force:
        found = _look_up(waiting, context)
        lacking = [(key, _in_dns(key, found.get(key.name))) for key in waiting]
        lacking = [(key, state) for key, state in lacking if state != "yes"]
        if lacking:
            lines = "\n".join(f"  {key.name}: {state}" for key, state in lacking)
            raise CommandError(
                f"nothing was changed: mail that is signed with these could not be verified\n{lines}\n"
                f"`mta dkim publish {domain}` prints the records; --force signs all the same",
                os.EX_UNAVAILABLE,
            )
    begun, ended = store.rotate(domain, arguments.tenant, time.time())
    loaded = _reload(context)
    if context.out.as_json:
        context.out.json(
            {
                "active": [_json(key) for key in begun],
                "retired": [_json(key) for key in ended],
                "reloaded": loaded,
            }
        )
        return os.EX_OK
    for key in begun:
        context.out.line(f"{key.selector} signs mail of {domain} from now on ({key.algorithm})")
    for key in ended:
        gone = local_time(_may_go(key, context))
        context.out.line(f"{key.selector} is retired; let its record stay until {gone}")
    if not loaded:
        context.out.line("The server is not running; it signs with them when it is.")
    return os.EX_OK


def _list(arguments: argparse.Namespace, context: Context, store: Any) -> int:
    keys = store.stored()
    if context.out.as_json:
        context.out.json([_json(key) for key in keys])
        return os.EX_OK
    if not keys:
        context.out.error(_none(""))
        return os.EX_OK
    now = time.time()
    rows = [
        (
            key.domain,
            key.tenant,
            key.selector,
            key.algorithm,
            key.state,
            _age(key, now),
            _advice(key, now, context),
        )
        for key in keys
    ]
    context.out.table(("domain", "tenant", "selector", "algorithm", "state", "since", "next"), rows)
    return os.EX_OK


def _remove(arguments: argparse.Namespace, context: Context, store: Any) -> int:
    key = store.remove(_domain(arguments.domain), arguments.selector.lower())
    if context.out.as_json:
        context.out.json({**_json(key), "done": "removed"})
    else:
        context.out.line(f"{key.selector} of {key.domain} is forgotten; its record {key.name} may go")
    return os.EX_OK


# --- parts -------------------------------------------------------------------


def _json(key: Any) -> dict[str, Any]:
    return {
        "domain": key.domain,
        "tenant": key.tenant,
        "selector": key.selector,
        "algorithm": key.algorithm,
        "state": key.state,
        "made": key.made,
        "since": key.since,
        "name": f"{key.name}.",
        "record": key.record,
    }


def _print_records(keys: list[Any], context: Context) -> None:
    for key in keys:
        context.out.line(f"{key.name}. IN TXT {quoted_text(key.record)}")


def _none(domain: str) -> str:
    of = f" of {domain}" if domain else ""
    return f"there are no keys{of} yet; `mta dkim new {domain or 'DOMAIN'}` makes them"


def _look_up(keys: list[Any], context: Context) -> dict[str, Any]:
    found: dict[str, Any] = context.seams.text_records(context.load(), [key.name for key in keys])
    return found


def _in_dns(key: Any, found: Any) -> str:
    """Whether a key's record is in the DNS, in words.

    :param found: the TXT records, or why they are not known; ``None``: nobody has asked.
    """
    if found is None:
        return "not asked"
    if isinstance(found, str):
        return f"not known: {found}"
    words: str = key.in_dns(found)
    return words


def _may_go(key: Any, context: Context) -> float:
    """When the record of a retired key is needed by nobody any more."""
    return float(key.since + context.load().settings.queue.expire + _MARGIN)


def _is_published(key: Any, now: float, context: Context) -> bool:
    return key.state != "retired" or now < _may_go(key, context)


def _age(key: Any, now: float) -> str:
    return duration(max(now - key.since, 0.0))


def _advice(key: Any, now: float, context: Context) -> str:
    if key.state == "waiting":
        return f"publish, then mta dkim rotate {key.domain}"
    if key.state == "active":
        return ""
    if _is_published(key, now, context):
        return f"record stays until {local_time(_may_go(key, context))}"
    return f"record may go: mta dkim remove {key.domain} {key.selector}"


def _reload(context: Context) -> bool:
    """Have the server read its keys anew; whether there is one."""
    from mta.cli.control import ask

    try:
        ask(context, "POST", "/v1/reload")
    except CommandError as error:
        if error.status != os.EX_UNAVAILABLE:
            raise
        return False
    return True
