"""The dashboard as an attacker meets it, without a browser: hostile forms and queries, foreign ids, paths."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

from twisted.internet.defer import Deferred

from mta.dashboard.role import Right
from tests import hostile
from tests.api.v1.channel import Answer
from tests.e2e.test_dashboard_roles import Walk

#: Where each kind of payload is tried: enough of each that this ends soon.
SOME = (
    hostile.HTML[0],
    hostile.HTML[5],
    hostile.ONE_LINE,
    hostile.ADDRESSES[4],
    *hostile.LANGUAGES[5:9],
    *hostile.LINES[:1],
    hostile.TERMINAL[8],
    *hostile.BOMBS,
)


class AttackTests(Walk):
    """See the module."""

    def wrong(self, what: str, answer: Answer) -> Iterator[str]:
        """What an answer must not be, whatever was asked."""
        if answer.status >= 500 or not answer.status:
            yield f"{what}: {answer.status}"
        head = answer.octets.partition(b"\r\n\r\n")[0]
        if b"\nx-canary" in head.lower():
            yield f"{what}: a field of ours was ended: {head!r}"
        to = answer.headers.get("location", "")
        if to and (not to.startswith("/dashboard/") or to.startswith("//") or "\\" in to):
            yield f"{what}: leads to {to!r}"
        if "text/html" in answer.headers.get("content-type", ""):
            for one in hostile.made(answer.content.decode("utf-8", "replace")):
                yield f"{what}: {one}"

    def test_queries(self) -> Deferred[None]:
        """No query breaks a page, or becomes a part of it."""

        async def walk() -> None:
            await self._begin()
            found: list[str] = []
            for page in self.pages:
                if page.method != "GET" or page.query is None:
                    continue
                for text in SOME:
                    query = urlencode(dict.fromkeys(page.query.model_fields, text[:4000]))
                    answer = await self.ask("administrator", "GET", f"{self.path(page)}?{query}")
                    found += self.wrong(f"GET {page.path} with {text[:40]!r}", answer)
            self.assertEqual([], found)

        return Deferred.fromCoroutine(walk())

    def test_forms(self) -> Deferred[None]:
        """No form breaks a page, or becomes a part of it."""

        async def walk() -> None:
            await self._begin()
            found: list[str] = []
            for page in self.pages:
                if page.method != "POST" or page.right is Right.ANYBODY:
                    continue
                for text in SOME:
                    fields = dict.fromkeys(page.form.model_fields if page.form else (), text)
                    if any(page.path.endswith(end) for end in ("/remove", "/revoke", "/erase")):
                        # What is named does not exist.
                        fields = dict.fromkeys(fields, f"{text}.")
                    fields |= {"csrf": self.proofs["administrator"], "confirmed": "yes"}
                    answer = await self.ask("administrator", "POST", self.path(page), fields)
                    found += self.wrong(f"POST {page.path} with {text[:40]!r}", answer)
            self.assertEqual([], found)

        return Deferred.fromCoroutine(walk())
