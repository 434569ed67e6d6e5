"""A server that says anything at all, in any pieces: every message still ends once."""

from __future__ import annotations

import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.model.message import InlineContent
from mta.smtp.client_event import Derive, Ended, Examine, Over, Ready, StartTls, Stream
from mta.smtp.client_session import ClientSession
from mta.smtp.client_transaction import Transaction
from tests.smtp.client_script import transaction

SAID = [
    b"220 hello\r\n",
    b"250 ok\r\n",
    b"250 2.1.0 ok\r\n",
    b"250-far.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME\r\n",
    b"250-far.test\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 SIZE 1000\r\n",
    b"354 go\r\n",
    b"334 \r\n",
    b"235 in\r\n",
    b"221 bye\r\n",
    b"421 4.3.2 away\r\n",
    b"450 4.2.0 later\r\n",
    b"503 5.5.1 what\r\n",
    b"550 5.1.1 no\r\n",
    b"552 5.3.4 large\r\n",
    b"250-",
    b"\r\n",
    b"\x00\xff",
    b"rubbish\r\n",
]
#: Likelier ones, so that conversations come far.
LIKELY = [1, 2, 1, 2, 5, 5, 10, 12, 3]


class Blocks:
    """Content that is not in memory."""

    size = 5

    def read(self) -> bytes:
        return b"x\r\n\r\n"

    def blocks(self) -> Any:
        yield b"x\r\n\r\n"


class Run:
    """One conversation with a server that says anything."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lmtp = self.random.random() < 0.3
        self.session = ClientSession(helo="me.test", host="far.test", lmtp=self.lmtp)
        self.begun: list[Transaction] = []
        self.ended: list[Transaction] = []
        self.over = 0
        self.streams: list[Transaction] = []

    def act(self, events: Any) -> None:
        for event in events:
            if isinstance(event, Ended):
                assert not event.transaction.open
                self.ended.append(event.transaction)
            elif isinstance(event, Over):
                self.over += 1
            elif self.session.over:
                continue
            elif isinstance(event, StartTls):
                self.act(self.session.tls_established("TLS", self.random.random() < 0.5, "what"))
            elif isinstance(event, Derive):
                self.act(self.session.derived(b"x"))
            elif isinstance(event, Examine):
                event.transaction.examined(self.random.random() < 0.5, False)
                self.act(self.session.examined(event.transaction))
            elif isinstance(event, Stream):
                self.streams.append(event.transaction)
            else:
                assert isinstance(event, Ready)

    def run(self) -> None:
        chosen = self.random
        said = b"220 x\r\n" + chosen.choice(SAID[3:5]) if chosen.random() < 0.9 else b""
        for _ in range(40):
            index = chosen.choice(LIKELY) if chosen.random() < 0.8 else chosen.randrange(len(SAID))
            said += SAID[index]
            if chosen.random() < 0.5:
                cut = chosen.randrange(len(said) + 1)
                self.act(self.session.receive(said[:cut]))
                said = said[cut:]
            while self.session.free and len(self.begun) < 20:
                content: Any = (
                    Blocks()
                    if chosen.random() < 0.3
                    else InlineContent(b"x\r\n\r\n\xff"[: chosen.choice((5, 6))])
                )
                message = transaction(
                    *[f"{n}@far.test" for n in range(chosen.randint(1, 3))], content=content
                )
                self.begun.append(message)
                self.act(self.session.begin(message))
            if self.streams and chosen.random() < 0.7 and not self.session.over:
                self.act(self.session.streamed(self.streams.pop()))
            self.session.take()
            if self.session.over:
                break
        self.act(self.session.lost())
        assert self.over == 1
        assert not self.session.free
        assert self.session.take() == []
        assert sorted(map(id, self.begun)) == sorted(map(id, self.ended))


class FuzzTests(SynchronousTestCase):
    """Seeds, so that a failure can be played again."""

    def test_anything(self) -> None:
        outcomes: set[str] = set()
        for seed in range(3000):
            run = Run(seed)
            try:
                run.run()
            except Exception as error:
                raise AssertionError(f"seed {seed}") from error
            outcomes.update(type(o).__name__ for t in run.ended for o in t.outcomes)
        self.assertEqual({"Delivered", "Postponed", "Failed"}, outcomes)
