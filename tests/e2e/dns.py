"""A DNS server on loopback that knows a few names and can fail in every way."""

from __future__ import annotations

import socketserver
import threading
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.e2e.scenario import free_port


class Dns:
    """Answers over UDP and TCP, with authority for everything.

    :param records: (name, type) to values, such as
        ``("remote.test", "MX"): ["10 mx.remote.test."]``; other names do not exist.
    :param port: where it listens; 0 for any free port.
    :ivar secure: domains whose answers, and those below, bear the AD bit for whoever asks for it.
    :ivar trouble: for a domain and all below it: ``SERVFAIL``, ``REFUSED``, or ``silent``.
    :ivar ttl: seconds for which answers may be believed.
    :ivar asked: the questions, as ``name TYPE``.
    """

    def __init__(self, records: dict[tuple[str, str], list[str]] | None = None, port: int = 0) -> None:
        self.records = dict(records or {})
        self.secure: set[str] = set()
        self.trouble: dict[str, str] = {}
        self.ttl = 60
        self.asked: list[str] = []
        server = self

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, connection = self.request
                reply = server._reply(data)
                if reply is not None:
                    connection.sendto(reply, self.client_address)

        class Stream(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while len(prefix := self.rfile.read(2)) == 2:
                    reply = server._reply(self.rfile.read(int.from_bytes(prefix, "big")))
                    if reply is None:
                        return
                    self.wfile.write(len(reply).to_bytes(2, "big") + reply)

        class Udp(socketserver.ThreadingUDPServer):
            daemon_threads = True

        class Tcp(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._udp = Udp(("127.0.0.1", port or free_port()), Datagram)
        self.port: int = self._udp.server_address[1]
        self._tcp = Tcp(("127.0.0.1", self.port), Stream)
        for listener in (self._udp, self._tcp):
            threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        """As ``dns.servers`` takes it."""
        return f"127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """The questions."""
        return "\n".join(self.asked)

    def stop(self) -> None:
        """Close everything."""
        listeners: list[Any] = [self._udp, self._tcp]
        for listener in listeners:
            listener.shutdown()
            listener.server_close()

    def add_mx(self, domain: str, host: str = "", address: str = "127.0.0.2") -> None:
        """A domain with one MX host, which is not 127.0.0.1: that is the server under test itself."""
        host = host or f"mx.{domain}"
        self.records[domain, "MX"] = [f"10 {host}."]
        self.records[host, "A"] = [address]

    def _reply(self, data: bytes) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{name} {kind}")
        trouble = next((what for domain, what in list(self.trouble.items()) if name.endswith(domain)), "")
        if trouble == "silent":
            return None
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA | dns.flags.RA
        if query.flags & dns.flags.AD and any(f".{name}".endswith(f".{known}") for known in self.secure):
            reply.flags |= dns.flags.AD
        if trouble:
            reply.set_rcode(dns.rcode.from_text(trouble))
            return reply.to_wire()
        values = self.records.get((name, kind))
        if values:
            reply.answer.append(dns.rrset.from_text(question.name, self.ttl, "IN", kind, *values))
        elif not any(known == name or known.endswith(f".{name}") for known, _ in list(self.records)):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()
