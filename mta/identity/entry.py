"""One line of a passwd-file: ``ADDRESS:{SCHEME}HASH[:uid:gid:gecos:home:shell:fields]``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from mta.config.settings import parse_size
from mta.identity.schemes import Verifier, split, verifier
from mta.identity.scram import ScramKeys
from mta.interfaces import Mailbox
from mta.model.address import parse_address


@dataclass(frozen=True, slots=True)
class Entry:
    """An account as the file has it.

    :ivar stored: the stored password, the key of the cache of verifications.
    :ivar verify: ``None`` if nobody can log in with a password.
    :ivar scram: keys kept in the file.
    :ivar clear: the clear password where the file keeps that; keys are made of it.
    """

    mailbox: Mailbox
    stored: str = field(repr=False)
    scheme: str = ""
    verify: Verifier | None = field(default=None, repr=False)
    scram: ScramKeys | None = None
    clear: str = field(default="", repr=False)


class Table:
    """All accounts of a file, by name in lower case."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self.entries = entries
        able = [entry for entry in entries.values() if entry.verify]
        common = Counter(entry.scheme for entry in able).most_common(1)
        self.decoy = next((entry.verify for entry in able if entry.scheme == common[0][0]), None)
        # A client takes SCRAM where it is offered; who has no keys for it would be refused.
        self.has_scram = bool(able) and all(entry.scram or entry.clear for entry in able)
        counts = Counter(entry.scram.iterations for entry in able if entry.scram)
        self.iterations = counts.most_common(1)[0][0] if counts else 4096


def parse_passwd(text: str, name: str, domain: str = "", default_scheme: str = "CRYPT") -> Table:
    """Read a whole file.

    :param name: of the file, for messages.
    :param domain: completes names without ``@``; ``""`` leaves them bare.
    :raise ValueError: with every error as ``file:line: what``, one on each line.
    """
    entries: dict[str, Entry] = {}
    errors: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            entry = parse_entry(line, domain, default_scheme)
            key = entry.mailbox.address.lower()
            if key in entries:
                raise ValueError(f"{key} stands in the file twice")
            entries[key] = entry
        except ValueError as error:
            errors.append(f"{name}:{number}: {error}")
    if errors:
        raise ValueError("\n".join(errors))
    return Table(entries)


def parse_entry(line: str, domain: str = "", default_scheme: str = "CRYPT") -> Entry:
    """Read one line.

    :raise ValueError: with what is wrong; never repeats a password or hash.
    """
    parts = line.strip().split(":", 7)
    if len(parts) < 2 or not parts[0]:
        raise ValueError("a line is ADDRESS:{SCHEME}HASH and further fields")
    name = parts[0]
    if "@" not in name and domain:
        name = f"{name}@{domain}"
    address = str(parse_address(name)) if "@" in name else name
    extra: dict[str, str] = {}
    for item in parts[7].split() if len(parts) > 7 else ():
        key, _, value = item.partition("=")
        extra[key] = value
    stored = parts[1]
    locked = stored in ("", "!", "*", "x") or stored.startswith("!")
    # Restrictions that we cannot honour must not open an account wider.
    locked = locked or "nologin" in extra or "allow_nets" in extra
    mailbox = Mailbox(
        address,
        maildir=_maildir(extra),
        quota=_quota(extra),
        forwards=_list(extra, "forward", lambda item: str(parse_address(item))),
        keep=_truth(extra.get("keep", "yes")),
        senders=_list(extra, "senders", str.lower),
    )
    if locked:
        return Entry(mailbox, "")
    scheme, text = split(stored, default_scheme)
    keys = ScramKeys.parse(extra["scram"]) if "scram" in extra else None
    if keys is None and scheme == "SCRAM-SHA-256":
        keys = ScramKeys.parse(text)
    clear = text if scheme == "PLAIN" else ""
    return Entry(mailbox, stored, scheme, verifier(stored, default_scheme), keys, clear)


def _maildir(extra: dict[str, str]) -> str:
    if "maildir" in extra:
        return extra["maildir"]
    kind, _, path = extra.get("userdb_mail", "").partition(":")
    return path.split(":")[0] if kind == "maildir" else ""


def _quota(extra: dict[str, str]) -> int:
    if "quota" in extra:
        return int(parse_size(extra["quota"]))
    _, _, rule = extra.get("userdb_quota_rule", "").partition(":")
    limit, _, size = rule.partition("=")
    if limit == "storage":
        return int(parse_size(size + "k" if size.isdigit() else size))  # Dovecot's unit is the kilobyte
    return int(parse_size(size)) if limit == "bytes" else 0


def _list(extra: dict[str, str], key: str, read: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(read(item) for item in extra.get(key, "").split(",") if item)


def _truth(text: str) -> bool:
    if text.lower() not in ("yes", "no", "true", "false", "1", "0", ""):
        raise ValueError("keep is yes or no")
    return text.lower() in ("yes", "true", "1", "")
