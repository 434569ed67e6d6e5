"""Other services' own programs send through this server, with another URL and nothing else changed.

``tools/set-up.sh clients`` fetches them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from mta.model.message_uuid import message_of
from tests.e2e.test_compatible import CompatibleCase

PYTHON = Path(sys.prefix) / "clients" / "bin" / "python"
PROGRAM = Path(__file__).with_name("vendor_client.py")


class VendorClientTests(CompatibleCase):
    async def run_it(self, which: str) -> Any:
        """What the program tells; the address ``gone`` is suppressed."""
        if not PYTHON.exists():
            raise SkipTest("the clients are not there; `tools/set-up.sh clients` fetches them")
        await self.begun()
        await self.template()
        await self.suppressed("gone@example.org")
        port = reactor.listenTCP(0, self.api.server.api.site, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        url = f"http://127.0.0.1:{port.getHost().port}/"
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        out, err, code = await getProcessOutputAndValue(
            str(PYTHON), [str(PROGRAM), which, url, self.key], environment
        )
        self.assertEqual(0, code, err.decode())
        return json.loads(out)

    async def whole(self, count: int) -> None:
        """What anymail's message has become at the first recipient."""
        messages = await self.arrived("ann@example.org", count)
        message = next(one for one in messages if one["Cc"])
        self.assertEqual(("Größe", "The Shop <shop@example.org>"), (message["Subject"], message["From"]))
        self.assertEqual(("17", "help@example.org"), (message["X-Order"], message["Reply-To"]))
        self.assertEqual("ben@example.org", message["Cc"])
        kinds = {part.get_content_type(): part for part in message.walk()}
        self.assertEqual(b"\x89PNG", kinds["image/png"].get_content())
        cid = kinds["image/png"]["Content-ID"].strip("<>")
        self.assertIn(f"cid:{cid}", kinds["text/html"].get_content())
        files = [part.get_filename() for part in message.iter_attachments()]
        self.assertIn("terms.txt", files)

    async def test_anymail_postmark(self) -> None:
        told = await self.run_it("anymail_postmark")
        self.assertEqual("sent", told["one"]["ann@example.org"][0])
        self.assertEqual("sent", told["one"]["ben@example.org"][0])
        many = {status[1] for status in told["many"].values()}
        self.assertEqual(2, len(many), "each has a message of its own")
        self.assertIn("Sender Signature", told["refused"])
        self.assertEqual({"gone@example.org": ["rejected", None]}, told["suppressed"])
        await self.whole(2)
        event = await self.received(message_of(told["one"]["ann@example.org"][1]))
        self.assertEqual((["order"], {"order": "17"}), (event.tagged, event.metadata))

    async def test_anymail_sendgrid(self) -> None:
        told = await self.run_it("anymail_sendgrid")
        self.assertEqual("queued", told["one"]["ann@example.org"][0])
        self.assertIn("403", told["refused"])
        await self.whole(2)

    async def test_postmarker(self) -> None:
        told = await self.run_it("postmarker")
        self.assertEqual([0, "OK"], [told["one"]["ErrorCode"], told["one"]["Message"]])
        self.assertEqual([0, 300], [one["ErrorCode"] for one in told["batch"]])
        self.assertEqual(0, told["templated"]["ErrorCode"])
        self.assertEqual(400, told["refused"][0])
        subjects = [one["Subject"] for one in await self.arrived("ann@example.org", 3)]
        self.assertEqual({"Hi", "1", "Hello Ann"}, set(subjects))

    async def test_postmark(self) -> None:
        told = await self.run_it("postmark")
        self.assertEqual(0, told["one"]["error_code"])
        self.assertEqual([0, 300], [one["error_code"] for one in told["batch"]])
        self.assertEqual(["InactiveRecipientException", ["gone@example.org"]], told["gone"])
        await self.arrived("ann@example.org", 2)

    async def test_sendgrid(self) -> None:
        told = await self.run_it("sendgrid")
        self.assertEqual([202, 202], [told["one"][0], told["many"][0]])
        self.assertEqual(403, told["refused"][0])
        self.assertIn("does not match a verified Sender", told["refused"][1]["errors"][0]["message"])
        event = await self.received(told["one"][1])
        self.assertEqual((["order"], {"order": "17"}), (event.tagged, event.metadata))
        messages = await self.arrived("ann@example.org", 2)
        self.assertEqual({"Größe", "Hello Ann"}, {one["Subject"] for one in messages})
