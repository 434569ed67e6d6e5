"""The rooms of the house: who may import whom, and how large a module may grow.

The allowed arrows stand in `ARROWS`; everything is read with `ast`, nothing is imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 600

# What every package may import besides itself.
COMMON = (
    "mta.model",
    "mta.interfaces",
    "mta.config.settings",
    "mta.bounded",
    "mta.private_file",
    "mta.write_ahead",
)
# What some may import besides that.
ARROWS: dict[str, tuple[str, ...]] = {
    "mta.model": (),
    "mta.interfaces": ("mta.model",),
    "mta.deliver": (*COMMON, "mta.https", "mta.smtp"),
    "mta.mailbox": (
        *COMMON,
        "mta.deliver.disk",
        "mta.deliver.maildir_name",
        "mta.deliver.maildir_quota",
        "mta.deliver.quota",
    ),
    "mta.imap": (*COMMON, "mta.mailbox", "mta.smtp", "mta.visit"),
    "mta.pop3": (*COMMON, "mta.mailbox", "mta.smtp", "mta.visit"),
    "mta.visit": (*COMMON, "mta.mailbox", "mta.smtp"),
    "mta.rules": (
        *COMMON,
        "mta.config.locations",
        "mta.config.problem",
        "mta.config.validation",
        "mta.config.values",
        "mta.mailbox.file_name",
        "mta.mailbox.names",
        "mta.mailbox.place_keywords",
        "mta.mailbox.refusal",
        "mta.mailbox.subscriptions",
    ),
    "mta.feedback": COMMON,
    "mta.judge": (*COMMON, "mta.asking", "mta.dkim", "mta.dmarc"),
    "mta.audience": (*COMMON, "mta.journal", "mta.registry", "mta.template.locale"),
    "mta.alert": (
        *COMMON,
        "mta.analytics",
        "mta.journal",
        "mta.deliver.webhook_body",
        "mta.deliver.webhook_post",
        "mta.deliver.webhook_signature",
    ),
    "mta.certificate_watch": (*COMMON, "mta.certificate"),
    "mta.daily_report": (*COMMON, "mta.journal"),
    "mta.dmarc_report": (*COMMON, "mta.asking", "mta.daily_report", "mta.dmarc"),
    "mta.batch": (*COMMON, "mta.compose", "mta.engagement", "mta.registry", "mta.template"),
    "mta.campaign": (
        *COMMON,
        "mta.audience",
        "mta.batch",
        "mta.engagement",
        "mta.registry",
        "mta.template",
    ),
    "mta.registry": (*COMMON, "mta.template"),
    "mta.tls_report": (*COMMON, "mta.daily_report", "mta.https"),
    "mta.route": (*COMMON, "mta.https"),
    "mta.api": (
        *COMMON,
        "mta.config",
        "mta.analytics",
        "mta.journal",
        "mta.paced",
        "mta.registry",
        "mta.rules",
        "mta.batch",
        "mta.compose",
        "mta.engagement",
        "mta.template",
        "mta.tracking",
        "mta.metrics",
        "mta.webhook",
        "mta.suppression",
        "mta.audience",
        "mta.sequence",
        "mta.campaign",
    ),
    "mta.dashboard": (
        *COMMON,
        "mta.analytics",
        "mta.audience",
        "mta.config.problem",
        "mta.config.values",
        "mta.dmarc.record",
        "mta.journal",
        "mta.paced",
        "mta.queue.reader",
        "mta.registry",
        "mta.sequence",
        "mta.template",
        "mta.tracking",
        "mta.webhook",
    ),
    "mta.shards": (*COMMON, "mta.config.loading", "mta.queue.reader"),
    "mta.state_directory": (*COMMON, "mta.config.loading", "mta.config.problem", "mta.ownership"),
    "mta.suppression": (*COMMON, "mta.journal", "mta.registry"),
    "mta.compose": (*COMMON, "mta.template"),
    "mta.sequence": (
        *COMMON,
        "mta.audience",
        "mta.batch",
        "mta.config.locations",
        "mta.config.problem",
        "mta.registry",
        "mta.template",
    ),
    "mta.tracking": (*COMMON, "mta.journal"),
    "mta.webhook": (
        *COMMON,
        "mta.journal",
        "mta.registry",
        "mta.https",
        "mta.deliver.webhook_body",
        "mta.deliver.webhook_post",
        "mta.deliver.webhook_signature",
    ),
    "mta.cli": (*COMMON, "mta.analytics", "mta.client_setup", "mta.config", "mta.journal"),
    "mta.client_setup": COMMON,
}
# The composition: these see everything.  Any other module directly in mta/ is held to COMMON
# and to its neighbours there.
ACROSS = {
    "mta.alerting",
    "mta.stopped",
    "mta.receiving",
    "mta.server",
    "mta.service",
    "mta.doorway",
    "mta.environment",
    "mta.application",
    "mta.automating",
    "mta.batching",
    "mta.campaigning",
    "mta.counting",
    "mta.examination",
    "mta.fetching",
    "mta.following",
    "mta.handing_over",
    "mta.measuring",
    "mta.parts",
    "mta.presence",
    "mta.presenting",
    "mta.presenting_application",
    "mta.presenting_api",
    "mta.presenting_audience",
    "mta.presenting_automation",
    "mta.presenting_domains",
    "mta.presenting_reports",
    "mta.protection",
    "mta.publication",
    "mta.ruling",
    "mta.sequencing",
    "mta.tenant_links",
    "mta.verifying",
    "mta.tap",
    "mta.supervisor",
    "mta.plugins",
    "mta.reporting",
    "mta.cli.main",
}


class Module:
    """One parsed module of ours: its dotted name, its tree, and what it imports from us."""

    def __init__(self, path: Path) -> None:
        parts = path.relative_to(ROOT).with_suffix("").parts
        self.is_package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.is_package else parts)
        self.text = path.read_text("utf-8")
        self.tree = ast.parse(self.text, str(path))

    @property
    def room(self) -> str:
        """The package, or the module directly in mta/, that it belongs to."""
        return ".".join(self.name.split(".")[:2])

    def imports(self, body: ast.AST | None = None) -> Iterator[tuple[str, list[str]]]:
        """Each imported module of ours, with the names taken out of it."""
        for node in ast.walk(body or self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if ours(alias.name):
                        yield alias.name, []
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    up = self.name.split(".")
                    up = up[: len(up) - node.level + self.is_package]
                    base = ".".join([*up, *([node.module] if node.module else [])])
                if ours(base):
                    yield base, [alias.name for alias in node.names]


def ours(name: str) -> bool:
    """Whether a dotted name is of this project."""
    return name == "mta" or name.startswith("mta.")


def within(name: str, package: str) -> bool:
    """Whether `name` is `package` or lies in it."""
    return name == package or name.startswith(package + ".")


def targets(module: Module, known: set[str], body: ast.AST | None = None) -> Iterator[str]:
    """The modules that an import reaches: ``from mta.a import b`` is ``mta.a.b`` if that is a module."""
    for base, names in module.imports(body):
        found = [f"{base}.{name}" for name in names if f"{base}.{name}" in known]
        yield from found
        if len(found) < len(names) or not names:
            yield base


def wrong_arrows(module: Module, known: set[str]) -> list[str]:
    """The imports of a module that no arrow allows."""
    if module.name in ACROSS:
        return []
    allowed = (*ARROWS.get(module.room, COMMON), module.room)
    return [
        f"{module.name} imports {target}"
        for target in targets(module, known)
        if target != "mta" and not any(within(target, package) for package in allowed)
    ]


def at_import(tree: ast.Module) -> ast.Module:
    """The part of a module that runs when it is imported: no function bodies, no ``if TYPE_CHECKING``."""

    class Prune(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)

    pruned = Prune().visit(deepcopy(tree))
    assert isinstance(pruned, ast.Module)
    return pruned


@cache
def modules() -> tuple[Module, ...]:
    """All of mta/, parsed once."""
    return tuple(Module(path) for path in sorted((ROOT / "mta").rglob("*.py")))


class LayeringTests(SynchronousTestCase):
    """Every module of mta/ keeps to the design."""

    def setUp(self) -> None:
        self.modules = modules()
        self.known = {module.name for module in self.modules}

    def test_arrows(self) -> None:
        """A package imports the model, the interfaces and itself, and what `ARROWS` adds."""
        wrong = [line for module in self.modules for line in wrong_arrows(module, self.known)]
        self.assertEqual([], wrong)

    def test_private_names(self) -> None:
        """A name with a leading underscore stays in its package."""
        wrong = [
            f"{module.name} takes {name} from {base}"
            for module in self.modules
            for base, names in module.imports()
            for name in [*base.split("."), *names]
            if name.startswith("_") and not name.startswith("__") and not within(base, module.room)
        ]
        self.assertEqual([], wrong)

    def test_no_cycles(self) -> None:
        """No module needs itself to be imported."""
        graph = {
            module.name: set(targets(module, self.known, at_import(module.tree))) - {module.name}
            for module in self.modules
        }
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            self.fail("import cycle: " + " -> ".join(error.args[1]))

    def test_size(self) -> None:
        """A module is at most 600 lines."""
        sizes = {module.name: module.text.count("\n") for module in self.modules}
        self.assertEqual({}, {name: size for name, size in sizes.items() if size > LONGEST})

    def test_docstrings(self) -> None:
        """Each module says what it is for."""
        self.assertEqual([], [m.name for m in self.modules if not ast.get_docstring(m.tree)])

    def test_page(self) -> None:
        """The page about the architecture names every room, and has the arrows that hold."""
        page = (ROOT / "docs" / "architecture.rst").read_text("utf-8")
        rooms, arrows = page.partition("\nArrows\n")[::2]
        names = {m.room.removeprefix("mta.") + ("/" if m.name != m.room else ".py") for m in self.modules}
        # A package is there by its other modules.
        names -= {"mta.py", *(name[:-1] + ".py" for name in names if name.endswith("/"))}
        self.assertEqual([], sorted(name for name in names if not re.search(rf"\b{re.escape(name)}", rooms)))
        told: dict[str, set[str]] = {}
        room = ""
        for line in re.findall(r"(?m)^    (.+)$", arrows.partition("\nIdeas\n")[0]):
            room = line[:18].strip() or room
            told.setdefault(room, set()).update(line[18:].split())
        held = {
            name.removeprefix("mta."): {one.removeprefix("mta.") for one in found if one not in COMMON}
            for name, found in ARROWS.items()
        }
        self.assertEqual({name: found for name, found in held.items() if found}, told)
        across = re.findall(r"``([\w.]+)``", arrows[arrows.index("Only ") : arrows.index("import across")])
        self.assertEqual(sorted(ACROSS), sorted(f"mta.{name}" for name in across))

    def test_names(self) -> None:
        """A module is called after a noun of the field, not after a drawer."""
        drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
        self.assertEqual([], [n for n in self.known if drawers & set(n.split("."))])


class CheckerTests(SynchronousTestCase):
    """The check itself finds what it is there for."""

    def module(self, name: str, text: str) -> Module:
        module = Module.__new__(Module)
        module.name, module.text, module.tree, module.is_package = name, text, ast.parse(text), False
        return module

    def test_wrong_arrow(self) -> None:
        found = wrong_arrows(
            self.module("mta.queue.x", "from mta.smtp import session\n"), {"mta.smtp.session"}
        )
        self.assertEqual(["mta.queue.x imports mta.smtp.session"], found)

    def test_relative_import(self) -> None:
        found = wrong_arrows(self.module("mta.queue.x", "from ..judge import pipeline\n"), set())
        self.assertEqual(["mta.queue.x imports mta.judge"], found)

    def test_right_arrow(self) -> None:
        text = "from mta.smtp import grammar\nfrom mta.model.reply import Reply\nfrom . import other\n"
        self.assertEqual([], wrong_arrows(self.module("mta.deliver.x", text), set()))

    def test_pruned(self) -> None:
        text = "if TYPE_CHECKING:\n    import mta.a\ndef f():\n    import mta.b\nimport mta.c\n"
        module = self.module("mta.x", text)
        self.assertEqual(["mta.c"], list(targets(module, set(), at_import(module.tree))))
