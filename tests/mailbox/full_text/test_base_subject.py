"""RFC 5256, 2.1."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox.full_text.base_subject import base_subject


class BaseSubjectTests(SynchronousTestCase):
    """See the module."""

    def test_table(self) -> None:
        for subject, base in (
            ("hello", "hello"),
            ("Re: hello", "hello"),
            ("RE:  re: Fwd: FW : hello (fwd)", "hello"),
            ("Re[2]: hello", "hello"),
            ("re [ext] : hello", "hello"),
            ("[list] Re: hello (FWD) ", "hello"),
            ("[list] hello", "hello"),
            ("Re: [list] [other] re: hello", "hello"),
            ("[list]", "[list]"),
            ("[Fwd: Re: hello]", "hello"),
            ("[fwd: [fwd: hello (fwd)]]", "hello"),
            ("Re: ", ""),
            ("reply: hello", "reply: hello"),
            ("hello [list]", "hello [list]"),
            ("", ""),
        ):
            self.assertEqual(base, base_subject(subject), subject)

    def test_hostile(self) -> None:
        """It ends, and soon."""
        for subject in ("[" * 100_000, "[a]" * 100_000, "re:" * 100_000, "[fwd:" * 9_000 + "]" * 9_000):
            base_subject(subject)
