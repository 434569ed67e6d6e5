"""What is posted to applications, and how it is signed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.deliver.webhook_body import Body, json_body, raw_body
from mta.deliver.webhook_signature import parse_secrets, signature
from mta.model.envelope import Client, Envelope
from mta.model.message import Addressee, Content, FileContent, InlineContent, Message

TRACE = b"Received: by mx.test\r\n"
PARTS = (
    b"From: =?utf-8?q?J=C3=BCrgen?= <j@far.test>\r\n"
    b'To: "Ann, A." <ann@local.test>, bob@local.test\r\n'
    b"Subject: =?utf-8?b?w7xiZXI=?=\r\n =?utf-8?q?_alles?=\r\n"
    b"Message-ID: <1@far.test>\r\n"
    b'Content-Type: multipart/mixed; boundary="m"\r\n\r\n'
    b"--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n"
    b"--a\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"gr\xfc\xdfe\r\n"
    b"--a\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"<b>gr=C3=BC=C3=9Fe</b>\r\n--a--\r\n"
    b'--m\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename="a.png"\r\n'
    b"Content-ID: <pic@far.test>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n"
    b"--m\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx\r\n"
    b"--m--\r\n"
)


def message(content: bytes | Content, **changes: Any) -> Message:
    kept = InlineContent(content) if isinstance(content, bytes) else content
    addressee = Addressee(0, "ann@local.test", "alias@local.test", "app", "", {"detail": "news"})
    facts: dict[str, Any] = {"attributes": {"tenant": "t1"}, **changes}
    client = Client("s", address="192.0.2.1", helo="mx.far.test", protocol="ESMTPS")
    return Message("ID1", Envelope("j@far.test"), client, TRACE, kept, [addressee], 1.8e9, 2e9, **facts)


class RawTests(SynchronousTestCase):
    """message/rfc822."""

    def body(self, content: bytes | Content, **options: bool) -> Body:
        mail = message(content)
        wanted = {"return_path": True, "delivered_to": True, **options}
        return raw_body(mail, mail.addressees[0], "j@far.test", **wanted)

    def test_says_for_whom_it_is(self) -> None:
        body = self.body(b"Subject: x\r\n\r\nhello\r\n")
        whole = b"".join(body.blocks())
        self.assertEqual(
            b"Return-Path: <j@far.test>\r\nDelivered-To: ann@local.test\r\n"
            + TRACE
            + b"Subject: x\r\n\r\nhello\r\n",
            whole,
        )
        self.assertEqual((len(whole), "message/rfc822"), (body.length, body.type))

    def test_as_it_came(self) -> None:
        body = self.body(b"Subject: x\r\n\r\n", return_path=False, delivered_to=False)
        self.assertEqual(TRACE + b"Subject: x\r\n\r\n", b"".join(body.blocks()))

    def test_from_a_file(self) -> None:
        """It is read in blocks, as often as it is asked for, and half of it is none."""
        path = Path(self.mktemp())
        path.write_bytes(b"x" * 600_000)
        body = self.body(FileContent(path, 600_000))
        for _ in range(2):
            blocks = list(body.blocks())
            self.assertGreater(len(blocks), 2)
            self.assertEqual(body.length, sum(map(len, blocks)))
        path.write_bytes(b"x" * 1000)
        self.assertRaises(OSError, list, body.blocks())


class JsonTests(SynchronousTestCase):
    """application/json."""

    def parsed(self, content: bytes | Content, limit: int = 1000, most: int = 10**7, **changes: Any) -> Any:
        mail = message(content, **changes)
        body = json_body(
            mail,
            mail.addressees[0],
            "j@far.test",
            attachment_limit=limit,
            parse_limit=most,
            directory=".",
        )
        self.addCleanup(body.close)
        for _ in range(2):
            whole = b"".join(body.blocks())
            self.assertEqual(body.length, len(whole))
        document = json.loads(whole)
        self.assertEqual(
            ("message.received", "2027-01-15T08:00:00Z"), (document["type"], document["timestamp"])
        )
        return document["data"]

    def test_envelope(self) -> None:
        data = self.parsed(PARTS)
        self.assertEqual(
            ("ID1", "ann@local.test", "alias@local.test", "news", "j@far.test"),
            (data["id"], *(data["envelope"][n] for n in ("recipient", "original", "detail", "sender"))),
        )
        self.assertEqual({"tenant": "t1"}, data["attributes"])
        self.assertEqual("192.0.2.1", data["client"]["address"])
        self.assertEqual(len(TRACE + PARTS), data["size"])

    def test_attributes(self) -> None:
        """What is public is told, and what is not stays here."""
        known = {"campaign": "c", "priority": -4, "release": 1.8e9, "about": "0x", "hold": "for;5", "new": 1}
        data = self.parsed(b"Subject: x\r\n\r\n", attributes=known)
        expected = {"campaign": "c", "priority": -4, "scheduled": "2027-01-15T08:00:00Z"}
        self.assertEqual(expected, data["attributes"])

    def test_header(self) -> None:
        data = self.parsed(PARTS)
        self.assertEqual({"name": "Received", "value": "by mx.test"}, data["headers"][0])
        self.assertEqual("über alles", data["subject"])
        self.assertEqual("<1@far.test>", data["message_id"])
        self.assertEqual([{"name": "Jürgen", "address": "j@far.test"}], data["from"])
        self.assertEqual(["ann@local.test", "bob@local.test"], [who["address"] for who in data["to"]])
        self.assertIsNone(data["date"])

    def test_an_encoded_name_is_no_address(self) -> None:
        data = self.parsed(b"From: =?utf-8?q?boss=40here.test=2C?= <evil@far.test>\r\n\r\n")
        self.assertEqual([{"name": "boss@here.test,", "address": "evil@far.test"}], data["from"])

    def test_parts(self) -> None:
        data = self.parsed(PARTS)
        self.assertEqual("grüße", data["text"].strip())
        self.assertEqual("<b>grüße</b>", data["html"].strip())
        picture, inner = data["attachments"]
        self.assertEqual(
            {
                "name": "a.png",
                "type": "image/png",
                "disposition": "attachment",
                "content_id": "pic@far.test",
                "size": 4,
                "content": "iVBORw==",
                "omitted": None,
            },
            picture,
        )
        self.assertEqual(("message/rfc822", None), (inner["type"], inner["omitted"]))
        self.assertTrue(data["complete"])

    def test_large_attachments_are_left_out(self) -> None:
        picture, _ = self.parsed(PARTS, limit=3)["attachments"]
        self.assertEqual((4, None, "too large"), tuple(picture[n] for n in ("size", "content", "omitted")))

    def test_too_large_to_take_apart(self) -> None:
        data = self.parsed(PARTS, most=100)
        self.assertEqual(
            (False, "über alles", None, []),
            (data["complete"], data["subject"], data["text"], data["attachments"]),
        )

    def test_from_a_file(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(PARTS)
        self.assertEqual("über alles", self.parsed(FileContent(path, len(PARTS)))["subject"])
        path.write_bytes(PARTS[:-10])
        self.assertRaises(OSError, self.parsed, FileContent(path, len(PARTS)))

    def test_hostile(self) -> None:
        """Whatever it is, it becomes JSON that is Unicode."""
        nested = b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(500)
        )
        for content in (
            b"",
            b"\xff\xfe: \x80\r\n\r\n\x80",
            b"Subject: =?nosuch?q?x?= =?utf-8?b?!!!?=\r\n\r\n",
            b"Content-Type: text/plain; charset=nosuch\r\n\r\n\xfc",
            b'Content-Type: text/plain; charset="idna"\r\n\r\n' + b"x" * 5000,
            b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n!!",
            b"Content-Type: multipart/mixed\r\n\r\nno boundary",
            b"From: " + b"(" * 3000 + b"\r\nTo: @@,,<<>>\r\n\r\n",
            b"Content-Disposition: attachment; filename*=x'y'%ff%\r\n\r\n",
            nested,
        ):
            data = self.parsed(content)
            json.dumps(data, ensure_ascii=False).encode("utf-8")


class SignatureTests(SynchronousTestCase):
    """Standard Webhooks."""

    SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    def test_published_vector(self) -> None:
        """What the libraries of Standard Webhooks test themselves with."""
        found = signature(
            parse_secrets(self.SECRET),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            [b'{"test": ', b"2432232314}"],
        )
        self.assertEqual("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", found)

    def test_several_secrets(self) -> None:
        secrets = parse_secrets(f"# new\n{self.SECRET}\n\n# old\nwhsec_{'QUJD' * 10}\n")
        self.assertEqual(2, signature(secrets, "i", 1, [b"x"]).count("v1,"))

    def test_what_is_no_secret(self) -> None:
        for text, words in (
            ("", "no secret"),
            ("whsec_!!!", "line 1 is not base64"),
            ("\nwhsec_QUJD", "line 2 has 3 octets"),
        ):
            error = self.assertRaises(ValueError, parse_secrets, text)
            self.assertIn(words, str(error))
            self.assertNotIn("QUJD", str(error))
