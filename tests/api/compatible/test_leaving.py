"""Placeholders of links by which recipients leave: tables."""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.api.compatible import leaving
from mta.api.compatible.leaving import POSTMARK, SENDGRID

LINK = '<a href="%unsubscribe_url%">{}</a>'


class PlaceholderTests(SynchronousTestCase):
    def test_placed(self) -> None:
        """What stands in a text and in HTML, and what becomes of it."""
        table: list[tuple[re.Pattern[str], str, str, str]] = [
            (POSTMARK, "a {{{ pm:unsubscribe }}}", "a %unsubscribe_url%", "a " + LINK.format("Unsubscribe")),
            (POSTMARK, "{{{pm:unsubscribe_url}}}", "%unsubscribe_url%", "%unsubscribe_url%"),
            (POSTMARK, "{{ PM:unsubscribe_url }}", "%unsubscribe_url%", "%unsubscribe_url%"),
            (
                POSTMARK,
                '<a href="{{{ pm:unsubscribe }}}">',
                '<a href="%unsubscribe_url%">',
                '<a href="%unsubscribe_url%">',
            ),
            (POSTMARK, "{{{ pm:other }}}", "{{{ pm:other }}}", "{{{ pm:other }}}"),
            (SENDGRID, "<%asm_group_unsubscribe_raw_url%>", "%unsubscribe_url%", "%unsubscribe_url%"),
            (SENDGRID, "<%asm_group_unsubscribe_url%>", "%unsubscribe_url%", LINK.format("Unsubscribe")),
            (SENDGRID, "<% asm_preferences_raw_url %>", "%unsubscribe_url%", "%unsubscribe_url%"),
            (SENDGRID, "<%asm_global_unsubscribe_raw_url%>", "%unsubscribe_url%", "%unsubscribe_url%"),
        ]
        for pattern, text, plain, html in table:
            self.assertEqual(plain, leaving.placed(pattern, text, html=False))
            self.assertEqual(html, leaving.placed(pattern, text, html=True))
        self.assertIsNone(leaving.placed(POSTMARK, None, html=True))

    def test_asks(self) -> None:
        self.assertTrue(leaving.asks(POSTMARK, None, "x {{{ pm:unsubscribe }}}"))
        self.assertTrue(leaving.asks(POSTMARK, "%unsubscribe_url%"))
        self.assertFalse(leaving.asks(POSTMARK, "x", None))

    def test_tracked(self) -> None:
        """Settings, a body, and what goes out."""
        table: list[tuple[dict[str, Any], bool, str, str]] = [
            ({"substitution_tag": "[here]"}, False, "a [here]", "a %unsubscribe_url%"),
            ({"substitution_tag": "[here]", "text": "<% %>"}, False, "a", "a"),
            ({"text": "Leave: <% %>"}, False, "a", "a\n\nLeave: %unsubscribe_url%\n"),
            ({"text": "Leave"}, False, "a", "a\n\nLeave %unsubscribe_url%\n"),
            ({}, False, "a", "a\n\nUnsubscribe: %unsubscribe_url%\n"),
            ({}, False, "a %unsubscribe_url%", "a %unsubscribe_url%"),
            (
                {"html": "<i><% go %></i>"},
                True,
                "<body>a</body>",
                f"<body>a<i>{LINK.format('go')}</i></body>",
            ),
            ({"html": "<i>Leave</i>"}, True, "a", f"a<i>Leave</i> {LINK.format('Unsubscribe')}"),
            ({}, True, "a", f"a<p>{LINK.format('Unsubscribe')}</p>"),
        ]
        for settings, html, text, expected in table:
            self.assertEqual(expected, leaving.tracked(settings, text, html=html))
        self.assertIsNone(leaving.tracked({}, None, html=True))
