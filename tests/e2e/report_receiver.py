"""An HTTPS server on loopback that takes TLS reports, and keeps them."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.e2e.scenario import wait_for


class ReportReceiver:
    """The server, in threads.

    :param certificate: PEM file with certificate and key.
    :param failures: how often it answers 503 before it takes a report.
    :ivar taken: media type and body of each report.
    """

    def __init__(self, certificate: Path, failures: int = 0) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.refused = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.refused < failures:
                    receiver.refused += 1
                    self.send_error(503)
                    return
                receiver.taken.append((self.headers["Content-Type"], body))
                self.send_response(201)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Close it."""
        self._server.shutdown()
        self._server.server_close()

    def wait(self, count: int = 1) -> list[tuple[str, bytes]]:
        """Wait for so many reports."""
        wait_for(lambda: len(self.taken) >= count, f"not {count} reports posted")
        return self.taken
