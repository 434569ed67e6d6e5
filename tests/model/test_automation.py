"""Which rule follows from a reply, and when."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from mta.config.automations import automations_of, provider_automations
from mta.config.settings import Automation as Table
from mta.config.settings import Settings
from mta.model.automation import Automations
from mta.model.bounce_data import classify
from mta.model.outcome import RemoteReply

YAHOO = "mta5.am0.yahoodns.net [192.0.2.1]:25"


class SettingsTests(SynchronousTestCase):
    def test_mistakes(self) -> None:
        for settings, words in (
            ({"action": "suspend", "duration": "1h"}, "it fits every reply"),
            ({"text": ["x"], "action": "suspend"}, "it has to end"),
            ({"text": ["x"], "action": "slow", "duration": "1h"}, "needs connections or messages"),
            ({"text": ["x"], "action": "suspend", "duration": "1h", "connections": 1}, "are for"),
            ({"text": ["*"], "action": "suspend", "duration": "1h"}, "is empty"),
            ({"means": ["bad"], "action": "suspend", "duration": "1h"}, "there is no class 'bad'"),
            (
                {"provider": ["goggle"], "action": "suspend", "duration": "1h"},
                "there is no provider 'goggle'",
            ),
        ):
            error = self.assertRaises(ValidationError, Table.model_validate, settings)
            self.assertIn(words, str(error))

    def test_shipped(self) -> None:
        """Every rule that comes with the program has a name of its own, and can be left out."""
        names = [one.name for one in provider_automations()]
        self.assertEqual((len(names), False), (len(set(names)), None in names))
        self.assertEqual(names, [one.name for one in automations_of(Settings())])
        settings = Settings.model_validate({"relay": {"providers": False}})
        self.assertEqual([], automations_of(settings))


class RuleTests(SynchronousTestCase):
    def rules(self, *tables: dict[str, Any]) -> Automations:
        settings = Settings.model_validate({"automation": [*tables], "relay": {"providers": False}})
        return Automations(automations_of(settings))

    def heard(self, rules: Automations, reply: RemoteReply, now: float = 0.0, site: str = "s") -> str:
        found = rules.heard(reply, classify(reply), "far.test", site, now)
        return "" if found is None else found.name

    def test_what_it_looks_for(self) -> None:
        """All that is given must fit: class, provider, codes, words, host, command."""
        reply = RemoteReply(
            421, "4.7.0", "[TSS04] Messages from 192.0.2.9 temporarily deferred", YAHOO, "MAIL FROM"
        )
        for looks, fits in (
            ({"text": ["[tss04]"]}, True),
            ({"text": ["tss09", "tss04"]}, True),
            ({"text": ["tss09"]}, False),
            ({"provider": ["yahoo"]}, True),
            ({"provider": ["google"], "text": ["tss04"]}, False),
            ({"means": ["rate-limit"]}, True),
            ({"means": ["reputation", "rate-limit"], "code": ["421"]}, True),
            ({"means": ["reputation"]}, False),
            ({"code": ["4xx"], "enhanced": ["4.7.x"]}, True),
            ({"code": ["5xx"]}, False),
            ({"host": ["yahoodns.net"], "command": ["MAIL"]}, True),
            ({"host": ["far.test"]}, True),
            ({"command": ["RCPT"]}, False),
        ):
            rules = self.rules({**looks, "action": "suspend", "duration": "1h"})
            self.assertEqual(fits, bool(self.heard(rules, reply)), looks)

    def test_the_first_decides(self) -> None:
        rules = self.rules(
            {"text": ["one"], "action": "nothing"},
            {"name": "b", "text": ["one", "two"], "action": "suspend", "duration": "1h"},
        )
        replies = [RemoteReply(451, "4.7.0", word, "mx.far.test") for word in ("one", "two")]
        self.assertEqual(["", "b"], [self.heard(rules, reply) for reply in replies])

    def test_trigger(self) -> None:
        """So many within the time, for each site by itself; then it counts anew."""
        rules = self.rules(
            {"name": "a", "text": ["no"], "trigger": "3/1m", "action": "suspend", "duration": "1h"}
        )
        reply = RemoteReply(451, "4.7.0", "no", "mx.far.test")
        times = (0.0, 50.0, 61.0, 70.0, 71.0, 72.0, 73.0)
        self.assertEqual(["", "", "", "a", "", "", "a"], [self.heard(rules, reply, now) for now in times])
        self.assertEqual("", self.heard(rules, reply, 74.0, "other"))

    def test_of_providers(self) -> None:
        """Replies as providers give them, and the rules that come with the program."""
        rules = Automations(automations_of(Settings()))
        google = "alt1.gmail-smtp-in.l.google.com [192.0.2.1]:25"
        orange = "smtp-in.orange.fr [192.0.2.1]:25"
        for name, times, reply in (
            (
                "yahoo-deferred",
                3,
                RemoteReply(421, "4.7.0", "[TSS04] Messages from 192.0.2.9 deferred", YAHOO),
            ),
            ("yahoo-refused", 2, RemoteReply(421, "4.7.1", "[TS03] All messages will be deferred", YAHOO)),
            ("google-rate", 3, RemoteReply(421, "4.7.28", "an unusual rate of mail", google)),
            (
                "orange-connections",
                1,
                RemoteReply(421, "", "Too many connections, slow down. OFR004_104", orange),
            ),
            ("", 9, RemoteReply(421, "4.7.28", "an unusual rate of mail", "mx.far.test [192.0.2.1]:25")),
        ):
            found = [self.heard(rules, reply) for _ in range(times)]
            self.assertEqual(([""] * (times - 1), name), (found[:-1], found[-1]), str(reply))
