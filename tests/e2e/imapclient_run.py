"""What IMAPClient does with a mailbox: ``imapclient_run.py PORT TLS USER PASSWORD``, run by .venv/clients.

It stops with an assertion where an answer is not what its users count on, and prints ``done`` at the end.
Nothing here knows our server.
"""

from __future__ import annotations

import ssl
import sys
from datetime import UTC, datetime
from typing import Any


def main(port: int, tls: bool, user: str, password: str) -> None:
    """Everything, one after the other."""
    from imapclient import IMAPClient

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    more = {"ssl_context": context} if tls else {}
    with IMAPClient("127.0.0.1", port, ssl=tls, timeout=120, **more) as client:
        client.login(user, password)
        folders(client)
        messages(client)
        searches(client)
        news(client, IMAPClient("127.0.0.1", port, ssl=tls, timeout=120, **more), user, password)
    print("done")


def text(subject: str, body: str = "hello") -> bytes:
    """A message."""
    return (
        f"From: Ben <ben@example.org>\r\nTo: anna@example.org\r\nSubject: {subject}\r\n"
        f"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <{subject}@client>\r\n\r\n{body}\r\n"
    ).encode()


def folders(client: Any) -> None:
    """Names, also of other alphabets; hierarchy; subscriptions; status."""
    assert client.has_capability("UIDPLUS") and client.has_capability("MOVE"), client.capabilities()
    (personal,) = client.namespace().personal
    separator = personal[1]
    name = f"Projekte{separator}Größe & Maß{separator}日本"
    client.create_folder(name)
    names = {folder[2]: folder[0] for folder in client.list_folders()}
    assert name in names, names
    assert b"\\HasChildren" in names["Projekte"], names["Projekte"]
    assert b"\\HasNoChildren" in names[name], names[name]
    client.subscribe_folder(name)
    assert name in [folder[2] for folder in client.list_sub_folders()]
    client.unsubscribe_folder(name)
    assert name not in [folder[2] for folder in client.list_sub_folders()]
    client.append(name, text("one"), flags=[b"\\Seen", b"$Important"])
    status = client.folder_status(name, [b"MESSAGES", b"UNSEEN", b"UIDNEXT", b"UIDVALIDITY"])
    assert (status[b"MESSAGES"], status[b"UNSEEN"]) == (1, 0), status
    client.rename_folder("Projekte", "Werke")
    moved = f"Werke{separator}Größe & Maß{separator}日本"
    assert client.folder_exists(moved) and not client.folder_exists(name)
    after = client.folder_status(moved, [b"MESSAGES", b"UIDVALIDITY"])
    assert after[b"MESSAGES"] == 1, after
    assert client.select_folder(moved)[b"EXISTS"] == 1
    (flags,) = client.get_flags([1]).values()
    assert b"$Important" in flags, flags
    client.unselect_folder()
    client.delete_folder(moved)
    assert not client.folder_exists(moved)


def messages(client: Any) -> None:
    """Appended, fetched, flagged, copied, moved, removed."""
    client.create_folder("Work")
    client.create_folder("Other")
    when = datetime(2021, 2, 3, 4, 5, 6, tzinfo=UTC)
    for number in range(20):
        answer = client.append("Work", text(f"w{number}", "x\r\n" * (number + 1)), [b"\\Flagged"], when)
        assert b"APPENDUID" in answer, answer
    assert client.select_folder("Work")[b"EXISTS"] == 20
    uids = client.search()
    assert uids == sorted(uids) and len(uids) == 20
    found = client.fetch(
        uids, ["ENVELOPE", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODYSTRUCTURE", "BODY.PEEK[]"]
    )
    for number, uid in enumerate(uids):
        one = found[uid]
        whole = text(f"w{number}", "x\r\n" * (number + 1))
        assert one[b"BODY[]"] == whole, (one[b"BODY[]"], whole)
        assert one[b"RFC822.SIZE"] == len(whole)
        assert one[b"ENVELOPE"].subject == f"w{number}".encode()
        assert str(one[b"ENVELOPE"].from_[0]) == "Ben <ben@example.org>"
        assert one[b"INTERNALDATE"].astimezone(UTC) == when, one[b"INTERNALDATE"]
        assert one[b"BODYSTRUCTURE"][:2] == (b"text", b"plain") or one[b"BODYSTRUCTURE"][0].lower() == b"text"
        assert b"\\Flagged" in one[b"FLAGS"] and b"\\Seen" not in one[b"FLAGS"]
    part = client.fetch(uids[:1], ["BODY[TEXT]<0.1>"])[uids[0]]
    assert part[b"BODY[TEXT]<0>"] == b"x", part
    assert b"\\Seen" in client.get_flags(uids[:1])[uids[0]]
    client.add_flags(uids[:5], [b"\\Answered", b"Urgent"])
    client.remove_flags(uids[:5], [b"\\Flagged"])
    for flags in client.get_flags(uids[:5]).values():
        assert b"Urgent" in flags and b"\\Answered" in flags and b"\\Flagged" not in flags, flags
    client.set_flags(uids[5:6], [b"\\Draft"])
    assert set(client.get_flags(uids[5:6])[uids[5]]) - {b"\\Recent"} == {b"\\Draft"}
    client.copy(uids[:3], "Other")
    client.move(uids[3:6], "Other")
    client.delete_messages(uids[6:8])
    client.delete_messages(uids[8:10])
    client.uid_expunge(uids[6:8])
    left = client.search()
    assert left == uids[:3] + uids[8:], left
    client.expunge()
    assert client.search() == uids[:3] + uids[10:]
    assert client.select_folder("Other", readonly=True)[b"EXISTS"] == 6
    subjects = [one[b"ENVELOPE"].subject for _, one in sorted(client.fetch("1:*", ["ENVELOPE"]).items())]
    assert subjects == [b"w0", b"w1", b"w2", b"w3", b"w4", b"w5"], subjects
    assert b"Urgent" in client.get_flags(client.search())[client.search()[0]]


def searches(client: Any) -> None:
    """By flags, words, dates and sizes; sorted; in other alphabets."""
    client.create_folder("Find")
    for number, subject in enumerate(("alpha", "beta", "Gamma", "delta")):
        client.append(
            "Find", text(subject, f"needle{number} " + "y" * 100 * number), [b"\\Seen"] if number else []
        )
    umlaut = text("epsilon").replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
    client.append("Find", umlaut.replace(b"hello", "Größe".encode()))
    client.select_folder("Find")
    first, second, third, fourth, fifth = client.search()
    assert client.search(["UNSEEN"]) == [first, fifth]
    assert client.search(["SUBJECT", "gamma"]) == [third]
    assert client.search(["BODY", "NEEDLE1"]) == [second]
    assert client.search(["TEXT", "größe"], "UTF-8") == [fifth]
    assert client.search(["NOT", ["OR", "SUBJECT", "alpha", "SUBJECT", "beta"]]) == [third, fourth, fifth]
    assert client.search(["LARGER", 400]) == [fourth]
    assert client.search(["SENTON", "14-Nov-2023", "UID", f"{second}:{fourth}"]) == [second, third, fourth]
    assert client.search(["HEADER", "Message-ID", "delta@client"]) == [fourth]
    assert client.sort(["SUBJECT"]) == [first, second, fourth, fifth, third]
    assert client.sort(["REVERSE SIZE"])[0] == fourth


def news(client: Any, other: Any, user: str, password: str) -> None:
    """What another session does is told at once while IDLE."""
    with other:
        other.login(user, password)
        client.select_folder("Find")
        client.idle()
        other.append("Find", text("news"))
        told = client.idle_check(timeout=60)
        while not any(len(one) > 1 and one[1] == b"EXISTS" for one in told):
            more = client.idle_check(timeout=60)
            assert more, told
            told += more
        other.select_folder("Find")
        other.add_flags(other.search()[:1], [b"\\Flagged"])
        while not any(len(one) > 1 and one[1] == b"FETCH" for one in told):
            more = client.idle_check(timeout=60)
            assert more, told
            told += more
        client.idle_done()
        assert len(client.search()) == 6


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] == "tls", sys.argv[3], sys.argv[4])
