"""Templates in versions, and what they include."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.registry import templates
from mta.registry.database import Direct, finished
from mta.registry.templates import InUse, NoTemplate, Templates, TooMany, references
from mta.template.bundle import Parts

NOW = 1_800_000_000.0


class TemplateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.database = Direct(Path(self.mktemp()), (templates.TABLES,))
        self.addCleanup(self.database.close)
        self.store = Templates(self.database)

    def add(self, kind: Any, name: str, tenant: str = "shop", **source: Any) -> int:
        return finished(self.store.add(tenant, kind, name, source, NOW)).number

    def bundle(self, name: str, tenant: str = "shop", number: int = 0) -> Any:
        return finished(self.store.bundle(tenant, name, number))

    def test_versions_never_change(self) -> None:
        self.assertEqual(1, self.add("template", "a", text="1"))
        self.assertEqual(2, self.add("template", "a", text="2"))
        self.assertEqual(2, self.add("template", "a", text="2"))
        self.assertEqual(("1", 1), (self.bundle("a", number=1)[0].parts.text, 1))
        self.assertEqual(("2", 2), (self.bundle("a")[0].parts.text, self.bundle("a")[1]))
        finished(self.store.activate("shop", "template", "a", 1))
        self.assertEqual("1", self.bundle("a")[0].parts.text)

    def test_what_is_included_and_what_that_includes(self) -> None:
        self.add("partial", "foot", html="F")
        self.add("partial", "other", html="O")
        self.add("layout", "base", html="{% include 'partials/foot' %}")
        self.add("template", "a", html='{% extends "layouts/base" %}')
        included = self.bundle("a")[0].included
        self.assertEqual({"layouts/base", "partials/foot"}, set(included))
        self.assertEqual(Parts(html="F"), included["partials/foot"])
        self.add("partial", "foot", html="F2")
        self.assertEqual(Parts(html="F2"), self.bundle("a")[0].included["partials/foot"])

    def test_circles_end(self) -> None:
        self.add("partial", "a", html="{% include 'partials/b' %}")
        self.add("partial", "b", html="{% include 'partials/a' %}")
        self.add("template", "t", html="{% include 'partials/a' %}")
        self.assertEqual({"partials/a", "partials/b"}, set(self.bundle("t")[0].included))

    def test_in_use(self) -> None:
        self.add("layout", "base", html="x")
        self.add("template", "a", html="{% extends 'layouts/base' %}")
        self.assertRaises(InUse, finished, self.store.remove("shop", "layout", "base"))
        self.add("template", "a", html="x")
        finished(self.store.remove("shop", "layout", "base"))

    def test_another_tenants(self) -> None:
        self.add("layout", "base", html="x")
        self.add("template", "a", html="{% extends 'layouts/base' %}")
        self.add("template", "b", "other", html="{% extends 'layouts/base' %}")
        self.assertEqual({}, dict(self.bundle("b", "other")[0].included))
        self.assertRaises(NoTemplate, self.bundle, "a", "other")
        self.assertRaises(NoTemplate, finished, self.store.remove("other", "template", "a"))
        self.assertRaises(NoTemplate, finished, self.store.activate("other", "template", "a", 1))
        finished(self.store.remove("other", "template", "b"))
        self.assertEqual("{% extends 'layouts/base' %}", self.bundle("a")[0].parts.html)

    def test_a_tenant_that_is_gone(self) -> None:
        """Who has its name later finds nothing of it."""
        self.add("template", "a", text="x")
        self.add("template", "a", "other", text="y")
        finished(self.store.forget("shop"))
        self.assertRaises(NoTemplate, self.bundle, "a")
        self.assertEqual(1, self.add("template", "a", text="z"))
        self.assertEqual("y", self.bundle("a", "other")[0].parts.text)

    def test_nothing_live(self) -> None:
        finished(self.store.add("shop", "template", "a", {"text": "x"}, NOW, activate=False))
        self.assertRaises(NoTemplate, self.bundle, "a")
        self.assertEqual("x", self.bundle("a", number=1)[0].parts.text)

    def test_too_many(self) -> None:
        self.patch(templates, "MOST", 2)
        self.patch(templates, "MOST_VERSIONS", 2)
        self.add("template", "a", text="1")
        self.add("template", "b", text="1")
        self.assertRaises(TooMany, self.add, "template", "c", text="1")
        self.add("layout", "c", text="1")
        self.add("template", "a", text="2")
        self.assertRaises(TooMany, self.add, "template", "a", text="3")

    def test_references(self) -> None:
        found = list(references("""{"html": "{% extends \\"layouts/a\\" %} 'partials/b' 'elsewhere/c'"}"""))
        self.assertEqual([("layout", "a"), ("partial", "b")], found)
