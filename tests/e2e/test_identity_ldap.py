"""People in a real slapd, over StartTLS."""

from pathlib import Path
from typing import Any

from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from mta.identity.directories import Directories
from mta.identity.ldap import LdapIdentity
from mta.identity.ldap_settings import LdapSettings
from mta.interfaces import Alias, HostedDomain, Mailbox, TemporarilyUnavailable, settle
from mta.model.address import Address, parse_address
from tests.e2e.slapd import Slapd, make_authority


class LdapScenario(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.slapd = Slapd(Path(self.mktemp()))
        self.addCleanup(self.slapd.stop)
        (self.slapd.base / "service").write_text("service-secret\n")

    def identity(self, **changes: Any) -> LdapIdentity:
        values: dict[str, Any] = {
            "uri": self.slapd.uri,
            "base": "dc=example,dc=org",
            "bind_dn": "cn=mta,dc=example,dc=org",
            "password_file": "service",
            "start_tls": True,
            "ca_file": "ca.pem",
            "down_for": 0,
            "cache": 0,
            "negative_cache": 0,
            "list_filter": "(&(objectClass=mtaList)(mail={address}))",
        }
        made = LdapIdentity(LdapSettings(**{**values, **changes}), reactor, str(self.slapd.base))
        self.addCleanup(made.stop)
        return made

    async def test_people(self) -> None:
        ldap = self.identity()
        self.assertEqual(await self.log_in(ldap, "anna@example.org", "anna-secret"), "anna@example.org")
        wrong = [("anna@example.org", "x"), ("no@example.org", "x"), ("anna@example.org", "")]
        for name, password in [*wrong, ("*", "anna-secret"), ("*)(uid=anna", "anna-secret")]:
            with self.assertRaises(UnauthorizedLogin):
                await self.log_in(ldap, name, password)
        box = await settle(ldap.look_up(parse_address("a.example@example.org")))
        self.assertEqual(box, Mailbox("anna@example.org", quota=1 << 30))
        ben = await settle(ldap.look_up(parse_address("ben@example.org")))
        self.assertEqual((ben.forwards, ben.keep), (("ben@example.net",), False))
        team = await settle(ldap.look_up(parse_address("team@example.org")))
        self.assertEqual(team, Alias("team@example.org", ("anna@example.org", "ben@example.org")))
        self.assertIsNone(await settle(ldap.look_up(Address("*", "example.org"))))

    async def test_domains(self) -> None:
        ldap = self.identity(
            domain_filter="(&(objectClass=mtaDomain)(associatedDomain={domain}))", domain_like="example.org"
        )
        for name, found in (
            ("example.net", HostedDomain("example.net", "example.org", "example.org")),
            (
                "example.edu",
                HostedDomain("example.edu", "", "example.org", (("catch_all", "anna@example.org"),)),
            ),
            ("example.com", None),
            ("*", None),
        ):
            self.assertEqual(found, await settle(ldap.domain(name)), name)
        self.assertIsNone(self.identity().domain("example.net"))
        both = Directories([ldap])
        self.assertTrue(await settle(both.may_send_as("anna@example.org", "anna@example.net")))
        self.assertFalse(await settle(both.may_send_as("anna@example.org", "ben@example.net")))
        self.slapd.stop()
        with self.assertRaises(TemporarilyUnavailable):
            await settle(ldap.domain("example.com"))
        self.slapd.start()

    async def test_template(self) -> None:
        ldap = self.identity(bind_dn_template="uid={local},ou=people,dc=example,dc=org")
        self.assertEqual(await self.log_in(ldap, "anna@example.org", "anna-secret"), "anna@example.org")
        with self.assertRaises(UnauthorizedLogin):
            await self.log_in(ldap, "anna,ou=people@example.org", "anna-secret")
        # Without a domain it would be an account that no address belongs to.
        with self.assertRaisesRegex(UnauthorizedLogin, "no domain is set"):
            await self.log_in(ldap, "anna", "anna-secret")

    async def test_ldaps(self) -> None:
        ldap = self.identity(uri=self.slapd.tls_uri, start_tls=False)
        self.assertEqual(await self.log_in(ldap, "anna@example.org", "anna-secret"), "anna@example.org")

    async def test_wrong_authority(self) -> None:
        other = self.slapd.base / "other"
        other.mkdir()
        make_authority(other)
        with self.assertRaises(TemporarilyUnavailable):
            await self.log_in(self.identity(ca_file="other/ca.pem"), "anna@example.org", "anna-secret")

    async def test_wrong_name(self) -> None:
        """The certificate has to be of the host that was named."""
        ldap = self.identity(uri=f"ldap://127.1:{self.slapd.port}")
        with self.assertRaisesRegex(TemporarilyUnavailable, "127.1"):
            await self.log_in(ldap, "anna@example.org", "anna-secret")

    async def test_words(self) -> None:
        """Why a server is passed over is told every time, in words of a person."""
        ldap = self.identity(uri=["ldap://localhost:1", "ldap://localhost:2"], down_for=60)
        for _ in range(2):
            with self.assertRaises(TemporarilyUnavailable) as caught:
                await settle(ldap.look_up(parse_address("anna@example.org")))
            self.assertEqual(
                "no LDAP server answers: ldap://localhost:1: Connection refused; "
                "ldap://localhost:2: Connection refused",
                str(caught.exception),
            )

    async def test_reload_with_another_password(self) -> None:
        """A new password is tried at once, whatever is bound with the old one."""
        ldap = self.identity()
        await settle(ldap.look_up(parse_address("anna@example.org")))
        (self.slapd.base / "service").write_text("wrong\n")
        await ldap.reload()
        with self.assertRaisesRegex(TemporarilyUnavailable, "service account: invalidCredentials"):
            await settle(ldap.look_up(parse_address("anna@example.org")))

    async def test_stopped_and_back(self) -> None:
        ldap = self.identity()
        await self.log_in(ldap, "anna@example.org", "anna-secret")
        self.slapd.stop()
        with self.assertRaises(TemporarilyUnavailable):
            await self.log_in(ldap, "anna@example.org", "anna-secret")
        with self.assertRaises(TemporarilyUnavailable):
            await settle(ldap.look_up(parse_address("new@example.org")))
        self.slapd.start()
        await self.log_in(ldap, "anna@example.org", "anna-secret")

    async def log_in(self, ldap: LdapIdentity, name: str, password: str) -> Any:
        return await ldap.requestAvatarId(UsernamePassword(name.encode(), password.encode()))
