"""Addresses, ids, header fields, replies and events."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.model.address import Address, AddressError, domain_of, parse_address
from mta.model.catalogue import REPLIES, Catalogue, Entry
from mta.model.event import Received, Rejected, event_from
from mta.model.header import field_value, has_field, header_section
from mta.model.ids import IdSource, SessionIds, created_at, decode_id, encode_id, shard_of
from mta.model.reply import Reply
from mta.model.standards import status_code


class AddressTests(SynchronousTestCase):
    """RFC 5321, 4.1.2."""

    def test_round_trips(self) -> None:
        for text, local, domain in [
            ("ann@Example.ORG", "ann", "example.org"),
            ('"ann b"@example.org', "ann b", "example.org"),
            ('"a\\"b\\\\c"@x.test', 'a"b\\c', "x.test"),
            ("postmaster", "postmaster", ""),
            ("jörg@münchen.example", "jörg", "münchen.example"),
            ("x@[192.0.2.1]", "x", "[192.0.2.1]"),
        ]:
            address = parse_address(text)
            self.assertEqual((address.local, address.domain), (local, domain))
            self.assertEqual(parse_address(str(address)), address)

    def test_errors_say_what_is_wrong(self) -> None:
        for text, words in [
            ("", "local"),
            ("ann", "local"),
            ("@example.org", "local"),
            ("ann@", "local-part@domain"),
            ('"ann@example.org', "no end"),
            ("a b@example.org", "valid local"),
            ("x" * 65 + "@example.org", "longer than 64"),
            ("x@" + "y" * 256, "longer than 255"),
        ]:
            error = self.assertRaises(AddressError, parse_address, text)
            self.assertIn(words, str(error))

    def test_detail(self) -> None:
        self.assertEqual(parse_address("a+b+c@x.test").without_detail(), (Address("a", "x.test"), "b+c"))
        self.assertEqual(parse_address("+b@x.test").without_detail(), (Address("+b", "x.test"), ""))
        self.assertEqual(parse_address("a+b@x.test").without_detail("")[1], "")
        self.assertEqual(domain_of('"a@b"@X.test'), "x.test")
        self.assertEqual(domain_of(""), "")


class IdTests(SynchronousTestCase):
    """Queue ids."""

    def test_sorted_unique_and_of_their_shard(self) -> None:
        source = IdSource(5)
        ids = [source.next(1.8e9 + number // 70_000) for number in range(150_000)]
        self.assertEqual(ids, sorted(set(ids)))
        self.assertEqual({shard_of(text) for text in ids}, {5})
        self.assertAlmostEqual(created_at(ids[0]), 1.8e9, 2)

    def test_promised_to_another(self) -> None:
        """What is skipped is not given out, and a smaller one changes nothing."""
        source = IdSource(3)
        first = source.next(1_800_000_000.0)
        promised = IdSource(3).next(1_800_000_001.0)
        source.skip(promised)
        source.skip(first)
        self.assertGreater(source.next(1_800_000_000.0), promised)

    def test_clock_set_back(self) -> None:
        first = IdSource(1).next(1.8e9)
        again = IdSource(1, last=decode_id(first)).next(1.7e9)
        self.assertGreater(again, first)

    def test_reading(self) -> None:
        self.assertEqual(decode_id(encode_id(12345678901234567)), 12345678901234567)
        for text in ("", "short", "0a03zkr0u6000"):
            self.assertRaises(ValueError, decode_id, text)
        self.assertRaises(ValueError, IdSource, 64)

    def test_sessions(self) -> None:
        """None twice within a millisecond, also where counting begins anew."""
        ids = SessionIds(lambda: 1.8e9, 0xFFFFE)
        found = [ids.next() for _ in range(5)]
        self.assertEqual(5, len(set(found)))
        self.assertEqual({13}, {len(one) for one in found})
        self.assertEqual({"s"}, {one[0] for one in found})


class HeaderTests(SynchronousTestCase):
    """Reading header sections."""

    def test_sections_and_fields(self) -> None:
        data = b"Subject: a\r\n b\r\nMessage-Id:<1@x>\r\n\r\nDate: body\r\n"
        header = header_section(data)
        self.assertEqual(header, b"Subject: a\r\n b\r\nMessage-Id:<1@x>\r\n")
        self.assertEqual(field_value(header, b"subject"), b"a b")
        self.assertEqual(field_value(header, b"message-id"), b"<1@x>")
        self.assertFalse(has_field(header, b"date"))
        self.assertEqual(header_section(b"\r\nbody"), b"")
        self.assertEqual(header_section(b"Only: header\r\n"), b"Only: header\r\n")


class ReplyTests(SynchronousTestCase):
    """Replies and their catalogue."""

    def test_encoding(self) -> None:
        reply = Reply(550, ("first", "second"), "5.1.1")
        self.assertEqual(reply.encode(), b"550-5.1.1 first\r\n550 5.1.1 second\r\n")

    def test_no_line_can_be_smuggled_into_a_reply(self) -> None:
        reply = REPLIES.reply("mailbox-unknown", address="a\r\n250 ok", ref="r")
        self.assertEqual(reply.encode().count(b"\r\n"), 1)

    def test_catalogue_is_consistent(self) -> None:
        for entry in REPLIES:
            self.assertTrue(entry.cause and entry.remedy, entry.name)
            if entry.enhanced:
                # 421 may close a session for a permanent reason.
                self.assertTrue(entry.enhanced[0] == str(entry.code)[0] or entry.code == 421, entry.name)
            self.assertNotIn("\n", entry.text)
            if entry.enhanced:
                known = status_code(entry.enhanced)
                self.assertTrue(known is not None and known.source, f"{entry.name}: not registered")
        self.assertTrue(REPLIES.find("550") and REPLIES.find("5.1.1") and REPLIES.find("queued"))
        self.assertRaises(ValueError, Catalogue, (Entry("a", 250, "", "", "", ""),) * 2)


class EventTests(SynchronousTestCase):
    """Events as the journal keeps them."""

    def test_round_trip(self) -> None:
        event = Received(
            at=1.0, message="m", session="s", sender="A@b.test", recipients=["C@d.test"], message_id="<X@y>"
        )
        self.assertEqual(event_from("received", 1.0, "m", "s", event.payload()), event)
        self.assertEqual(event.keys(), ("a@b.test", "c@d.test", "<x@y>", "s"))
        self.assertEqual(event_from("received", 1.0, "m", "s", {**event.payload(), "later": 1}), event)
        self.assertNotIn("helo", event.payload())

    def test_unknown_kind(self) -> None:
        self.assertRaises(KeyError, event_from, "no-such", 1.0, "", "", {})
        self.assertEqual(Rejected(at=1.0, stage="mail", code=550, reply="no").payload()["code"], 550)
