"""Mailboxes: lines of POP3 clients, and what strangers put into a Maildir."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from mta.mailbox import keywords, names, subscriptions, uid_list
from mta.mailbox.content import Lines, Top
from mta.mailbox.file_name import flags_of, info_of, split, unique_id
from mta.mailbox.index import Index
from mta.mailbox.refusal import Refused
from mta.mailbox.schema import connect
from mta.pop3.command import (
    BadLine,
    error,
    message_and_lines,
    message_number,
    parse,
    sasl_response,
)
from tests.fuzz.targets.target import Target


def pop3_line(octets: bytes) -> None:
    """A line is a command or a mistake, and our reply to it is one line of visible ASCII."""
    try:
        command = parse(octets)
        for reader in (message_number, message_and_lines):
            with suppress(BadLine):
                reader(command)
        with suppress(BadLine):
            sasl_response(command.rest, True)
    except BadLine as problem:
        assert error(str(problem), "SYS/PERM").isascii()
    assert b"\n" not in error(octets.decode("latin-1"))


def pop3_content(octets: bytes) -> None:
    """However a message is cut, the client gets it whole, and nothing in it ends it early."""
    lines = Lines(stuffed=True)
    whole = lines.feed(octets) + lines.end()
    assert whole.endswith(b"\r\n") or not whole
    assert b"\r\n.\r\n" not in b"\r\n" + whole
    lines, top, cut = Lines(stuffed=True), Top(1 << 30), b""
    for start in range(0, len(octets), 3):
        cut += lines.feed(top.feed(octets[start : start + 3]))
    assert cut + lines.end() == whole


def maildir_name(octets: bytes) -> None:
    """Flags come out of a name as they went in, and every name has a unique id."""
    base, info = split(octets)
    assert base + info == octets
    flags = flags_of(info)
    assert flags_of(info_of(flags)) == flags
    assert 1 <= len(unique_id(base)) <= 70


def maildir(octets: bytes) -> None:
    """Names, lists of UIDs and keywords of strangers: each message has one UID, also without the index."""
    names, _, rest = octets.partition(b"\n\n")
    with tempfile.TemporaryDirectory(prefix="mta-fuzz-") as place:
        box = os.path.join(os.fsencode(place), b"box")
        for directory in (b"", b"/new", b"/cur"):
            os.mkdir(box + directory)
        for number, name in enumerate(names.split(b"/")[:8]):
            with suppress(OSError, ValueError), open(box + (b"/new/", b"/cur/")[number % 2] + name, "xb"):
                pass
        for file in (uid_list.NAME, uid_list.DOVECOT, keywords.NAME):
            with open(box + b"/" + file, "wb") as list_:
                list_.write(rest)
        seen = []
        for turn in range(2):
            index = Index(connect(Path(place) / f"{turn}.db", box), box)
            index.refresh()
            index.refresh()
            folder = index.refresh()
            found = {message.base: message.uid for message in index.messages(folder)}
            assert len(set(found.values())) == len(found) == folder.messages
            assert all(0 < uid < folder.next_uid for uid in found.values())
            seen.append((folder.validity, {base: uid for base, uid in found.items() if b"\n" not in base}))
            index.close()
        assert seen[0][1] == seen[1][1] and seen[0][0] == seen[1][0], seen


def folder_names(octets: bytes) -> None:
    """Whatever a list of folders has, or a client calls one, nothing leads out of the Maildir."""
    for name in (*subscriptions.parse(octets), octets.decode("utf-8", "replace"), octets.decode("latin-1")):
        try:
            directory = names.directory_of(name)
        except Refused:
            continue
        assert not directory or (directory[:1] == b"." and directory.strip(b"."))
        assert not set(b"/\0") & set(directory) and len(directory) <= 255
        assert names.directory_of(names.name_of(directory)) == directory
    for line in octets.split(b"/"):
        if line.strip(b".") and b"\0" not in line and len(line) < 80:
            assert names.directory_of(names.name_of(b"." + line)) == b"." + line


TARGETS = (
    Target(
        "folder-names",
        folder_names,
        (
            b"INBOX\nSent\nGr&APYA3w-e.a\n",
            b"V\t2\n\na\tb\x01t\n",
            b"..\n./\n&\n&-\n",
            "\uf02e\uf02f".encode(),
        ),
    ),
    Target("pop3-line", pop3_line, (b"TOP 1 10", b"AUTH PLAIN AGEAYg==", b"USER anna", b"RETR 4294967296")),
    Target("pop3-content", pop3_content, (b"A: b\r\n\r\n.\r\n..\n.x\r", b"\r\r\n.\n.", b"no end")),
    Target("maildir-name", maildir_name, (b"1.M2Q3N0.host,S=1,W=2:2,FSab", b":2,", b"1.a:1,x")),
    Target(
        "maildir",
        maildir,
        (
            b"1.a,S=3/1.a,S=3:2,S/2.b/:2,S\n\nmta-uids 1 5 3\n1 1.a,S=3\n2 2.b\n",
            b"1.a/2.b:2,a/\xff\n\n3 V1275660208 N25022 G30\n25006 :1.a:2,S\n25017 W2481 :2.b\n",
            b"x\n\n0 $Junk\n1 work\n",
        ),
    ),
)
