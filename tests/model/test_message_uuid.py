from __future__ import annotations

from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from mta.model.ids import encode_id
from mta.model.message_uuid import message_of, uuid_of


class MessageUuidTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        for number in (0, 1, 1 << 61, 1 << 62, (1 << 63) - 1, 0x1234_5678_9ABC_DEF0 >> 1):
            text = uuid_of(encode_id(number))
            self.assertEqual(encode_id(number), message_of(text))
            self.assertEqual((8, "specified in RFC 4122"), (UUID(text).version, UUID(text).variant))

    def test_others(self) -> None:
        for text in ("", "x", "d12c2f1c-60f3-4258-b163-d17052546ae4", "6d746100-0000-8000-0000-000000000000"):
            with self.assertRaises(ValueError):
                message_of(text)
