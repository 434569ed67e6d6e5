"""Tests of mta.client_setup.reception and the documents that it gives."""

from __future__ import annotations

import json
import plistlib
from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.client_setup.reception import Reply, answer, is_asked
from tests.client_setup.test_offer import settings

_OUTLOOK = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
REQUEST = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">'
    "<Request><EMailAddress>{}</EMailAddress><AcceptableResponseSchema>"
    "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
    "</AcceptableResponseSchema></Request></Autodiscover>"
)


def ask(path: str, host: str = "mx.example.org", body: str = "", method: str = "GET", **query: str) -> Reply:
    """The answer of a server with two domains."""
    return answer(settings(), method, path, query, host, body.encode())


class PathTests(SynchronousTestCase):
    """Which requests are for us."""

    def test_paths(self) -> None:
        """Outlook writes them as it likes."""
        for path in (
            "/mail/config-v1.1.xml",
            "/.well-known/autoconfig/mail/config-v1.1.xml",
            "/Autodiscover/Autodiscover.xml",
            "/AutoDiscover/autodiscover.xml",
            "/autodiscover/autodiscover.json/v1.0/kim@example.org",
            "/mail/apple.mobileconfig",
        ):
            self.assertTrue(is_asked(path), path)
        for path in ("/", "/v1/messages", "/mail/", "/metrics", "/.well-known/security.txt"):
            self.assertFalse(is_asked(path), path)

    def test_method(self) -> None:
        """Nothing is put here."""
        reply = ask("/mail/config-v1.1.xml", method="DELETE")
        self.assertEqual((405, (("allow", "GET, HEAD, POST"),)), (reply.status, reply.headers))


class MozillaTests(SynchronousTestCase):
    """Thunderbird and others."""

    def servers(self, reply: Reply) -> list[tuple[Any, ...]]:
        """What a reader finds in the document."""
        root = ElementTree.fromstring(reply.body)
        self.assertEqual(("clientConfig", "1.1"), (root.tag, root.get("version")))
        return [
            (one.tag, one.get("type"), one.findtext("port"), one.findtext("socketType"))
            for one in root.find("emailProvider") or ()
            if one.tag.endswith("Server")
        ]

    def test_document(self) -> None:
        """Every way, the recommended one first."""
        reply = ask("/.well-known/autoconfig/mail/config-v1.1.xml", emailaddress="kim@example.org")
        self.assertEqual((200, "text/xml; charset=utf-8"), (reply.status, reply.type))
        self.assertEqual(
            [
                ("incomingServer", "imap", "993", "SSL"),
                ("incomingServer", "imap", "143", "STARTTLS"),
                ("incomingServer", "pop3", "995", "SSL"),
                ("outgoingServer", "smtp", "465", "SSL"),
                ("outgoingServer", "smtp", "587", "STARTTLS"),
            ],
            self.servers(reply),
        )
        self.assertIn(b"<username>%EMAILADDRESS%</username>", reply.body)

    def test_by_host(self) -> None:
        """Without an address the name of the host says which domain."""
        reply = ask("/mail/config-v1.1.xml", host="autoconfig.b.test")
        self.assertIn(b"<domain>b.test</domain>", reply.body)

    def test_unknown(self) -> None:
        """Another's domain is not ours to tell about, and accounts are not told of at all."""
        reply = ask("/mail/config-v1.1.xml", emailaddress="kim@other.test")
        self.assertEqual(
            (404, b"This server has nothing to tell about that domain.\n"), (reply.status, reply.body)
        )
        known, unknown = (
            ask("/mail/config-v1.1.xml", emailaddress=f"{who}@b.test") for who in ("kim", "nobody")
        )
        self.assertEqual(known, unknown)

    def test_no_address(self) -> None:
        """What is no address is said to be none."""
        self.assertEqual(400, ask("/mail/config-v1.1.xml", emailaddress="kim<x>@b.test").status)


class OutlookTests(SynchronousTestCase):
    """Programs of Microsoft."""

    def test_document(self) -> None:
        """One way for each protocol, with the address as the name of the account."""
        reply = ask("/Autodiscover/Autodiscover.xml", method="POST", body=REQUEST.format("kim@b.test"))
        account = ElementTree.fromstring(reply.body).find(f".//{_OUTLOOK}Account")
        assert account is not None
        self.assertEqual("settings", account.findtext(f"{_OUTLOOK}Action"))
        found = [
            tuple(
                one.findtext(_OUTLOOK + name)
                for name in ("Type", "Server", "Port", "LoginName", "Encryption")
            )
            for one in account.iter(f"{_OUTLOOK}Protocol")
        ]
        self.assertEqual(
            [
                ("IMAP", "mx.example.org", "993", "kim@b.test", "SSL"),
                ("POP3", "mx.example.org", "995", "kim@b.test", "SSL"),
                ("SMTP", "mx.example.org", "465", "kim@b.test", "SSL"),
            ],
            found,
        )

    def test_refused(self) -> None:
        """Errors are documents, too."""
        for body, code in (
            ("", "600"),
            (REQUEST.format("x"), "600"),
            (REQUEST.format("a@other.test"), "500"),
        ):
            reply = ask("/autodiscover/autodiscover.xml", method="POST", body=body)
            error = ElementTree.fromstring(reply.body).find(".//{*}ErrorCode")
            assert error is not None
            self.assertEqual((200, code), (reply.status, error.text))

    def test_place(self) -> None:
        """The newer form asks where the older one is spoken."""
        reply = ask("/autodiscover/autodiscover.json/v1.0/kim@b.test", protocol="AutodiscoverV1")
        told = {"Protocol": "AutodiscoverV1", "Url": "https://mx.example.org/autodiscover/autodiscover.xml"}
        self.assertEqual((200, told), (reply.status, json.loads(reply.body)))
        reply = ask("/autodiscover/autodiscover.json", protocol="ActiveSync", email="kim@b.test")
        self.assertEqual((400, "InvalidProtocol"), (reply.status, json.loads(reply.body)["ErrorCode"]))

    def test_nothing_is_told(self) -> None:
        """Where an operator wants that."""
        closed = settings(client_setup={"enabled": False})
        for path in ("/autodiscover/autodiscover.json", "/mail/config-v1.1.xml"):
            self.assertEqual(
                404, answer(closed, "GET", path, {"protocol": "AutodiscoverV1"}, "b.test").status
            )

    @given(st.text())
    def test_strangers(self, text: str) -> None:
        """Whatever is written where the address should be, the answer is a document."""
        reply = ask("/autodiscover/autodiscover.xml", method="POST", body=REQUEST.format(text))
        ElementTree.fromstring(reply.body)


class AppleTests(SynchronousTestCase):
    """Profiles."""

    def test_profile(self) -> None:
        """Reading and sending, with one password; the same profile for the same account."""
        reply = ask("/mail/apple.mobileconfig", emailaddress="kim@b.test")
        self.assertEqual("application/x-apple-aspen-config", reply.type)
        profile = plistlib.loads(reply.body)
        [account] = profile["PayloadContent"]
        self.assertEqual(
            ("EmailTypeIMAP", "mx.example.org", 993, "mx.example.org", 465, "kim@b.test"),
            (
                account["EmailAccountType"],
                account["IncomingMailServerHostName"],
                account["IncomingMailServerPortNumber"],
                account["OutgoingMailServerHostName"],
                account["OutgoingMailServerPortNumber"],
                account["IncomingMailServerUsername"],
            ),
        )
        self.assertEqual(reply, ask("/mail/apple.mobileconfig", emailaddress="kim@b.test"))
        other = plistlib.loads(ask("/mail/apple.mobileconfig", emailaddress="ben@b.test").body)
        self.assertNotEqual(profile["PayloadUUID"], other["PayloadUUID"])

    def test_whose(self) -> None:
        """Without an address there is no profile."""
        reply = ask("/mail/apple.mobileconfig", host="autoconfig.b.test")
        self.assertEqual((400, b"Add ?emailaddress=YOU@DOMAIN.\n"), (reply.status, reply.body))
