"""A private slapd with StartTLS, ldaps and a CA of its own, for any scenario that needs a directory."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import socket
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SkipTest

from tests.e2e.scenario import free_port, wait_for

ETC = Path(__file__).parents[2] / "etc" / "ldap"
SCHEMAS = Path("/etc/ldap/schema")
_CONFIG = """\
dn: cn=config
objectClass: olcGlobal
cn: config
olcTLSCertificateFile: {base}/cert.pem
olcTLSCertificateKeyFile: {base}/key.pem

dn: cn=module,cn=config
objectClass: olcModuleList
cn: module
olcModulePath: /usr/lib/ldap
olcModuleLoad: back_mdb

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

{includes}
dn: olcDatabase=mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: mdb
olcSuffix: dc=example,dc=org
olcDbDirectory: {base}/data
olcRootDN: cn=admin,dc=example,dc=org
olcRootPW: admin-secret
olcAccess: to attrs=userPassword by anonymous auth by * none
olcAccess: to * by users read by * none
"""


def make_authority(base: Path) -> None:
    """Write ``ca.pem``, ``cert.pem`` and ``key.pem`` for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    builder = builder.not_valid_after(now + datetime.timedelta(days=2)).add_extension(names, False)
    builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    for file in ("ca.pem", "cert.pem"):
        (base / file).write_bytes(pem)
    (base / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


class Slapd:
    """One server with the example of etc/ldap in it.

    :param base: an empty directory for everything.
    :ivar uri: clear text and StartTLS; ``tls_uri`` is TLS from the first byte.
    :raise SkipTest: if slapd is not installed.
    """

    output = ""

    def __init__(self, base: Path) -> None:
        program = shutil.which("slapd", path="/usr/sbin:/usr/bin")
        if not program or not shutil.which("ldapadd"):
            raise SkipTest("slapd and ldap-utils are not installed")
        self._program, self.base = program, base.resolve()
        (self.base / "data").mkdir(parents=True)
        (self.base / "config").mkdir()
        make_authority(self.base)
        self.port, self.tls_port = free_port(), free_port()
        self.uri = f"ldap://localhost:{self.port}"
        self.tls_uri = f"ldaps://localhost:{self.tls_port}"
        parts = [SCHEMAS / f"{name}.ldif" for name in ("core", "cosine", "inetorgperson")]
        includes = "\n".join(part.read_text() + "\n" for part in [*parts, ETC / "mta-schema.ldif"])
        config = self.base / "config.ldif"
        config.write_text(_CONFIG.format(base=self.base, includes=includes))
        self._run("/usr/sbin/slapadd", "-n", "0", "-F", str(self.base / "config"), "-l", str(config))
        self.start()
        login = ("-x", "-D", "cn=admin,dc=example,dc=org", "-w", "admin-secret")
        self._run("ldapadd", "-H", self.uri, *login, "-f", str(ETC / "example.ldif"))

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"{command[0]}: {done.stderr}")

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        listen = f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.tls_port}"
        command = [self._program, "-d", "0", "-F", str(self.base / "config"), "-h", listen]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: _listens(self.port) and _listens(self.tls_port), "slapd does not listen")

    def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait()
