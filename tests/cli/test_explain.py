"""`mta explain`, and the tables behind it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.model.catalogue import REPLIES
from mta.model.standards import codes_in, reply_code, status_code
from mta.model.standards_replies import REPLY_CODES
from mta.model.standards_status import STATUS_CODES
from tests.cli.command import call

#: RFC 5321 (4.2.3), and of RFC 1985, 2645, 3207, 4954, 5248, 7504.
RFC_REPLIES = [
    *(211, 214, 220, 221, 235, 250, 251, 252, 253, 334, 354),
    *(421, 432, 450, 451, 452, 453, 454, 455, 458, 459),
    *(500, 501, 502, 503, 504, 521, 523, 524, 525, 530, 534, 535, 538, 550, 551, 552, 553, 554, 555, 556),
]
#: The registry of RFC 5248: how many details each subject has.
REGISTERED = {0: 1, 1: 11, 2: 5, 3: 7, 4: 8, 5: 7, 6: 11, 7: 31}


class TableTests(SynchronousTestCase):
    def test_every_reply_code(self) -> None:
        """Every code of the RFCs is in the table itself, once."""
        known = [item.code for item in REPLY_CODES]
        self.assertEqual([], sorted(set(map(str, RFC_REPLIES)) - set(known)))
        self.assertEqual(len(known), len(set(known)))

    def test_every_status_code(self) -> None:
        known = [item.code for item in STATUS_CODES]
        wanted = {f"{subject}.{detail}" for subject, count in REGISTERED.items() for detail in range(count)}
        self.assertEqual([], sorted(wanted - set(known)))
        self.assertEqual(len(known), len(set(known)))

    def test_words(self) -> None:
        """Each says what it means, why, and what to do."""
        for item in (*REPLY_CODES, *STATUS_CODES):
            for words in (item.meaning, item.cause, item.remedy):
                self.assertTrue(words.endswith("."), (item.code, words))
            self.assertNotIn("  ", item.meaning + item.cause + item.remedy, item.code)

    def test_every_entry_of_ours(self) -> None:
        """What we say is explained, and its codes are standard ones."""
        for entry in REPLIES:
            result = call("explain", entry.name)
            self.assertEqual(0, result.status, entry)
            self.assertIn(f"[{entry.name}]", result.out)
            self.assertNotIn("Not a standard", result.out, entry)
            self.assertNotIn("Not a registered", result.out, entry)

    def test_unknown_by_digits(self) -> None:
        code = status_code("4.4.99")
        assert code is not None
        self.assertIn("the network", code.meaning)
        self.assertIn("tried again", code.meaning)
        for wrong in ("6.1.1", "5.1", "5.1.1.1", "", "550"):
            self.assertIsNone(status_code(wrong))
        reply = reply_code("571")
        assert reply is not None
        self.assertIn("permanent", reply.meaning)
        for wrong in ("199", "99", "5500", ""):
            self.assertIsNone(reply_code(wrong))

    def test_pasted(self) -> None:
        cases = {
            "550-5.7.26 This mail has been blocked": ("550", "5.7.26"),
            "host mx[192.0.2.10] said: 421 4.7.0 Try later (in reply to end of DATA)": ("421", "4.7.0"),
            "status=bounced (host x[10.250.1.1] said: 554 no)": ("554", ""),
            "550 #5.1.0 Address rejected": ("550", "5.1.0"),
            "Diagnostic-Code: smtp; 552 5.2.2 full": ("552", "5.2.2"),
            "dsn=4.4.1, status=deferred": ("", "4.4.1"),
            "at 12:34 from 192.0.2.250": ("", ""),
        }
        for text, (reply, enhanced) in cases.items():
            codes = codes_in(text)
            self.assertEqual((reply, enhanced), (codes.reply, codes.enhanced), text)


class ExplainTests(SynchronousTestCase):
    def test_reply_code(self) -> None:
        """First our own, then the standard's meaning."""
        out = call("explain", "552").out
        self.assertLess(out.index("message-too-large"), out.index("From any server"))
        self.assertIn("RFC 5321", out)

    def test_pasted_reply_of_ours(self) -> None:
        """Of several entries with these codes, the one whose words were pasted."""
        line = str(REPLIES.reply("relay-denied", address="x@y.org", ref="s1"))
        out = call("explain", *line.split()).out
        self.assertIn("[relay-denied]", out)
        self.assertNotIn("[sender-not-owned]", out)

    def test_enhanced(self) -> None:
        self.assertIn("SPF failed (permanent)", call("explain", "5.7.23").out)
        self.assertIn("SPF failed", call("explain", "X.7.23").out)

    def test_json(self) -> None:
        value = call("explain", "550", "--json").json
        self.assertIn("mailbox-unknown", [entry["name"] for entry in value["ours"]])
        self.assertEqual("550", value["standards"][0]["code"])

    def test_pasted_reply_of_another_server(self) -> None:
        """It is read as the queue would read it."""
        line = (
            "status=deferred (host mx.example.net[192.0.2.1] said: 450 4.2.0 <x@example.net>: Recipient "
            "address rejected: Greylisted (in reply to RCPT TO command))"
        )
        result = call("explain", line)
        self.assertTrue(result.out.startswith("From another server it means: greylisted"), result.out)
        self.assertIn("tried again soon, but not within 5 minutes", " ".join(result.out.split()))
        value = call("explain", line, "--json").json["class"]
        self.assertEqual(("greylisted", "recipient", 300.0), (value["name"], value["scope"], value["delay"]))

    def test_provider_in_a_pasted_line(self) -> None:
        line = "host mta5.am0.yahoodns.net[192.0.2.1] said: 553 5.7.2 [TSS09] All messages will be"
        self.assertIn("[yahoo]", call("explain", line).out)

    def test_codes_alone_are_of_no_class(self) -> None:
        self.assertIsNone(call("explain", "550", "5.7.1", "--json").json["class"])

    def test_class(self) -> None:
        out = call("explain", "greylisted").out
        self.assertIn("Replies of this class mean: greylisted", out)
        self.assertEqual("recipient", call("explain", "greylisted", "--json").json["scope"])

    def test_rules_of_the_operator(self) -> None:
        """The configuration's own rules are asked first."""
        path = Path(self.mktemp())
        path.write_text('[[bounce]]\nmeans = "size"\ntext = ["xyzzy"]\n')
        out = call("--config", str(path), "explain", "550 5.7.1 xyzzy").out
        self.assertTrue(out.startswith("From another server it means: size"), out)
        path.write_text("nonsense = 1\n")
        self.assertIn("policy", call("--config", str(path), "explain", "550 5.7.1 xyzzy").out)

    def test_list(self) -> None:
        self.assertIn("mailbox-unknown", call("explain").out)
        self.assertEqual(len(list(REPLIES)), len(call("--json", "explain").json))

    def test_nonsense(self) -> None:
        result = call("explain", "relay-denid")
        self.assertEqual(os.EX_USAGE, result.status)
        self.assertIn("did you mean 'relay-denied'?", result.err)

    def test_quick(self) -> None:
        """It starts without Twisted, httpx and the like, in a fraction of a second."""
        code = (
            "import sys; from mta.cli.main import main; main(['explain', '550']); "
            "slow = {'twisted', 'httpx', 'rich', 'pydantic'}; print(slow & {*sys.modules}, file=sys.stderr); "
            "import time; print(time.process_time(), file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        slow, seconds = done.stderr.splitlines()
        self.assertEqual("set()", slow)
        # Of the processor, because others may have it for most of the time.
        self.assertLess(float(seconds), 2.0)
