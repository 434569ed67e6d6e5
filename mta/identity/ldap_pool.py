"""Connections to LDAP servers, used from threads; every call here blocks."""

from __future__ import annotations

import re
import ssl
import threading
import time
from math import ceil
from typing import Any
from urllib.parse import urlsplit

import ldap3
from ldap3.core.exceptions import LDAPException

from mta.identity.ldap_settings import LdapSettings
from mta.interfaces import TemporarilyUnavailable

_SUCCESS, _SIZE_LIMIT, _INVALID_CREDENTIALS = 0, 4, 49
Found = tuple[str, dict[str, list[Any]]]


def words_of(error: Exception) -> str:
    """What ldap3 or the system says, without the Python around it."""
    text = str(error)
    system = re.search(r"\[Errno -?\d+\] ([^'\"\])]+)", text)
    if system:
        return system[1].strip()
    tls = re.search(r"\[SSL[^\]]*\] ([^'\"(]+)", text)
    if tls:
        return f"TLS: {tls[1].strip()}"
    return re.sub(r"\(_ssl\.c:\d+\)|[()'\",]+", " ", text).strip() or type(error).__name__


class LdapPool:
    """Idle service connections, and which servers are down.

    :param settings: servers, TLS and timeouts.
    :param password: of ``bind_dn``.
    """

    def __init__(self, settings: LdapSettings, password: str) -> None:
        self._settings = settings
        self.password = password
        self._idle: list[Any] = []
        self._down: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def search(self, base: str, query: str, scope: str, attributes: list[str], limit: int) -> list[Found]:
        """Search with the service account.

        :param limit: entries wanted at the most; one more is an answer too.
        :raise TemporarilyUnavailable: if no server answers, or answers with an error.
        """
        for fresh in (False, True):
            connection = self._take(fresh)
            try:
                connection.search(base, query, scope, attributes=attributes, size_limit=limit + 1)
            except (LDAPException, OSError) as error:
                self._drop(connection)
                # An idle connection may have been closed by the server; a new one may not.
                if fresh:
                    raise TemporarilyUnavailable(f"LDAP search failed: {words_of(error)}") from None
                continue
            code, words = connection.result["result"], connection.result["description"]
            found = [
                (item["dn"], {name.lower(): list(values) for name, values in item["raw_attributes"].items()})
                for item in connection.response or ()
                if item.get("type") == "searchResEntry"
            ]
            self._give_back(connection)
            if code not in (_SUCCESS, _SIZE_LIMIT):
                raise TemporarilyUnavailable(f"LDAP search below {base!r} failed: {words}")
            return found
        raise AssertionError("unreachable")

    def bind(self, dn: str, password: str) -> bool:
        """Whether the server accepts this password for this entry.

        :raise TemporarilyUnavailable: for every answer but success and invalidCredentials.
        """
        if not dn or not password:
            return False  # would be an unauthenticated bind, which succeeds (RFC 4513, 5.1.2)
        connection = self._open(dn, password)
        try:
            connection.bind(read_server_info=False)
            code, words = connection.result["result"], connection.result["description"]
        except (LDAPException, OSError) as error:
            raise TemporarilyUnavailable(f"LDAP bind failed: {words_of(error)}") from None
        finally:
            self._drop(connection)
        if code not in (_SUCCESS, _INVALID_CREDENTIALS):
            raise TemporarilyUnavailable(f"LDAP bind failed: {words}")
        return bool(code == _SUCCESS)

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            self._drop(connection)

    def _take(self, fresh: bool) -> Any:
        with self._lock:
            if self._idle and not fresh:
                return self._idle.pop()
        connection = self._open(self._settings.bind_dn, self.password)
        try:
            connection.bind(read_server_info=False)
        except (LDAPException, OSError) as error:
            self._drop(connection)
            raise TemporarilyUnavailable(f"LDAP bind failed: {words_of(error)}") from None
        if connection.result["result"] != _SUCCESS:
            words = connection.result["description"]
            self._drop(connection)
            raise TemporarilyUnavailable(f"LDAP refuses the service account: {words}")
        return connection

    def _give_back(self, connection: Any) -> None:
        with self._lock:
            if len(self._idle) < self._settings.connections and not connection.closed:
                self._idle.append(connection)
                return
        self._drop(connection)

    @staticmethod
    def _drop(connection: Any) -> None:
        try:
            connection.unbind()
        except Exception:
            connection.closed = True

    def _open(self, dn: str, password: str) -> Any:
        """A connection inside TLS where that is demanded, not bound yet."""
        troubles = []
        for uri in self._settings.uri:
            until, trouble = self._down.get(uri, (0.0, ""))
            if time.monotonic() >= until:
                try:
                    return self._connect(uri, dn, password)
                except (LDAPException, OSError) as error:
                    trouble = f"{uri}: {words_of(error)}"
                    self._down[uri] = time.monotonic() + self._settings.down_for, trouble
            troubles.append(trouble)
        raise TemporarilyUnavailable(f"no LDAP server answers: {'; '.join(troubles)}")

    def _connect(self, uri: str, dn: str, password: str) -> Any:
        settings, parts = self._settings, urlsplit(uri)
        secure = parts.scheme == "ldaps"
        tls = ldap3.Tls(
            validate=ssl.CERT_REQUIRED if settings.verify else ssl.CERT_NONE,
            ca_certs_file=settings.ca_file or None,
            sni=parts.hostname,
        )
        port = parts.port or (636 if secure else 389)
        server = ldap3.Server(
            parts.hostname,
            port,
            secure,
            tls=tls,
            get_info=ldap3.NONE,
            connect_timeout=settings.connect_timeout,
        )
        connection = ldap3.Connection(
            server,
            dn or None,
            password or None,
            authentication=ldap3.SIMPLE if dn else ldap3.ANONYMOUS,
            receive_timeout=ceil(settings.timeout),
            auto_referrals=False,
            check_names=False,
            read_only=True,
        )
        connection.open(read_server_info=False)
        if settings.start_tls and not secure and not connection.start_tls(read_server_info=False):
            self._drop(connection)
            raise OSError("StartTLS was refused")
        return connection
