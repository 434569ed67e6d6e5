"""Jinja2 as templates of strangers may use it.

The sandbox keeps a template from attributes that begin with an underscore, from what changes values,
and from everything that is not in its data; data are JSON values.  What takes time or memory is
stopped from outside (:mod:`mta.template.child`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import FunctionLoader, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mta.template.source_lexer import SourceLexer, lexer_of
from mta.template.tongue import Tongue
from mta.template.undefined import Missing, undefined_class

#: What the same data would not give twice, or what mail has no use for.
_LEFT_OUT = ("random", "pprint")
#: The longest text that templates put together inside (a macro, a block that is set).
LONGEST = 4 << 20


class TooLong(Exception):
    """More comes out than may."""


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """The environment of one bundle, for HTML or for plain text.

    :param sources: gives the source of a name, ``None``: there is none.
    :param html: whether what is put in is escaped.
    :param tongue: the language that is spoken.
    :param missing: remembers what was not there.
    """

    def __init__(
        self, sources: Callable[[str], str | None], *, html: bool, tongue: Tongue, missing: Missing
    ) -> None:
        super().__init__(
            loader=FunctionLoader(sources),
            autoescape=html,
            undefined=undefined_class(missing),
            finalize=_written,
            extensions=["jinja2.ext.i18n", "jinja2.ext.loopcontrols"],
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            # What depends on the language must not be worked out once for all.
            optimized=False,
            cache_size=-1,
            auto_reload=False,
        )
        self._own_lexer = lexer_of(self)
        for name in _LEFT_OUT:
            self.filters.pop(name, None)
        for name in ("lipsum", "cycler", "joiner"):
            self.globals.pop(name, None)
        self.filters.update(
            number=tongue.number,
            percent=tongue.percent,
            currency=tongue.currency,
            date=tongue.date,
            datetime=tongue.datetime,
        )
        install: Any = self
        install.install_gettext_callables(tongue.gettext, tongue.ngettext, newstyle=True)

    @property
    def lexer(self) -> SourceLexer:
        """The lexer that knows columns."""
        return self._own_lexer

    def getattr(self, obj: Any, attribute: str) -> Any:
        """``order.items`` is what the data call so, and not a method of dictionaries."""
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    @staticmethod
    def concat(pieces: Iterable[str]) -> str:
        """What macros, calls and set blocks put together."""
        return joined(pieces, LONGEST)


def joined(pieces: Iterable[str], most: int) -> str:
    """Pieces as one text.

    :raise TooLong: beyond ``most`` characters.
    """
    found = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise TooLong
        found.append(piece)
    return "".join(found)


@pass_context
def _written(context: Context, value: Any) -> Any:
    """Nothing is written as nothing, and not as ``None``.

    Since it asks for the context, what is written is not worked out while the template is compiled.
    """
    return "" if value is None else value
