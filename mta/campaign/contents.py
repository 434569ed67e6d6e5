"""The contents of a campaign: a bundle for each variant, the same from its beginning to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from mta.campaign.definition import Definition, Variant
from mta.registry.templates import NoTemplate, Templates
from mta.template.bundle import Bundle, Rendered
from mta.template.problem import TemplateError


class Unready(Exception):
    """A campaign cannot begin as it is; the text says why."""


class Renders(Protocol):
    """See :class:`mta.template.pool.Pool`."""

    def about(self, bundle: Bundle) -> Awaitable[dict[str, Any]]:
        """What a template asks for."""

    def render(self, bundle: Bundle, items: Any) -> Awaitable[list[Any]]:
        """What becomes of each recipient's data."""


class Contents:
    """See the module.

    :param templates: of all tenants.
    :param renderers: look at them.
    """

    def __init__(self, templates: Templates, renderers: Renders) -> None:
        self._templates = templates
        self._renderers = renderers

    async def bundle(self, tenant: str, definition: Definition, variant: Variant) -> Bundle:
        """What a variant is rendered from.

        :raise Unready: if there is no such template, or it is wrong.
        """
        try:
            if variant.template:
                found, _ = await self._templates.bundle(tenant, variant.template, variant.version)
                bundle = found if definition.strict else replace(found, strict=False)
                if variant.subject:
                    bundle = replace(bundle, parts=replace(bundle.parts, subject=variant.subject))
            else:
                source = {"subject": variant.subject, "text": variant.text, "html": variant.html}
                source = {name: value for name, value in source.items() if value}
                bundle = await self._templates.with_included(
                    tenant, "template", "", {**source, "strict": definition.strict}
                )
            await self._renderers.about(bundle)
        except NoTemplate as error:
            raise Unready(f"variant {variant.name}: {error}") from None
        except TemplateError as error:
            raise Unready(f"variant {variant.name}: {error}") from None
        return bundle

    async def frozen(self, tenant: str, definition: Definition) -> list[str]:
        """The contents of all variants, encoded.

        :raise Unready: if one cannot be used.
        """
        return [(await self.bundle(tenant, definition, one)).encode() for one in definition.variants]

    async def tried(self, bundle: Bundle, data: Sequence[tuple[dict[str, Any], str]]) -> list[Rendered | str]:
        """What becomes of some recipients' data; a text tells what is wrong."""
        found = await self._renderers.render(bundle, list(data))
        return [
            one if isinstance(one, Rendered) else "; ".join(str(problem) for problem in one) for one in found
        ]
