"""Renderers are processes: what does not end is ended, and nobody else notices."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from mta.template.bundle import Bundle, Parts, Rendered
from mta.template.framing import FrameError, Frames, frame
from mta.template.pool import Limits, Pool
from mta.template.problem import TemplateError


def bundle(text: str, **more: Any) -> Bundle:
    """A template of one text."""
    return Bundle(Parts("s", text), **more)


class PoolTests(TestCase):
    """Real processes."""

    timeout = 300

    def setUp(self) -> None:
        self.pool = Pool(reactor, Limits(seconds=0.3, memory=64 << 20, processes=1))
        self.addCleanup(lambda: Deferred.fromCoroutine(self.pool.stop()))

    async def problem(self, text: str, data: dict[str, Any] | None = None) -> Any:
        (found,) = await self.pool.render(bundle(text), [(data or {}, "")])
        self.assertNotIsInstance(found, Rendered)
        return found[0]

    async def test_many(self) -> None:
        """More than a chunk, in order, wrong ones among them."""
        items = [({"n": n} if n % 100 else {}, "") for n in range(1, 451)]
        found = await self.pool.render(bundle("{{ n }}"), items)
        right = [one.text for one in found if isinstance(one, Rendered)]
        self.assertEqual([str(n) for n in range(1, 451) if n % 100], right)
        self.assertEqual(["n"] * 4, [one[0].variable for one in found if not isinstance(one, Rendered)])

    async def test_about(self) -> None:
        about = await self.pool.about(bundle("{{ user.name }}{% trans %}Hi{% endtrans %}"))
        self.assertEqual(["user.name"], about["variables"])
        self.assertEqual({"user": {"name": "Ann Example"}}, about["sample"])
        self.assertEqual(["Hi"], about["messages"])

    async def test_wrong_template(self) -> None:
        error = await self.assertFailure(
            Deferred.fromCoroutine(self.pool.render(bundle("{{"), [({}, "")])), TemplateError
        )
        self.assertEqual(1, error.problems[0].line)

    async def test_endless_loop_is_told_with_its_line(self) -> None:
        loops = "\n{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
        found = await self.problem(loops)
        self.assertEqual(("limit", "text", 2), (found.kind, found.part, found.line))

    async def test_memory(self) -> None:
        for text in (
            "{{ 'x' * 10**9 }}",
            "{{ '%0999999999d'|format(1) }}",
            "{{ 'x'|center(10**9) }}",
            "{% set x = 'x' * 10**7 %}{% for a in range(1000) %}{% set x = x ~ x %}{{ x|length }}{% endfor %}"
            "{% set ns = namespace(v='x'*1000) %}"
            "{% for a in range(60) %}{% set ns.v = ns.v ~ ns.v %}{% endfor %}",
        ):
            self.assertEqual("limit", (await self.problem(text)).kind, text)
        self.assertEqual("limit", (await self.problem("{{ [x] * 10**9 }}", {"x": "y"})).kind)

    async def test_one_step_of_c_that_takes_for_ever(self) -> None:
        """The exception never comes, the kernel ends the process, and the neighbours are rendered."""
        text = "{% if n == 7 %}{{ (10 ** (10 ** 8))|length }}{% endif %}{{ n }}"
        found = await self.pool.render(bundle(text), [({"n": n}, "") for n in range(10)])
        self.assertEqual(
            [n for n in range(10) if n != 7], [int(one.text) for one in found if isinstance(one, Rendered)]
        )
        wrong = found[7]
        assert not isinstance(wrong, Rendered)
        self.assertEqual("limit", wrong[0].kind)

    async def test_a_template_that_ends_every_renderer(self) -> None:
        """It is given up, and others are rendered."""
        found = await self.pool.render(bundle("{{ (10 ** (10 ** 8))|length }}"), [({}, "")] * 50)
        self.assertEqual({"limit"}, {one[0].kind for one in found if not isinstance(one, Rendered)})
        self.assertEqual(50, len(found))
        (after,) = await self.pool.render(bundle("fine"), [({}, "")])
        self.assertEqual(Rendered("s", "fine", "", "en"), after)

    async def test_ended_from_outside(self) -> None:
        """What a renderer was at is done by the next one."""
        await self.pool.about(bundle("x"))
        asked = Deferred.fromCoroutine(
            self.pool.render(bundle("{{ n }}"), [({"n": n}, "") for n in range(3)])
        )
        self.pool._renderers[0].kill()
        self.assertEqual(["0", "1", "2"], [one.text for one in await asked])  # type: ignore[union-attr]


class FrameTests(TestCase):
    """Octets as they come."""

    def test_pieces(self) -> None:
        frames = Frames()
        found: list[Any] = []
        for octet in frame({"a": 1}) + frame("é"):
            found += frames.receive(bytes([octet]))
        self.assertEqual([{"a": 1}, "é"], found)

    def test_several_at_once(self) -> None:
        self.assertEqual([1, 2], Frames().receive(frame(1) + frame(2)))

    def test_nonsense(self) -> None:
        self.assertRaises(FrameError, Frames().receive, b"\xff" * 8)
        self.assertRaises(FrameError, Frames().receive, b"\0\0\0\1x")
