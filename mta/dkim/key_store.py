"""The keys that sign, in the state directory: who has which, and which of them are in use.

``dkim/keys.json`` names them all; ``dkim/DOMAIN.SELECTOR.pem`` is one of them, for the server's
user alone.  A key waits until its public half is in the DNS, then it signs, then it is retired:
its record stays published for as long as mail that it has signed may be on its way.

Everything here blocks.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from mta.dkim.key_record import LEAST_BITS
from mta.dkim.signing import PrivateKey, SigningKey
from mta.dkim.tags import TagError, parse_tags, without_folds

State: TypeAlias = Literal["waiting", "active", "retired"]

DIRECTORY = "dkim"
_INDEX = "keys.json"
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z")


class KeyTrouble(ValueError):
    """Something is wrong with the keys, for a reason in words."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What is known of one key.

    :ivar domain: signs mail of this domain, and of those below it that have none.
    :ivar selector: its name there.
    :ivar algorithm: ``rsa-sha256`` or ``ed25519-sha256``.
    :ivar public: the public half, as ``p=`` has it.
    :ivar tenant: whose mail alone it signs; ``""``: everybody's.
    :ivar state: ``waiting`` for its record, ``active``, or ``retired``.
    :ivar made: when, in seconds since 1970.
    :ivar since: when it came into its state, likewise.
    """

    domain: str
    selector: str
    algorithm: str
    public: str
    tenant: str = ""
    state: State = "waiting"
    made: float = 0.0
    since: float = 0.0

    @property
    def name(self) -> str:
        """Where its record is to be published."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """Its record (RFC 6376, 3.6.1; RFC 8463, 4)."""
        kind = self.algorithm.partition("-")[0]
        return f"v=DKIM1; k={kind}; p={self.public}"

    def in_dns(self, records: Sequence[bytes]) -> str:
        """``yes`` if these are its record, else what is wrong with them, in words.

        :param records: the TXT records of its name.
        """
        if not records:
            return "no"
        if not any(self._is_mine(record) for record in records):
            return "another record is there"
        return "yes" if len(records) == 1 else "yes, but beside another record, which must go"

    def _is_mine(self, record: bytes) -> bool:
        try:
            tags = parse_tags(record)
        except TagError:
            return False
        kind = self.algorithm.partition("-")[0]
        return without_folds(tags.get("p", "")) == self.public and tags.get("k", "rsa").lower() == kind

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.domain}.{self.selector}.pem"


class KeyStore:
    """The keys of one server.

    :param state: the state directory.
    """

    def __init__(self, state: str | Path) -> None:
        self.directory = Path(state) / DIRECTORY

    def stored(self) -> list[StoredKey]:
        """All of them, in the order in which they were made.

        :raise KeyTrouble: if their list cannot be read.
        """
        path = self.directory / _INDEX
        try:
            found = json.loads(path.read_text("utf-8"))["keys"]
            known = {field.name for field in fields(StoredKey)}
            keys = [StoredKey(**{k: v for k, v in item.items() if k in known}) for item in found]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise KeyTrouble(f"{path}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise KeyTrouble(f"{path} is damaged; restore it from a backup") from None
        for key in keys:
            # A file of another directory must not be read because the list says so.
            if not (_NAME.match(key.domain) and _NAME.match(key.selector)):
                raise KeyTrouble(f"{path} is damaged: {key.name!r} is no name")
        return keys

    def private(self, key: StoredKey) -> SigningKey:
        """A key itself.

        :raise KeyTrouble: if it cannot be used.
        """
        path = self.directory / key.file
        try:
            found = _parsed(path.read_bytes(), str(path))
        except OSError as error:
            raise KeyTrouble(f"{path}: {error.strerror}") from None
        if _public(found) != key.public:
            raise KeyTrouble(f"{path} is not the key that {_INDEX} tells of; restore it from a backup")
        return SigningKey(key.domain, key.selector, found)

    def add(
        self,
        domain: str,
        selectors: Sequence[tuple[str, PrivateKey]],
        tenant: str,
        now: float,
        state: State = "waiting",
    ) -> list[StoredKey]:
        """Keep keys.

        :param selectors: each with its key.
        :raise KeyTrouble: if there is one of that name; then none is kept.
        """
        with self._changing() as keys:
            made = []
            taken = {(key.domain, key.selector) for key in keys}
            for selector, private in selectors:
                if not (_NAME.match(domain) and _NAME.match(selector)):
                    raise KeyTrouble(f"{selector}._domainkey.{domain} is no name in the DNS")
                if (domain, selector) in taken:
                    raise KeyTrouble(f"there is a key {selector} of {domain} already")
                algorithm = SigningKey(domain, selector, private).algorithm
                made.append(StoredKey(domain, selector, algorithm, _public(private), tenant, state, now, now))
            for key, (_, private) in zip(made, selectors, strict=True):
                octets = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                _write(self.directory / key.file, octets)
            keys += made
        return made

    def rotate(self, domain: str, tenant: str, now: float) -> tuple[list[StoredKey], list[StoredKey]]:
        """Have the keys that wait sign from now on, in place of those that do.

        :return: those that sign now, and those that do not any more.
        :raise KeyTrouble: if none waits.
        """
        begun: list[StoredKey] = []
        ended: list[StoredKey] = []
        with self._changing() as keys:
            for number, key in enumerate(keys):
                if (key.domain, key.tenant) != (domain, tenant):
                    continue
                if key.state == "waiting":
                    keys[number] = replace(key, state="active", since=now)
                    begun.append(keys[number])
                elif key.state == "active":
                    keys[number] = replace(key, state="retired", since=now)
                    ended.append(keys[number])
            if not begun:
                raise KeyTrouble(f"no key of {domain}{_of(tenant)} waits; `mta dkim new {domain}` makes one")
        return begun, ended

    def remove(self, domain: str, selector: str) -> StoredKey:
        """Forget a key that does not sign.

        :raise KeyTrouble: if there is none, or it signs.
        """
        with self._changing() as keys:
            found = [key for key in keys if (key.domain, key.selector) == (domain, selector)]
            if not found:
                raise KeyTrouble(f"there is no key {selector} of {domain}")
            if found[0].state == "active":
                raise KeyTrouble(f"{selector} of {domain} signs; `mta dkim rotate {domain}` ends that")
            keys.remove(found[0])
        (self.directory / found[0].file).unlink(missing_ok=True)
        return found[0]

    @contextmanager
    def _changing(self) -> Iterator[list[StoredKey]]:
        """The list, to be changed, while nobody else may."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = self.stored()
            yield keys
            text = json.dumps({"keys": [asdict(key) for key in keys]}, indent=1)
            _write(self.directory / _INDEX, text.encode())
        finally:
            os.close(lock)
        give_away(self.directory)


def new_selectors(
    domain: str, keys: Sequence[StoredKey], now: str, algorithms: Sequence[str], bits: int = 2048
) -> list[tuple[str, PrivateKey]]:
    """Fresh keys under names that nobody has: the day, and what they are for.

    Selectors are never used twice: somebody may remember the record of the first.

    :param now: the day, such as ``20260131``.
    :param algorithms: ``rsa``, ``ed25519``.
    """
    taken = {key.selector for key in keys if key.domain == domain}
    count = 0
    while True:
        suffix = chr(ord("a") + count) if count else ""
        names = [f"{kind[0]}{now}{suffix}" for kind in algorithms]
        if not taken.intersection(names):
            break
        count += 1
        if count > 25:
            raise KeyTrouble("so many keys on one day cannot be; give a selector")
    return [(name, make_key(kind, bits)) for name, kind in zip(names, algorithms, strict=True)]


def make_key(kind: str, bits: int = 2048) -> PrivateKey:
    """A fresh key.

    :param kind: ``rsa`` or ``ed25519``.
    """
    return generate_private_key(65537, bits) if kind == "rsa" else Ed25519PrivateKey.generate()


def import_key(path: Path) -> PrivateKey:
    """A key that another program has made, in PEM.

    :raise KeyTrouble: if it is none, or not safe.
    """
    try:
        return _parsed(path.read_bytes(), str(path))
    except OSError as error:
        raise KeyTrouble(f"{path}: {error.strerror}") from None


def _parsed(octets: bytes, where: str) -> PrivateKey:
    try:
        key = load_pem_private_key(octets, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyTrouble(f"{where} is no private key in PEM without a password") from None
    if isinstance(key, RSAPrivateKey):
        if key.key_size < LEAST_BITS:
            raise KeyTrouble(f"{where} has {key.key_size} bits: no receiver takes that (RFC 8301)")
        return key
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise KeyTrouble(f"{where} is neither an RSA nor an Ed25519 key")


def _public(key: PrivateKey) -> str:
    if isinstance(key, RSAPrivateKey):
        octets = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        octets = key.public_key().public_bytes_raw()
    return b64encode(octets).decode()


def _of(tenant: str) -> str:
    return f" for the tenant {tenant}" if tenant else ""


def _write(path: Path, octets: bytes) -> None:
    """A file that appears whole, for its owner alone."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    # EXCL: root may do this in a directory of the server's user, where a link may lie in wait.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def give_away(directory: Path) -> None:
    """Let what root makes belong to the user that the server runs as: the owner of the state directory."""
    if os.geteuid() != 0:
        return
    owner = directory.parent.stat()
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fchown(handle, owner.st_uid, owner.st_gid)
        for name in os.listdir(handle):
            os.chown(name, owner.st_uid, owner.st_gid, dir_fd=handle, follow_symlinks=False)
    finally:
        os.close(handle)


class SigningKeys:
    """The keys in use, by domain and tenant; pure.

    :param keys: each with its tenant.
    """

    def __init__(self, keys: Sequence[tuple[str, SigningKey]] = ()) -> None:
        found: dict[tuple[str, str], list[SigningKey]] = {}
        for tenant, key in keys:
            found.setdefault((key.domain, tenant), []).append(key)
        self._keys = {place: tuple(several) for place, several in found.items()}

    def __bool__(self) -> bool:
        return bool(self._keys)

    @classmethod
    def read(cls, store: KeyStore) -> SigningKeys:
        """Those of a store that are active.

        :raise KeyTrouble: if one cannot be used.
        """
        return cls([(key.tenant, store.private(key)) for key in store.stored() if key.state == "active"])

    def sealing(self, domain: str) -> SigningKey | None:
        """The key that seals in the name of a domain: RSA, as few servers know another in ARC."""
        return next((key for key in self.find(domain) if key.algorithm == "rsa-sha256"), None)

    def find(self, domain: str, tenant: str = "") -> tuple[SigningKey, ...]:
        """The keys that sign for a domain: its own, or those of the nearest domain above it.

        A tenant's own come before everybody's.

        :param domain: in its ASCII form, in lower case.
        """
        while domain:
            keys = self._keys.get((domain, tenant)) or self._keys.get((domain, ""))
            if keys:
                return keys
            domain = domain.partition(".")[2]
        return ()
