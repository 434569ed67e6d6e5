"""The web server from which domains give their MTA-STS policies (RFC 8461, 3.3)."""

from __future__ import annotations

import random
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.deliver.certificates import Made
from tests.e2e.scenario import need_root


class PolicyHost:
    """HTTPS on port 443 of a loopback address.

    :param place: for the certificate's files.
    :param certificate: of all the ``mta-sts.*`` names, its issuer trusted by whoever asks.
    :ivar policies: domain to text; others get 404.
    :ivar asked: the hosts that were asked for, in order.
    :ivar address: where it listens.
    :raise SkipTest: without root.
    """

    def __init__(self, place: Path, certificate: Made) -> None:
        need_root("policies come from port 443")
        self.policies: dict[str, str] = {}
        self.asked: list[str] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = (self.headers["host"] or "").removeprefix("mta-sts.")
                host.asked.append(name)
                text = host.policies.get(name)
                if self.path != "/.well-known/mta-sts.txt" or text is None:
                    self.send_error(404)
                    return
                # Without a length: it goes on until the connection ends.
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        pem = place / "policy-host.pem"
        pem.write_bytes(certificate.pem + certificate.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        # Another scenario may run beside this one.
        self.address = ".".join(["127", *(str(random.randrange(3, 250)) for _ in range(3))])
        self._server = ThreadingHTTPServer((self.address, 443), Handler)
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def output(self) -> str:
        """What was asked for."""
        return "\n".join(self.asked)

    def stop(self) -> None:
        """Close the door; more than once does no harm."""
        self._server.shutdown()
        self._server.server_close()
