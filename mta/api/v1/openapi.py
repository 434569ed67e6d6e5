"""The OpenAPI 3.1 document, made of the routes and their models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from mta.api.v1.refusal import KINDS, Refusal
from mta.api.v1.route import Route
from mta.registry.keys import SCOPES

#: What every route with a key may answer, and every route with a body.
_ALWAYS = ("no-key", "wrong-key", "scope", "too-many", "unavailable")
_WITH_BODY = ("malformed", "media-type", "too-large")
_WITH_INPUT = ("invalid",)

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "description": "which kind; the reference explains each"},
        "title": {"type": "string", "description": "the same for each problem of the kind"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is wrong this time"},
        "cause": {"type": "string", "description": "what usually leads to it"},
        "remedy": {"type": "string", "description": "what to do"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer to the field (RFC 6901)"},
                    "parameter": {"type": "string", "description": "name of the parameter"},
                    "header": {"type": "string", "description": "name of the header field"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


def document(routes: Sequence[Route], version: str, title: str = "mta") -> dict[str, Any]:
    """The document.

    :param routes: those that are hidden are left out.
    :param version: of the program.
    """
    shown = [route for route in routes if not route.hidden]
    schemas, references = _schemas(shown)
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{title}: sending API",
            "version": version,
            "description": "Send messages, and see what becomes of them.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(map(group_of, shown))],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "mk_<id>_<secret>",
                    "description": "Scopes: "
                    + "; ".join(f"`{name}`: {what}" for name, what in SCOPES.items()),
                },
                **{
                    field: {"type": "apiKey", "in": "header", "name": field, "description": "the same key"}
                    for field in sorted({route.key_in for route in shown} - {"Authorization"})
                },
            },
        },
    }


def group_of(route: Route) -> str:
    """The heading that a route stands under."""
    if route.group:
        return route.group
    parts = [part for part in route.path.split("/") if part and part != "v1"]
    return parts[0] if parts else "server"


def refusals_of(route: Route) -> list[str]:
    """The kinds of problems that a route may answer with."""
    found: list[str] = []
    if route.scope is not None:
        found += _ALWAYS
    if route.body is not None or route.octets:
        found += _WITH_BODY
    if route.body is not None or route.query is not None or route.octets:
        found += _WITH_INPUT
    if route.parameters:
        found += ["not-found", "invalid"]
    return list(dict.fromkeys([*found, *route.refusals]))


def _schemas(routes: Iterable[Route]) -> tuple[dict[str, Any], dict[tuple[type[BaseModel], str], Any]]:
    wanted: dict[tuple[type[BaseModel], Any], None] = {}
    for route in routes:
        for model, mode in (
            (route.body, "validation"),
            (route.query, "validation"),
            (route.answer, "serialization"),
        ):
            if model is not None:
                wanted[(model, mode)] = None
    references, definitions = models_json_schema(list(wanted), ref_template="#/components/schemas/{model}")
    return dict(definitions.get("$defs", {})), dict(references)  # type: ignore[arg-type]


def _operation(route: Route, references: dict[tuple[type[BaseModel], str], Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _name(route),
        "tags": [group_of(route)],
        "summary": route.summary,
        "parameters": [*_parameters(route)],
        "responses": _responses(route, references),
    }
    if route.description:
        operation["description"] = route.description
    if route.scope is not None:
        operation["security"] = [{_scheme(route): []}]
        operation["x-scope"] = route.scope
    else:
        operation["security"] = []
    if route.body is not None or route.octets:
        content: dict[str, Any] = {}
        if route.body is not None:
            content["application/json"] = {"schema": references[(route.body, "validation")]}
            if route.examples:
                content["application/json"]["examples"] = {
                    name: {"value": dict(value)} for name, value in route.examples.items()
                }
        for media in route.octets:
            # Octets of any kind have no schema (OpenAPI 3.1, 4.8.14.3).
            content[media] = {}
        operation["requestBody"] = {"required": _must_have_body(route), "content": content}
    return operation


def _must_have_body(route: Route) -> bool:
    """Whether a request without a body is wrong; an empty one counts as ``{}``."""
    if route.octets or route.body is None:
        return True
    return any(field.is_required() for field in route.body.model_fields.values())


def _scheme(route: Route) -> str:
    """The security scheme of a route: each header field that a key may stand in has one."""
    return "key" if route.key_in == "Authorization" else route.key_in


def _parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name in route.parameters:
        found: dict[str, Any] = {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
        }
        if name in route.path_help:
            found["description"] = route.path_help[name]
        yield found
    for name, what in route.headers.items():
        yield {
            "name": name,
            "in": "header",
            "required": False,
            "description": what,
            "schema": {"type": "string"},
        }
    if route.query is None:
        return
    schema = route.query.model_json_schema(ref_template="#/components/schemas/{model}")
    for name, one in schema.get("properties", {}).items():
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", []),
            "description": one.pop("description", ""),
            "schema": one,
        }


def _responses(route: Route, references: dict[tuple[type[BaseModel], str], Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "It is done."}
    content: dict[str, Any] = {}
    if route.answer is not None:
        content["application/json"] = {"schema": references[(route.answer, "serialization")]}
    content.update((media.strip(), {}) for media in route.media.split(",") if media)
    if content:
        good["content"] = content
    if route.scope is not None:
        good["headers"] = {
            "RateLimit": {"description": "what is left", "schema": {"type": "string"}},
            "RateLimit-Policy": {"description": "what may be had", "schema": {"type": "string"}},
        }
    responses: dict[str, Any] = {str(route.status): good}
    for status, when in route.also.items():
        responses[str(status)] = {**good, "description": when}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if route.told is not None:
        # What is too large is refused before it is known for which route it is.
        problem = {"application/json": {"schema": {"type": "object"}}, **problem}
    for kind in refusals_of(route):
        known = KINDS[kind]
        status = known.status if route.told is None else route.told(Refusal(kind))[0]
        one = responses.setdefault(str(status), {"description": "", "content": problem})
        one["description"] = "; ".join(filter(None, (one["description"], known.title)))
    return responses


def _name(route: Route) -> str:
    words = [part.strip("{}") for part in route.path.split("/") if part and part != "v1"]
    return "_".join([route.method.lower(), *words]).replace("-", "_").replace(".", "_")
