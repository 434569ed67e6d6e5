"""Bytes that no client should send: the server answers in SMTP or hangs up, and goes on for everybody else.

``MTA_FUZZ`` says how many sessions; ``make fuzz`` makes it 20,000.  A failure names its seed.
"""

from __future__ import annotations

import os
import random
import re
import socket
import time

from tests.e2e.client import Speaker
from tests.e2e.scenario import Scenario
from tests.e2e.server import Server

SESSIONS = int(os.environ.get("MTA_FUZZ", "1000"))
PIECES = (
    b"EHLO client.test\r\n",
    b"HELO client.test\r\n",
    b"LHLO client.test\r\n",
    b"MAIL FROM:<anna@example.org>\r\n",
    b"MAIL FROM:<> BODY=BINARYMIME SMTPUTF8 SIZE=99999999999999999999\r\n",
    b'MAIL FROM:<"a\\"b"@[127.0.0.1]> RET=HDRS ENVID=+41\r\n',
    b"RCPT TO:<ben@example.org>\r\n",
    b"RCPT TO:<ben@example.org> NOTIFY=NEVER,SUCCESS ORCPT=rfc822;+\r\n",
    b"RCPT TO:<@a,@b:ben@example.org>\r\n",
    b"RCPT TO:<" + b"x" * 3000 + b"@example.org>\r\n",
    b"DATA\r\n",
    b"Subject: x\r\n\r\nHello\r\n.\r\n",
    b"\r\n.\r\n",
    b"\n.\n",
    b"\r\n.\n",
    b"\r.\r",
    b"..\r\n.\r\n.\r\n",
    b"BDAT 10\r\n0123456789",
    b"BDAT 5 LAST\r\nabcd",
    b"BDAT 0 LAST\r\n",
    b"BDAT -1\r\n",
    b"BDAT 18446744073709551616 LAST\r\n",
    b"RSET\r\n",
    b"NOOP x\r\n",
    b"VRFY ben@example.org\r\n",
    b"EXPN list\r\n",
    b"HELP\r\n",
    b"AUTH PLAIN\r\n",
    b"AUTH PLAIN =\r\n",
    b"AUTH LOGIN !!!\r\n",
    b"AUTH SCRAM-SHA-256 bixh\r\n",
    b"*\r\n",
    b"STARTTLS\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"QUIT\r\n",
    b"\0" * 100,
    b"\xff\xfe\xf0\x9f\x98\x80\r\n",
    b"A" * 10_000,
    b"\r\n" * 50,
    b"\r\r\r\n",
)
REPLY = re.compile(rb"(?:[2-5][0-9]{2}[- ][^\r\n]*\r\n)*\Z")


class HostileScenario(Scenario):
    def test_any_bytes(self) -> None:
        server = Server(
            self.place / "server",
            limits={"greeting_timeout": "20s", "command_timeout": "20s", "data_timeout": "20s"},
        )
        server.add_listener("lmtp")
        server.write()
        self.part(server).start()
        first = int(os.environ.get("MTA_SEED", time.time_ns() % 1_000_000_000))
        for seed in range(first, first + SESSIONS):
            chooser = random.Random(seed)
            port = server.ports[chooser.choice(("mx", "mx", "submission", "lmtp"))]
            self._throw(port, self._session(chooser), chooser, f"MTA_SEED={seed}")
            assert server.process is not None
            if not server.process.running:
                self.fail(f"the server ended: MTA_SEED={seed}")
        with Speaker(server.ports["mx"]) as speaker:
            answer = speaker.send("s@client.test", ["anna@example.org"], b"Subject: last\r\n\r\nx\r\n")
        self.assertEqual(b"250", answer[:3])
        server.wait_mail("anna@example.org")
        for words in ("Traceback", "Unhandled"):
            self.assertNotIn(words, server.output, f"MTA_SEED={first}, {SESSIONS} sessions")

    @staticmethod
    def _session(chooser: random.Random) -> bytes:
        pieces = [chooser.choice(PIECES) for _ in range(chooser.randint(1, 15))]
        if chooser.random() < 0.5:
            # A beginning that gets further in.
            pieces = [*PIECES[:1], PIECES[3], PIECES[6], PIECES[10], *pieces][: chooser.randint(2, 20)]
        octets = bytearray(b"".join(pieces))
        for _ in range(chooser.choice((0, 0, 1, 5))):
            place = chooser.randint(0, len(octets))
            octets[place : place + chooser.randint(0, 3)] = chooser.randbytes(chooser.randint(0, 3))
        return bytes(octets)

    def _throw(self, port: int, octets: bytes, chooser: random.Random, seed: str) -> None:
        """Send it in pieces; read what comes until the other side has nothing to say."""
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            heard = b""
            try:
                if chooser.random() < 0.9:
                    heard += connection.recv(4096)
                start = 0
                while start < len(octets):
                    size = chooser.choice((1, 7, 100, 5000, len(octets)))
                    connection.sendall(octets[start : start + size])
                    start += size
                    if start > 20_000:
                        break
                connection.shutdown(socket.SHUT_WR)
                while block := connection.recv(65536):
                    heard += block
            except TimeoutError:
                self.fail(f"it neither answers nor hangs up: {seed}")
            except OSError:
                # It hung up, as it may; what it said until then counts.
                pass
        if b"STARTTLS" in octets.upper():
            # What follows a 220 may be TLS.
            return
        if not REPLY.match(heard):
            self.fail(f"not SMTP: {heard[-300:]!r}: {seed}")
