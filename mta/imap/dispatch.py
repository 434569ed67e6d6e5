"""From a command to what does it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from mta.imap import (
    appending,
    fetch_item,
    fetching,
    folder_commands,
    folder_name,
    login,
    quota_commands,
    searching,
    selecting,
    session_commands,
    storing,
    transferring,
)
from mta.imap.arguments import Arguments, Value, number
from mta.imap.framing import TAG, Frame
from mta.imap.listing import Wish
from mta.imap.refusal import Bad, Refused
from mta.imap.resync import Known
from mta.imap.search_command import Search, parse_search, parse_sort
from mta.imap.search_key import BadCharset
from mta.imap.sequence_set import SequenceSet
from mta.imap.status import ITEMS

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol

Handler = Callable[["ImapProtocol", Arguments], Awaitable[bytes]]


def tag_of(text: bytes) -> bytes:
    """The tag of a command; ``*`` if it has none."""
    found = TAG.match(text)
    return found[0] if found else b"*"


async def run(session: ImapProtocol, frame: Frame) -> bytes:
    """Do a command; the text of its OK.

    :raise Bad: if it is none.
    :raise Refused: if it cannot be done.
    """
    text = frame.parts[0]
    tag = TAG.match(text)
    if tag is None:
        raise Bad("a command begins with its tag")
    keyword, _, rest = text[tag.end() + 1 :].partition(b" ")
    name = keyword.upper().decode("ascii", "replace")
    arguments = Arguments((rest, *frame.parts[1:]))
    if name == "UID":
        keyword, _, rest = rest.partition(b" ")
        name = "UID " + keyword.upper().decode("ascii", "replace")
        arguments = Arguments((rest, *frame.parts[1:]))
    table = _AFTER if session.is_inside() else _BEFORE
    handler = table.get(name)
    if handler is None:
        if name in _AFTER:
            raise Bad("log in first")
        raise Bad("you are logged in already" if name in _BEFORE else "this command is not known here")
    if frame.streamed is not None:
        return await appending.append(session, frame, rest)
    return await handler(session, arguments)


def _alone(handler: Callable[[ImapProtocol], Awaitable[bytes]]) -> Handler:
    async def strict(session: ImapProtocol, arguments: Arguments) -> bytes:
        arguments.end()
        return await handler(session)

    return strict


async def _start_tls(session: ImapProtocol, arguments: Arguments) -> bytes:
    arguments.end()
    return await login.start_tls(session)


async def _login(session: ImapProtocol, arguments: Arguments) -> bytes:
    try:
        name = arguments.word()
        arguments.space()
        password = arguments.word()
        arguments.end()
    except Bad:
        # Whatever stands there may be a password.
        raise Bad("LOGIN takes a name and a password, each of them an atom or a string") from None
    return await login.log_in(session, name, password)


async def _authenticate(session: ImapProtocol, arguments: Arguments) -> bytes:
    mechanism = arguments.word().upper().decode("ascii", "replace")
    rest = arguments.rest()
    initial = rest[0] if rest else None
    if len(rest) > 1 or isinstance(initial, tuple):
        raise Bad("AUTHENTICATE takes a mechanism and a response")
    return await login.authenticate(session, mechanism, initial)


def _words(values: Sequence[Value]) -> list[bytes]:
    found = []
    for value in values:
        if isinstance(value, tuple):
            raise Bad("a list stands where a word is wanted")
        found.append(value)
    return found


async def _enable(session: ImapProtocol, arguments: Arguments) -> bytes:
    names = [arguments.word(), *_words(arguments.rest())]
    return await session_commands.enable(session, names)


async def _identify(session: ImapProtocol, arguments: Arguments) -> bytes:
    value = arguments.value()
    arguments.end()
    words = _words(value) if isinstance(value, tuple) else []
    return await session_commands.identify(
        session, {key.lower(): word for key, word in zip(words[::2], words[1::2], strict=False)}
    )


def _select(read_only: bool) -> Handler:
    async def handler(session: ImapProtocol, arguments: Arguments) -> bytes:
        name = arguments.word()
        values = arguments.rest()
        known = None
        if values:
            if len(values) != 1 or not isinstance(values[0], tuple):
                raise Bad("behind the folder there can be a list of parameters")
            known = _parameters(session, values[0])
        return await folder_commands.select(session, name, read_only, known)

    return handler


def _parameters(session: ImapProtocol, values: tuple[Value, ...]) -> Known | None:
    known, counts = None, False
    left = list(reversed(values))
    while left:
        value = left.pop()
        name = value.upper() if isinstance(value, bytes) else b""
        if name == b"CONDSTORE":
            counts = True
        elif name == b"QRESYNC":
            if not session.quick_resync:
                raise Bad("ENABLE QRESYNC comes first")
            known = _resync(left.pop() if left else b"")
        else:
            raise Bad("behind the folder there can be (CONDSTORE) or (QRESYNC (...))")
    session.counts_changes |= counts
    return known


def _resync(listed: Value) -> Known:
    """What a client knows of a folder; numbers that match UIDs tell us nothing new (RFC 7162, 3.2.5.2)."""
    problem = Bad("QRESYNC takes UIDVALIDITY, a MODSEQ, UIDs, and numbers with their UIDs")
    values = list(listed) if isinstance(listed, tuple) else []
    last = values[-1] if values else b""
    matched: list[bytes] = []
    if isinstance(last, tuple):
        matched = _words(last)
        del values[-1]
    words = _words(values)
    if len(words) not in (2, 3) or len(matched) not in (0, 2):
        raise problem
    for word in words[2:] + matched:
        if b"*" in word:
            raise problem
        _set(word)
    return Known(number(words[0]), number(words[1]), _set(words[2]) if len(words) > 2 else None)


async def _list(session: ImapProtocol, arguments: Arguments) -> bytes:
    values = [arguments.value(), *arguments.rest()]
    selection: set[bytes] = set()
    extended = isinstance(values[0], tuple)
    if isinstance(values[0], tuple):
        selection = _options(values.pop(0), _SELECTIONS)
    if len(values) not in (2, 4) or isinstance(values[0], tuple):
        raise Bad("LIST takes a reference and a pattern")
    reference, pattern = values[0], values[1]
    patterns = tuple(_words(pattern)) if isinstance(pattern, tuple) else (pattern,)
    if not 0 < len(patterns) <= _PATTERNS:
        raise Bad(f"LIST takes up to {_PATTERNS} patterns")
    returned: list[Value] = []
    if len(values) == 4:
        if not isinstance(values[2], bytes) or values[2].upper() != b"RETURN":
            raise Bad("behind the pattern there can be RETURN and a list")
        returned = list(_listed(values[3]))
    status: tuple[str, ...] = ()
    for place, value in enumerate(returned):
        if isinstance(value, bytes) and value.upper() == b"STATUS":
            items = _listed(returned[place + 1] if place + 1 < len(returned) else b"")
            status = _status_items(items)
            del returned[place : place + 2]
            break
    names = _options(tuple(returned), _RETURNS)
    if b"RECURSIVEMATCH" in selection and not selection - {b"RECURSIVEMATCH", b"REMOTE"}:
        raise Bad("RECURSIVEMATCH needs another option beside it")
    wish = Wish(
        tuple(folder_name.pattern(session, reference + one) if one else "" for one in patterns),
        subscribed=b"SUBSCRIBED" in selection,
        special=b"SPECIAL-USE" in selection,
        recursive=b"RECURSIVEMATCH" in selection,
        tells_subscribed=b"SUBSCRIBED" in names,
        extended=extended or isinstance(pattern, tuple) or len(values) == 4,
        status=status,
    )
    return await folder_commands.list_folders(session, wish)


#: Patterns of one LIST.
_PATTERNS = 100
#: Options of LIST: which names are told, and what of them.  REMOTE adds none here.
_SELECTIONS = frozenset({b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE"})
_RETURNS = frozenset({b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE"})


def _options(value: Value, known: frozenset[bytes]) -> set[bytes]:
    found = {word.upper() for word in _words(_listed(value))}
    if found - known:
        raise Bad("LIST does not know " + min(found - known)[:30].decode("ascii", "replace"))
    return found


def _listed(value: Value) -> tuple[Value, ...]:
    if not isinstance(value, tuple):
        raise Bad("a word stands where a list is wanted")
    return value


def _status_items(values: tuple[Value, ...]) -> tuple[str, ...]:
    words = tuple(word.upper().decode("ascii", "replace") for word in _words(values))
    for word in words:
        if word not in ITEMS:
            raise Bad(f"STATUS does not know {word[:30]}")
    if not words:
        raise Bad("STATUS takes a list of items")
    return tuple(dict.fromkeys(words))


async def _list_subscribed(session: ImapProtocol, arguments: Arguments) -> bytes:
    reference = arguments.word()
    arguments.space()
    pattern = arguments.word()
    arguments.end()
    return await folder_commands.list_subscribed(session, folder_name.pattern(session, reference + pattern))


def _of_name(handler: Callable[[ImapProtocol, bytes], Awaitable[bytes]]) -> Handler:
    async def named(session: ImapProtocol, arguments: Arguments) -> bytes:
        name = arguments.word()
        arguments.end()
        return await handler(session, name)

    return named


async def _create(session: ImapProtocol, arguments: Arguments) -> bytes:
    name = arguments.word()
    uses: list[str] = []
    if not arguments.over:
        arguments.space()
        values = _listed(arguments.value())
        arguments.end()
        if len(values) != 2 or not isinstance(values[0], bytes) or values[0].upper() != b"USE":
            raise Bad("CREATE takes (USE (\\Sent)) at the most")
        uses = [word.decode("ascii", "replace") for word in _words(_listed(values[1]))]
    return await folder_commands.create(session, name, uses)


async def _rename(session: ImapProtocol, arguments: Arguments) -> bytes:
    source = arguments.word()
    arguments.space()
    target = arguments.word()
    arguments.end()
    return await folder_commands.rename(session, source, target)


async def _set_quota(session: ImapProtocol, arguments: Arguments) -> bytes:
    return await quota_commands.change(session)


async def _status(session: ImapProtocol, arguments: Arguments) -> bytes:
    name = arguments.word()
    arguments.space()
    items = _status_items(_listed(arguments.value()))
    arguments.end()
    return await folder_commands.tell_status(session, name, items)


def _store(by_uid: bool) -> Handler:
    async def handler(session: ImapProtocol, arguments: Arguments) -> bytes:
        wanted = _messages(session, arguments.word(), by_uid)
        arguments.space()
        value = arguments.value()
        unchanged_since = None
        if isinstance(value, tuple):
            unchanged_since = _unchanged_since(value)
            arguments.space()
            value = arguments.word()
        item = value.upper()
        values = arguments.rest()
        words = values[0] if len(values) == 1 and isinstance(values[0], tuple) else tuple(values)
        match = re.fullmatch(rb"([+-]?)FLAGS(\.SILENT)?", item)
        if match is None or not values:
            # Without a list, all flags would go.
            raise Bad("STORE takes FLAGS, +FLAGS or -FLAGS, and flags")
        return await storing.store(
            session, wanted, by_uid, match[1].decode(), tuple(_words(words)), bool(match[2]), unchanged_since
        )

    return handler


def _fetch(by_uid: bool) -> Handler:
    async def handler(session: ImapProtocol, arguments: Arguments) -> bytes:
        wanted = _messages(session, arguments.word(), by_uid)
        arguments.space()
        items = fetch_item.parse(arguments)
        changed_since, vanished = None, False
        if not arguments.over:
            arguments.space()
            values = arguments.value()
            words = [word.upper() for word in _words(values)] if isinstance(values, tuple) else []
            vanished = b"VANISHED" in words
            words = [word for word in words if word != b"VANISHED"]
            if len(words) != 2 or words[0] != b"CHANGEDSINCE":
                raise Bad("behind the items there can be (CHANGEDSINCE MODSEQ)")
            changed_since = number(words[1])
        arguments.end()
        return await fetching.fetch(session, wanted, by_uid, items, changed_since, vanished)

    return handler


def _unchanged_since(values: tuple[Value, ...]) -> int:
    words = _words(values)
    if len(words) != 2 or words[0].upper() != b"UNCHANGEDSINCE":
        raise Bad("STORE takes (UNCHANGEDSINCE MODSEQ)")
    return number(words[1])


def _transfer(
    handler: Callable[[ImapProtocol, SequenceSet, bool, bytes], Awaitable[bytes]], by_uid: bool
) -> Handler:
    async def transfer(session: ImapProtocol, arguments: Arguments) -> bytes:
        wanted = _messages(session, arguments.word(), by_uid)
        arguments.space()
        name = arguments.word()
        arguments.end()
        return await handler(session, wanted, by_uid, name)

    return transfer


async def _append(session: ImapProtocol, arguments: Arguments) -> bytes:
    # With one it does not come here.
    raise Bad("APPEND takes a message as a literal")


def _messages(session: ImapProtocol, word: bytes, by_uid: bool) -> SequenceSet:
    """The messages that a command names; ``$``: what the last search has saved (RFC 5182)."""
    if word == b"$" and session.selected is not None:
        return session.selected.saved_set(by_uid)
    return _set(word)


def _set(word: bytes) -> SequenceSet:
    try:
        return SequenceSet.parse(word)
    except ValueError as problem:
        raise Bad(str(problem)) from None


def _search(parse: Callable[[ImapProtocol, Arguments], Search], by_uid: bool) -> Handler:
    async def handler(session: ImapProtocol, arguments: Arguments) -> bytes:
        try:
            command = parse(session, arguments)
        except BadCharset as problem:
            raise Refused(str(problem), "BADCHARSET (UTF-8 US-ASCII ISO-8859-1 ISO-8859-15)") from None
        return await searching.search(session, command, by_uid, session.tag)

    return handler


def _parse_search(session: ImapProtocol, arguments: Arguments) -> Search:
    return parse_search(arguments, session.utf8)


def _parse_sort(session: ImapProtocol, arguments: Arguments) -> Search:
    return parse_sort(arguments)


async def _expunge(session: ImapProtocol, arguments: Arguments) -> bytes:
    arguments.end()
    return await selecting.expunge(session, None)


async def _uid_expunge(session: ImapProtocol, arguments: Arguments) -> bytes:
    wanted = _messages(session, arguments.word(), True)
    arguments.end()
    return await selecting.expunge(session, wanted)


_ALWAYS: dict[str, Handler] = {
    "CAPABILITY": _alone(session_commands.capability),
    "NOOP": _alone(session_commands.noop),
    "LOGOUT": _alone(session_commands.logout),
    "ID": _identify,
}
_BEFORE: dict[str, Handler] = {
    **_ALWAYS,
    "STARTTLS": _start_tls,
    "LOGIN": _login,
    "AUTHENTICATE": _authenticate,
}
_AFTER: dict[str, Handler] = {
    **_ALWAYS,
    "ENABLE": _enable,
    "NAMESPACE": _alone(session_commands.namespace),
    "IDLE": _alone(session_commands.wait_for_news),
    "SELECT": _select(False),
    "EXAMINE": _select(True),
    "LIST": _list,
    "LSUB": _list_subscribed,
    "CREATE": _create,
    "DELETE": _of_name(folder_commands.delete),
    "RENAME": _rename,
    "SUBSCRIBE": _of_name(partial(folder_commands.subscribe, subscribed=True)),
    "UNSUBSCRIBE": _of_name(partial(folder_commands.subscribe, subscribed=False)),
    "GETQUOTAROOT": _of_name(quota_commands.of_folder),
    "GETQUOTA": _of_name(quota_commands.of_root),
    "SETQUOTA": _set_quota,
    "STATUS": _status,
    "CHECK": _alone(session_commands.check),
    "CLOSE": _alone(selecting.close),
    "UNSELECT": _alone(selecting.unselect),
    "EXPUNGE": _expunge,
    "UID EXPUNGE": _uid_expunge,
    "APPEND": _append,
    "COPY": _transfer(transferring.copy, False),
    "UID COPY": _transfer(transferring.copy, True),
    "MOVE": _transfer(transferring.move, False),
    "UID MOVE": _transfer(transferring.move, True),
    "FETCH": _fetch(False),
    "UID FETCH": _fetch(True),
    "SEARCH": _search(_parse_search, False),
    "UID SEARCH": _search(_parse_search, True),
    "SORT": _search(_parse_sort, False),
    "UID SORT": _search(_parse_sort, True),
    "STORE": _store(False),
    "UID STORE": _store(True),
}
