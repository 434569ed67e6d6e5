"""No address leads out of the tree of Maildirs, and no two to one place."""

from __future__ import annotations

import os
from typing import ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.route.maildir_path import MaildirTemplate, component

STATE = "/srv/mta"
HOSTILE = st.text(alphabet=st.sampled_from("aA.%/\\2e5~+ @\0ü\u212ak{}"), max_size=12)
ANYTHING = st.one_of(HOSTILE, st.text(max_size=64))
RUN = settings(max_examples=300)


def folded(text: str) -> str:
    """In lower case, ASCII only."""
    return "".join(c.lower() if c.isascii() else c for c in text)


class ComponentTests(SynchronousTestCase):
    """One name for one local part."""

    TABLE: ClassVar = {
        "ann": "ann",
        "Ann.Smith": "ann.smith",
        "ann+tag": "ann+tag",
        "a_b-c=d~e": "a_b-c=d~e",
        "..": "%2e.",
        ".hidden": "%2ehidden",
        ".": "%2e",
        "a/b": "a%2fb",
        "../../etc/passwd": "%2e.%2f..%2fetc%2fpasswd",
        "a\0b": "a%00b",
        "%2e": "%252e",
        "100%": "100%25",
        "a b": "a%20b",
        "a@b": "a%40b",
        "": "%",
        "jürgen": "j%c3%bcrgen",
        "\u212a": "%e2%84%aa",
        "{state}": "%7bstate%7d",
        "a\n": "a%0a",
    }

    def test_table(self) -> None:
        for text, expected in self.TABLE.items():
            with self.subTest(text):
                self.assertEqual(expected, component(text))

    @RUN
    @given(ANYTHING)
    def test_stays(self, text: str) -> None:
        """It is one visible name, whatever the text."""
        made = component(text)
        self.assertNotIn("/", made)
        self.assertNotIn("\0", made)
        self.assertFalse(made.startswith("."))
        self.assertTrue(made)
        self.assertTrue(made.isascii() and made.isprintable())
        path = MaildirTemplate("{state}/mail/{domain}/{local}", STATE).path(text, "here.test")
        self.assertEqual(os.path.normpath(path), path)
        self.assertEqual("/srv/mta/mail/here.test", os.path.dirname(path))

    @RUN
    @given(ANYTHING, ANYTHING)
    def test_apart(self, one: str, other: str) -> None:
        """Two have the same name only if they differ in nothing but ASCII case."""
        same = component(one) == component(other)
        self.assertEqual(folded(one) == folded(other), same)

    def test_surrogates(self) -> None:
        """Octets that were no UTF-8 do not become what UTF-8 they look like."""
        self.assertNotEqual(component("\udcc3\udcbc"), component("ü"))
        self.assertTrue(component("\ud800").startswith("%"))

    @RUN
    @given(st.text(min_size=1, max_size=64).filter(lambda text: len(text.encode("utf-8", "replace")) <= 64))
    def test_short(self, text: str) -> None:
        """A file system takes it."""
        self.assertLessEqual(len(component(text)), 255)


class TemplateTests(SynchronousTestCase):
    """Templates of the settings and of a directory."""

    def test_filled(self) -> None:
        for text, expected in {
            "{state}/mail/{domain}/{local}": "/srv/mta/mail/here.test/ann",
            "/var/mail/{local}/Maildir": "/var/mail/ann/Maildir",
            "mail/{local}": "/srv/mta/mail/ann",
            "{state}/{domain}-{local}{local}": "/srv/mta/here.test-annann",
            "/fixed/place": "/fixed/place",
        }.items():
            with self.subTest(text):
                self.assertEqual(expected, MaildirTemplate(text, STATE).path("Ann", "here.test"))

    def test_refused(self) -> None:
        for text, word in {
            "/var/{user}": "{user}",
            "/var/{local.__class__}": "not known",
            "/var/{}": "not known",
            "../{local}": "..",
            "/a/../{local}": "..",
            "": "empty",
            "/a\0b": "NUL",
        }.items():
            with self.subTest(text):
                self.assertIn(word, str(self.assertRaises(ValueError, MaildirTemplate, text, STATE)))

    def test_braces_in_state(self) -> None:
        """A state directory with braces in its name is not taken for a field."""
        self.assertEqual("/a{b}/ann", MaildirTemplate("{state}/{local}", "/a{b}").path("ann", ""))
