"""Whatever a template is and whatever the data are: parts or problems, and never anything else."""

from __future__ import annotations

import os
from email import message_from_string, policy

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.template.bundle import Bundle, Parts
from mta.template.problem import TemplateError
from mta.template.rendering import Compiled, header_text
from mta.template.variables import paths, sample, variables

_EXAMPLES = int(os.environ.get("MTA_FUZZ", "200"))
_LIMITS = settings(max_examples=_EXAMPLES)
_WORDS = st.sampled_from(
    [
        *(
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            "-%}",
            "{%-",
            "if",
            "else",
            "endif",
            "for",
            "in",
            "endfor",
            "x",
            "y.z",
        ),
        *(
            "set",
            "=",
            "block",
            "endblock",
            "trans",
            "endtrans",
            "pluralize",
            "include",
            "'p'",
            "extends",
            "|upper",
        ),
        *(
            "|number",
            "|date",
            "loop.index",
            "is defined",
            "(",
            ")",
            "[",
            "]",
            "1",
            "'a'",
            "\n",
            "\r\n",
            "<b>",
            "~",
        ),
        *(
            "macro m()",
            "endmacro",
            "raw",
            "endraw",
            "\ud800",
            "\0",
            "self",
            "super()",
            "not",
            "and",
            "|attr('x')",
        ),
    ]
)
_SOURCES = st.one_of(st.lists(_WORDS, max_size=25).map(" ".join), st.text(max_size=60))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["z", "items", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
_DATA = st.dictionaries(st.sampled_from(["x", "y", "p", "_", "gettext", "self"]), _VALUES, max_size=4)


class FuzzTests(SynchronousTestCase):
    """Templates of nobody."""

    @_LIMITS
    @given(_SOURCES, _SOURCES, _SOURCES, _SOURCES, _DATA, st.booleans())
    def test_templates(
        self, subject: str, text: str, html: str, partial: str, data: dict[str, object], strict: bool
    ) -> None:
        bundle = Bundle(
            Parts(subject, text, html), included={"p": Parts(text=partial, html=partial)}, strict=strict
        )
        try:
            compiled = Compiled(Bundle.decode(bundle.encode()))
            shape = variables(compiled)
            paths(shape)
            sample(shape)
            found = compiled.render(data, "de-AT")
        except TemplateError as error:
            for problem in error.problems:
                self.assertTrue(problem.what)
                self.assertGreaterEqual(problem.line, 0)
            return
        for part in (found.subject, found.text, found.html):
            part.encode()
        self.assertFalse(set(found.subject) & set("\r\n\0"))

    @_LIMITS
    @given(st.text(max_size=200))
    def test_subject_is_one_field(self, text: str) -> None:
        """As the standard library's parser sees it."""
        message = message_from_string(f"Subject: {header_text(text)}\n\nbody", policy=policy.compat32)
        self.assertEqual(["Subject"], message.keys())
        self.assertEqual("body", message.get_payload())
