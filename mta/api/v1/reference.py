"""What describes the API to a person: one page, made of the OpenAPI document, without scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from typing import Any

from mta.api.v1.refusal import KINDS

#: Nothing but what stands in the page itself.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


def page(document: Mapping[str, Any]) -> bytes:
    """The page.

    :param document: of :func:`mta.api.v1.openapi.document`.
    """
    return "\n".join(_page(document)).encode()


def _page(document: Mapping[str, Any]) -> Iterator[str]:
    info = document["info"]
    style = files("mta").joinpath("data/api.css").read_text("utf-8")
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(info['title'])}</title><style>{style}</style></head><body>"
    groups = _groups(document)
    yield f"<nav><h2>{escape(info['title'])}</h2><ul>"
    for group in groups:
        yield f'<li><a href="#{escape(group)}">{escape(group)}</a></li>'
    yield '<li><a href="#models">models</a></li><li><a href="#problems">problems</a></li>'
    yield '<li><a href="/openapi.json">openapi.json</a></li></ul></nav><main>'
    yield f"<h1>{escape(info['title'])}</h1>"
    yield f"<p>{escape(info['description'])} Version {escape(info['version'])}.</p>"
    yield "<p>Every request carries <code>Authorization: Bearer mk_…</code>. "
    yield escape(document["components"]["securitySchemes"]["key"]["description"]) + "</p>"
    for group, operations in groups.items():
        yield f'<section id="{escape(group)}"><h2>{escape(group)}</h2>'
        for method, path, operation in operations:
            yield from _operation(method, path, operation)
        yield "</section>"
    yield '<section id="models"><h2>models</h2>'
    for name, schema in document["components"]["schemas"].items():
        yield f'<article id="model-{escape(name)}"><h3>{escape(name)}</h3>'
        yield from _fields(schema)
        yield "</article>"
    yield '</section><section id="problems"><h2>problems</h2>'
    for kind, known in KINDS.items():
        yield f'<article id="problem-{kind}"><h3>{known.status} {escape(known.title)}</h3>'
        yield f"<p>Usual cause: {escape(known.cause)}.</p><p>Remedy: {escape(known.remedy)}.</p></article>"
    yield "</section></main></body></html>"


def _groups(document: Mapping[str, Any]) -> dict[str, list[tuple[str, str, Mapping[str, Any]]]]:
    found: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    return found


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f'<article id="{escape(operation["operationId"])}">'
    yield f'<h3><span class="method">{method}</span> <code>{escape(path)}</code></h3>'
    yield f"<p>{escape(operation['summary'])}</p>"
    for paragraph in operation.get("description", "").split("\n\n"):
        if paragraph:
            yield f"<p>{escape(paragraph)}</p>"
    if scope := operation.get("x-scope"):
        yield f"<p>Scope: <code>{escape(scope)}</code></p>"
    if operation["parameters"]:
        yield "<table><tr><th>parameter</th><th>in</th><th>type</th><th></th></tr>"
        for one in operation["parameters"]:
            yield (
                f"<tr><td><code>{escape(one['name'])}</code></td><td>{one['in']}</td>"
                f"<td>{_type(one['schema'])}</td><td>{escape(one.get('description', ''))}</td></tr>"
            )
        yield "</table>"
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body: <code>{escape(media)}</code>, {_type(content.get('schema', {}))}</p>"
        for name, example in content.get("examples", {}).items():
            text = json.dumps(example["value"], indent=2, ensure_ascii=False)
            yield f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
    yield "<table><tr><th>status</th><th></th><th>body</th></tr>"
    for status, response in operation["responses"].items():
        bodies = ", ".join(_type(one.get("schema", {})) for one in response.get("content", {}).values())
        yield f"<tr><td>{status}</td><td>{escape(response['description'])}</td><td>{bodies}</td></tr>"
    yield "</table></article>"


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema.get("description"):
        yield f"<p>{escape(schema['description'])}</p>"
    if "properties" not in schema:
        yield f"<p>{_type(schema)}</p>"
        return
    required = schema.get("required", ())
    yield "<table><tr><th>field</th><th>type</th><th></th></tr>"
    for name, one in schema["properties"].items():
        must = " <strong>required</strong>" if name in required else ""
        yield (
            f"<tr><td><code>{escape(name)}</code>{must}</td><td>{_type(one)}</td>"
            f"<td>{escape(one.get('description', ''))}</td></tr>"
        )
    yield "</table>"


def _type(schema: Mapping[str, Any]) -> str:
    if reference := schema.get("$ref", ""):
        name = escape(reference.rpartition("/")[2])
        return f'<a href="#model-{name}">{name}</a>'
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(json.dumps(one))}</code>" for one in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_type(schema['additionalProperties'])}"
    bounds = [f"{word} {schema[name]}" for name, word in _BOUNDS if name in schema]
    return escape(" ".join([kind, *([f"({', '.join(bounds)})"] if bounds else [])]))


_BOUNDS = (
    ("format", ""),
    ("minimum", "from"),
    ("maximum", "to"),
    ("minLength", "at least"),
    ("maxLength", "at most"),
    ("minItems", "at least"),
    ("maxItems", "at most"),
)
