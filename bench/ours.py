"""Our server as a subject: as shipped, but for limits that a benchmark from one address would meet."""

from __future__ import annotations

from pathlib import Path

from bench.subject import BOXES, DOMAIN
from mta.dkim.key_store import KeyStore, make_key
from mta.dkim.signing import PrivateKey
from tests.e2e.server import Server

#: The domain in From of what smtp-source sends.
SENDERS = "client.test"


class Ours(Server):
    """It relays to a sink.

    :param base: an empty directory.
    :param sink: port of the sink on loopback.
    :param workers: processes.
    :param signing: whether it signs what it relays with two keys (DKIM).
    :param profile: where cProfile's figures of the reactor's thread go when it stops.
    """

    idle = 1000

    def __init__(
        self, base: Path, sink: int, workers: int = 1, profile: Path | None = None, signing: bool = False
    ) -> None:
        options = ("--savestats", f"--profile={profile}", "--profiler=cprofile") if profile else ()
        users = {f"u{number}@{DOMAIN}": "secret" for number in range(BOXES)}
        super().__init__(
            base,
            users,
            options=options,
            workers=workers,
            domains={DOMAIN: {}},
            access={"relay_from": ["127.0.0.0/8"]},
            relay={"smarthost": f"127.0.0.1:{sink}", "connections": 20},
            limits={"connections": 3000, "connections_per_client": 3000},
            queue={"retry": ["1m", "5m", "15m"], "jitter": 0.1, "minimum_free": "64M"},
        )
        self.name = "mta" if workers == 1 else f"mta, {workers} workers"
        if signing:
            self.name += ", signing"
            store = KeyStore(self.state)
            keys: list[tuple[str, PrivateKey]] = [("r", make_key("rsa", 2048)), ("e", make_key("ed25519"))]
            store.add(SENDERS, keys, "", 0.0, "active")

    @property
    def port(self) -> int:
        """Where it takes mail."""
        return self.ports["mx"]

    @property
    def mail(self) -> Path:
        """Its Maildirs."""
        return self.state / "mail"
