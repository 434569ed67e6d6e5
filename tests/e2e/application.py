"""An application in a process of its own that takes webhooks, and checks their signatures itself.

``python application.py SECRET FAILURES`` prints its port; then it answers 503 so many times,
and prints a line of JSON for each message whose signature is right.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.e2e.process import Process
from tests.e2e.scenario import wait_for


class Application:
    """The process; ``stop()`` ends it.

    :param secret: as the server's ``secret_file`` has it.
    :param failures: how often it answers 503 before it takes a message.
    """

    def __init__(self, secret: str, failures: int = 0) -> None:
        self.process = Process([sys.executable, str(Path(__file__)), secret, str(failures)])
        wait_for(lambda: self.process.lines, "the application does not start")
        self.port = int(self.process.lines[0])

    @property
    def output(self) -> str:
        """What it printed."""
        return self.process.output

    def said(self, what: str) -> list[Any]:
        """What it tells of ``taken``, ``failed`` or ``forged`` posts."""
        lines = [json.loads(line) for line in self.process.lines[1:] if line.startswith("{")]
        return [line for line in lines if line["what"] == what]

    def wait(self, count: int = 1) -> list[Any]:
        """Wait until it has taken so many messages."""
        wait_for(lambda: len(self.said("taken")) >= count, f"not {count} messages taken")
        return self.said("taken")

    def stop(self) -> None:
        """End it."""
        self.process.stop()


def _serve(secret: str, failures: int) -> None:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    seen: set[str] = set()
    left = failures
    printing = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal left
            body = self.rfile.read(int(self.headers["Content-Length"]))
            identity, moment = self.headers["webhook-id"], self.headers["webhook-timestamp"]
            digest = hmac.new(key, f"{identity}.{moment}.".encode() + body, hashlib.sha256).digest()
            wanted = "v1," + base64.b64encode(digest).decode()
            if (
                wanted not in self.headers["webhook-signature"].split()
                or abs(time.time() - int(moment)) > 300
            ):
                self._answer(401, "forged", identity)
            elif left > 0:
                left -= 1
                self._answer(503, "failed", identity, ("Retry-After", "1"))
            elif b"no-such-user" in body[:2000]:
                self._answer(404, "refused", identity)
            else:
                kind = self.headers["Content-Type"]
                facts = {
                    "type": kind,
                    "again": identity in seen,
                    "size": len(body),
                    "body": body.decode("utf-8", "replace") if len(body) < 10_000 else "",
                }
                seen.add(identity)
                self._answer(200, "taken", identity, **facts)

        def _answer(
            self, status: int, what: str, identity: str, *fields: tuple[str, str], **facts: Any
        ) -> None:
            with printing:
                print(json.dumps({"what": what, "id": identity, **facts}), flush=True)
            self.send_response(status)
            for name, value in fields:
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
