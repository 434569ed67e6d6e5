"""Which data a template asks for, and sample data of that shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jinja2 import nodes
from jinja2.meta import find_undeclared_variables

from mta.template.bundle import Kind
from mta.template.rendering import Compiled

#: Variables that are told, and how deep.
_MOST = 500
_DEEPEST = 8


@dataclass(slots=True)
class Shape:
    """What is asked of one variable.

    :ivar members: what is asked of it by name.
    :ivar item: what is asked of each of its items, if it is gone through.
    """

    members: dict[str, Shape] = field(default_factory=dict)
    item: Shape | None = None

    def member(self, name: str) -> Shape:
        """What is asked of one of its members."""
        return self.members.setdefault(name, Shape())


def variables(compiled: Compiled) -> Shape:
    """What all parts of a template ask for, with what they include."""
    root = Shape()
    seen: set[tuple[bool, str]] = set()
    for kind, name in compiled.named():
        _look(compiled, kind, name, root, seen)
    return root


def paths(shape: Shape) -> list[str]:
    """The variables as paths: ``user.name``, ``items[].price``."""
    found: list[str] = []

    def go(one: Shape, path: str) -> None:
        if len(found) >= _MOST:
            return
        if one.item is not None:
            go(one.item, f"{path}[]")
        elif not one.members and path:
            found.append(path)
        for name, member in one.members.items():
            go(member, f"{path}.{name}" if path else name)

    go(shape, "")
    return found


def sample(shape: Shape) -> dict[str, Any]:
    """Data with which the template can be looked at."""
    return {name: _value(name, member) for name, member in shape.members.items()}


def _value(name: str, shape: Shape) -> Any:
    if shape.item is not None:
        single = name[:-1] if name.endswith("s") else name
        return [_value(single, shape.item), _value(single, shape.item)]
    if shape.members:
        return {member: _value(member, one) for member, one in shape.members.items()}
    word = name.lower()
    for part, value in _SAMPLES:
        if part in word:
            return value
    return name.replace("_", " ")


#: By what a name contains; the first that fits.
_SAMPLES: tuple[tuple[str, Any], ...] = (
    ("email", "ann@example.org"),
    ("url", "https://example.org/"),
    ("link", "https://example.org/"),
    ("date", "2027-01-31"),
    ("price", 19.9),
    ("amount", 19.9),
    ("total", 19.9),
    ("count", 3),
    ("number", 3),
    ("quantity", 3),
    ("first_name", "Ann"),
    ("last_name", "Example"),
    ("name", "Ann Example"),
)


def _look(compiled: Compiled, kind: Kind, name: str, root: Shape, seen: set[tuple[bool, str]]) -> None:
    key = (kind == "html", name)
    if key in seen:
        return
    seen.add(key)
    tree = compiled.tree(kind, name)
    _Walk(root, find_undeclared_variables(tree)).visit(tree, {})
    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        target = node.template  # type: ignore[attr-defined]
        if isinstance(target, nodes.Const) and str(target.value) in compiled.bundle.included:
            _look(compiled, kind, str(target.value), root, seen)


class _Walk:
    """Goes through a tree; ``bound`` are the loop variables in scope with what they stand for."""

    def __init__(self, root: Shape, free: set[str]) -> None:
        self._root = root
        self._free = free

    def visit(self, node: nodes.Node, bound: dict[str, Shape | None]) -> None:
        if isinstance(node, nodes.For):
            of = self.shape(node.iter, bound)
            self.visit(node.iter, bound)
            inner = dict(bound)
            item: Shape | None = None
            if of is not None and not of.members:
                item = of.item = of.item or Shape()
            for name in node.target.find_all(nodes.Name):
                inner[name.name] = None
            if isinstance(node.target, nodes.Name):
                inner[node.target.name] = item
                inner["loop"] = None
            for one in (*node.body, *node.else_, *([node.test] if node.test else [])):
                self.visit(one, inner)
            return
        named = isinstance(node, nodes.Name | nodes.Getattr | nodes.Getitem)
        if named and self.shape(node, bound) is not None:
            return
        for child in node.iter_child_nodes():
            self.visit(child, bound)

    def shape(self, node: nodes.Node, bound: dict[str, Shape | None], depth: int = 0) -> Shape | None:
        """What a chain of names stands for; ``None`` if that cannot be said."""
        if depth > _DEEPEST:
            return None
        if isinstance(node, nodes.Name):
            if node.name in bound:
                return bound[node.name]
            if node.ctx == "load" and node.name in self._free:
                return self._root.member(node.name)
            return None
        name: Any = None
        if isinstance(node, nodes.Getattr):
            name = node.attr
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            name = node.arg.value
        if name is None or not isinstance(node, nodes.Getattr | nodes.Getitem):
            return None
        above = self.shape(node.node, bound, depth + 1)
        if above is None:
            return None
        if isinstance(name, int):
            above.item = above.item or Shape()
            return above.item
        return above.member(str(name)) if above.item is None else None
