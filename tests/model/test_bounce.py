"""What replies of other servers mean."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.model.bounce import OURSELVES, Classifier, Rule, plain, stands_in
from mta.model.bounce_classes import BY_NAME, CLASSES
from mta.model.bounce_data import classifier, classify, default_classifier, shipped
from mta.model.catalogue import REPLIES as OUR_REPLIES
from mta.model.outcome import RemoteReply

REPLIES = Path(__file__).with_name("bounce_replies.txt")
_REPLY = re.compile(r"(?:(\w+):)?(\d{3})[ -](?:#?(\d\.\d{1,3}\.\d{1,3}) )?(.*)")


def replies() -> Iterator[tuple[str, RemoteReply]]:
    """Each reply of the table, with its class."""
    for line in REPLIES.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, host, reply = line.split(" | ", 2)
            found = _REPLY.fullmatch(reply)
            assert found, line
            command, code, enhanced, text = found.groups()
            said = RemoteReply(int(code), enhanced or "", text, f"{host} [192.0.2.25]", command or "")
            yield name, said


def said(code: int, enhanced: str = "", text: str = "no", **facts: str) -> RemoteReply:
    return RemoteReply(code, enhanced, text, **{"host": "mx.far.test [192.0.2.1]", **facts})


class TableTests(SynchronousTestCase):
    def test_replies(self) -> None:
        """Hundreds of replies are what they are."""
        table = list(replies())
        self.assertGreater(len(table), 250)
        wrong = [
            f"{found.name} by {found.rule}, not {name}: {reply.text}"
            for name, reply in table
            if (found := classify(reply)).name != name
        ]
        self.assertEqual([], wrong)

    def test_every_class(self) -> None:
        """Each class but that of time has a reply in the table, so that none is out of reach."""
        self.assertEqual({"expired"}, BY_NAME.keys() - {name for name, _ in replies()})

    def test_refused_for_good(self) -> None:
        """A 5xx is never tried again, a 4xx never given up, whatever the words."""
        for name, reply in replies():
            action = classify(reply).action
            self.assertEqual(reply.code >= 500, action == "fail", (name, reply))

    def test_pasted(self) -> None:
        """A line of a log is read as the reply in it."""
        wrong = []
        for name, reply in replies():
            command = f" (in reply to {reply.command} TO command)" if reply.command else ""
            host = reply.host.replace(" [", "[")
            line = f"host {host} said: {reply.code} {reply.enhanced} {reply.text}{command}"
            found = default_classifier().classify_pasted(line)
            if found is None or found.name != name:
                wrong.append((name, found and found.name, found and found.rule, line))
        self.assertEqual([], wrong)

    def test_words(self) -> None:
        """Each class and each rule speaks in whole sentences."""
        rules, _ = shipped()
        words = [text for one in CLASSES for text in (one.cause, one.remedy, one.operator)]
        words += [text for rule in rules for text in (rule.cause, rule.remedy) if text]
        for text in words:
            self.assertRegex(text, r"\A[A-Z].*[.]\Z")
            self.assertNotIn("  ", text)

    def test_rules(self) -> None:
        """Rules that come with the program name what there is, look for something, and decide nothing."""
        rules, providers = shipped()
        for rule in rules:
            self.assertIn(rule.means, BY_NAME)
            self.assertEqual(set(), set(rule.provider) - providers.keys() - {OURSELVES}, rule)
            self.assertTrue(rule.text or rule.code or rule.enhanced, rule)
            self.assertIsNone(rule.action, rule)
            for phrase in rule.text:
                self.assertGreater(len(phrase.replace("*", "").strip()), 2, rule)

    def test_fast(self) -> None:
        """A refusal costs less to understand than to receive."""
        table = [reply for _, reply in replies()]
        fresh = classifier()
        begin = time.process_time()
        for reply in table:
            fresh.classify(reply)
        each = (time.process_time() - begin) / len(table)
        self.assertLess(each, 0.005)
        begin = time.process_time()
        for reply in table:
            fresh.classify(reply)
        self.assertLess((time.process_time() - begin) / len(table), 0.0005)


class ClassificationTests(SynchronousTestCase):
    def test_greylisted(self) -> None:
        found = classify(said(450, "4.2.0", "Greylisted, come again", command="RCPT TO"))
        self.assertEqual(("soon", 300.0, 600.0), (found.action, found.delay, found.soon))
        self.assertEqual("it is tried again soon, but not within 5 minutes", found.consequence)

    def test_full(self) -> None:
        found = classify(said(452, "4.2.2"))
        self.assertEqual(("later", "recipient", 7200.0), (found.action, found.scope, found.delay))
        self.assertEqual("fail", classify(said(552, "5.2.2")).action)

    def test_full_here(self) -> None:
        """A mailbox of this machine costs little to look at: by the schedule."""
        reply = OUR_REPLIES.reply("mailbox-over-quota", address="ann@b.test")
        found = classify(RemoteReply(reply.code, reply.enhanced, reply.text))
        self.assertEqual(("full", "later", 0.0), (found.name, found.action, found.delay))
        self.assertEqual("it is tried again by the schedule", found.consequence)

    def test_site(self) -> None:
        """What holds for all mail from here says how long to wait."""
        slow = classify(said(421, "4.7.0", "Error: too many connections from 192.0.2.1"))
        self.assertEqual(("rate-limit", "slow", True), (slow.name, slow.action, slow.is_site_wide))
        blocked = classify(said(554, "5.7.1", "Client host [192.0.2.1] blocked using zen.spamhaus.org"))
        self.assertEqual(("fail", True, 900.0), (blocked.action, blocked.is_site_wide, blocked.suspend))
        self.assertIn("rest for 15 minutes", blocked.consequence)

    def test_one_sender(self) -> None:
        """What is about one sender's domain stops nobody else."""
        text = "suspicious due to the very low reputation of the sending domain"
        found = classify(said(421, "4.7.0", text, host="aspmx.l.google.com [192.0.2.1]"))
        self.assertEqual(("reputation", "sender", 0.0), (found.name, found.scope, found.suspend))

    def test_provider(self) -> None:
        """Words of a provider count where that provider says them."""
        text = "Internal resource temporarily unavailable"
        self.assertEqual("greylisted", classify(said(451, "", text, host="eu.mimecast.com [192.0.2.1]")).name)
        self.assertEqual("busy", classify(said(451, "", text)).name)
        self.assertEqual("mimecast", classify(said(451, "", text, host="eu.mimecast.com")).provider)
        self.assertEqual("", classify(said(451, "", text, host="notmimecast.com")).provider)

    def test_ours(self) -> None:
        """What we say of a connection that failed is no word of the provider."""
        found = classify(
            RemoteReply(451, "4.4.1", "No mail server answers: refused", "", "connect"), "gmail.com"
        )
        self.assertEqual(("connection", "self"), (found.name, found.provider))

    def test_nothing_known(self) -> None:
        found = classify(said(554))
        self.assertEqual(("other", "fail", ""), (found.name, found.action, found.rule))
        self.assertEqual("transient", classify(said(451)).name)

    def test_not_pasted(self) -> None:
        for text in ("550", "5.7.1", "550 5.7.1", "nothing of that kind", ""):
            self.assertIsNone(default_classifier().classify_pasted(text), text)

    def test_pasted_without_host(self) -> None:
        found = default_classifier().classify_pasted(
            "553 5.7.2 [TSS09] All messages will be permanently deferred"
        )
        assert found is not None
        self.assertEqual("reputation", found.name)

    @given(st.integers(400, 599), st.text(max_size=80), st.text(max_size=300))
    def test_anything(self, code: int, enhanced: str, text: str) -> None:
        """Whatever a stranger says is of some class."""
        found = classify(RemoteReply(code, enhanced, text, "x.test"))
        self.assertIn(found.name, BY_NAME)
        default_classifier().classify_pasted(f"{code} {text}")


class OwnRuleTests(SynchronousTestCase):
    """What an operator adds."""

    def test_before_all_others(self) -> None:
        own = Rule("rate-limit", text=["User unknown"], host=["far.test"], suspend=60.0)
        found = classifier([own]).classify(said(450, "4.1.1", "user UNKNOWN"))
        self.assertEqual(("rate-limit", 60.0), (found.name, found.suspend))
        self.assertEqual(
            "bad-mailbox", classifier([own]).classify(said(550, "5.1.1", "x", host="y.test")).name
        )

    def test_everything_must_fit(self) -> None:
        own = Rule("size", text=["a*c"], code=["55x"], enhanced=["5.7.xxx"], command=["rcpt"])
        reads = classifier([own])
        self.assertEqual("size", reads.classify(said(554, "5.7.123", "abc", command="RCPT TO")).name)
        for reply in (
            said(540, "5.7.123", "abc", command="RCPT TO"),
            said(554, "5.7.12", "abc", command="RCPT TO"),
            said(554, "5.7.123", "cba", command="RCPT TO"),
            said(554, "5.7.123", "abc", command="DATA"),
        ):
            self.assertNotEqual("size", reads.classify(reply).name, reply)

    def test_next_hop(self) -> None:
        reads = classifier([Rule("spam", host=["corp.test"])])
        self.assertEqual("spam", reads.classify(said(550), "mail.corp.test:25").name)
        self.assertEqual("spam", reads.classify(said(550), "corp.test").name)
        self.assertNotEqual("spam", reads.classify(said(550), "notcorp.test").name)

    def test_against_the_code(self) -> None:
        reads = classifier([Rule("other", text=["maybe"], action="retry"), Rule("full", action="fail")])
        found = reads.classify(said(550, "", "maybe"))
        self.assertEqual(("retry", True), (found.action, found.is_decided))
        self.assertEqual("fail", reads.classify(said(452, "", "x")).action)

    def test_words(self) -> None:
        reads = classifier([Rule("other", text=["xyzzy"], cause="Magic.", remedy="Say plugh.")])
        found = reads.classify(said(550, "", "xyzzy"))
        self.assertEqual(("Magic.", "Say plugh."), (found.cause, found.remedy))

    def test_mistakes(self) -> None:
        self.assertRaises(ValueError, Classifier, [Rule("nonsense")])
        self.assertRaises(ValueError, Classifier, [Rule("spam", provider=["nobody"])])


class PhraseTests(SynchronousTestCase):
    def test_stands_in(self) -> None:
        for phrase, text, expected in (
            ("uce", "a source of uce", True),
            ("uce", "a source", False),
            ("user*unknown", "user <x@y> is unknown", True),
            ("user*unknown", "unknown user", False),
            ("(#5", "a(#5.1.1)", True),
            ("x", "", False),
        ):
            self.assertIs(expected, stands_in(phrase.split("*"), plain(text)), phrase)

    def test_plain(self) -> None:
        self.assertEqual("it isn't so", plain(" It  isn\u2019t\tso\r\n"))
