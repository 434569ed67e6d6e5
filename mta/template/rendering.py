"""One bundle, compiled: what is wrong with it, and what becomes of it with data."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from jinja2 import Template, TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import extract_from_ast
from jinja2.meta import find_referenced_templates

from mta.template.bundle import KINDS, MOST_OCTETS, Bundle, Kind, Parts, Rendered
from mta.template.environment import TemplateEnvironment, TooLong, joined
from mta.template.html import plain_text, with_inline_css
from mta.template.locale import chain, wrong_placeholders
from mta.template.problem import TemplateError, TemplateProblem
from mta.template.source_lexer import Place
from mta.template.tongue import Tongue
from mta.template.undefined import Missing

#: Characters of a subject.
LONGEST_SUBJECT = 998
#: Characters of what a mistake quotes.
_QUOTED = 300
_REFUSED = "give it, or write {{ %s|default('…') }} or {%% if %s is defined %%} where it may be absent"


class Compiled:
    """A bundle that is ready.

    :param bundle: what is compiled.
    :raise TemplateError: with everything that is wrong.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._missing = Missing()
        self._tongue = Tongue()
        if bundle.size > MOST_OCTETS:
            raise TemplateError(
                TemplateProblem("limit", f"its sources have more than {MOST_OCTETS} octets together")
            )
        self._environments = {
            html: TemplateEnvironment(
                self._sources(html), html=html, tongue=self._tongue, missing=self._missing
            )
            for html in (False, True)
        }
        self._templates: dict[str, Template] = {}
        self._chains: dict[str, list[str]] = {}
        self._included: list[tuple[Kind, str]] = []
        problems = list(self._compile_all())
        problems = problems or list(self._wrong_messages())
        if problems:
            raise TemplateError(*problems)

    # --- sources -------------------------------------------------------------

    def _sources(self, html: bool) -> Any:
        def source(name: str) -> str | None:
            kind, _, locale = name.partition("@")
            if kind in KINDS:
                return self._parts(locale).of(kind)
            included = self.bundle.included.get(name)
            return None if included is None else included.html if html else included.text

        return source

    def _parts(self, locale: str) -> Parts:
        if locale == self.bundle.locale:
            return self.bundle.parts
        return self.bundle.translations[locale].parts

    def environment(self, kind: Kind) -> TemplateEnvironment:
        """Where a part is rendered."""
        return self._environments[kind == "html"]

    def named(self) -> Iterator[tuple[Kind, str]]:
        """The parts there are, each with the name of its template."""
        for locale in (self.bundle.locale, *self.bundle.translations):
            for kind in KINDS:
                if self._parts(locale).of(kind):
                    yield kind, f"{kind}@{locale}"

    # --- compiling -----------------------------------------------------------

    def _compile_all(self) -> Iterator[TemplateProblem]:
        seen: set[tuple[bool, str]] = set()
        for kind, name in self.named():
            yield from self._compile(kind, name, seen)
        if not self._templates and not seen:
            yield TemplateProblem("error", "it has no part", remedy="give a subject, and text or html")

    def _compile(self, kind: Kind, name: str, seen: set[tuple[bool, str]]) -> Iterator[TemplateProblem]:
        """Compile a part, and what it refers to by name."""
        html = kind == "html"
        if (html, name) in seen:
            return
        seen.add((html, name))
        environment = self._environments[html]
        try:
            self._templates[f"{html}{name}"] = environment.get_template(name)
            tree = self.tree(kind, name)
        except (TemplateSyntaxError, RecursionError, MemoryError, ValueError, SyntaxError) as error:
            yield self._mistake(error, self._shown(name, html))
            return
        for reference, line in _references(tree):
            there = self.bundle.included.get(reference)
            shown = self._shown(name, html)
            if there is None:
                yield TemplateProblem(
                    "reference",
                    f"there is no {reference!r:.100}",
                    shown,
                    int(line),
                    getattr(line, "column", 0),
                    remedy=_there_are(self.bundle),
                )
            elif not (there.html if html else there.text):
                yield TemplateProblem(
                    "reference",
                    f"{reference} has no {'html' if html else 'text'}",
                    shown,
                    int(line),
                    getattr(line, "column", 0),
                )
            else:
                self._included.append((kind, reference))
                yield from self._compile(kind, reference, seen)

    def tree(self, kind: Kind, name: str) -> nodes.Template:
        """The syntax tree of a part or of what it includes."""
        environment = self.environment(kind)
        assert environment.loader is not None
        source, _, _ = environment.loader.get_source(environment, name)
        return environment.parse(source, name)

    def messages(self) -> dict[str, str]:
        """What the template marks for translation, each with all that may be replaced in it."""
        found: dict[str, str] = {}
        done: set[tuple[bool, str]] = set()
        for kind, name in [*self.named(), *self._included]:
            if (kind == "html", name) in done:
                continue
            done.add((kind == "html", name))
            for _, _, texts in extract_from_ast(self.tree(kind, name)):
                every = [text for text in (texts if isinstance(texts, tuple) else (texts,)) if text]
                if every:
                    found[every[0]] = " ".join(every)
        return found

    def _wrong_messages(self) -> Iterator[TemplateProblem]:
        known = self.messages()
        for locale, translation in self.bundle.translations.items():
            for message, found in translation.messages.items():
                texts = found.values() if isinstance(found, Mapping) else (found,)
                for text in texts:
                    for name in wrong_placeholders(known.get(message, message), text):
                        what = (
                            f"the translation of {message!r:.100} would replace {name!r}, which is not in it"
                        )
                        remedy = "a percent sign is written %%" if name == "%" else ""
                        yield TemplateProblem("error", what, f"messages.{locale}", remedy=remedy)

    # --- rendering -----------------------------------------------------------

    def render(self, data: Mapping[str, Any], locale: str = "", most: int = 1 << 20) -> Rendered:
        """A message's parts.

        :param data: JSON values.
        :param locale: the recipient's; ``""``: the template's own.
        :param most: characters that a part may have.
        :raise TemplateError: with what is wrong.
        """
        bundle = self.bundle
        places = self._chains.get(locale)
        if places is None:
            places = chain(locale, bundle.locale, bundle.translations)
            if len(self._chains) < 1000:
                self._chains[locale] = places
        messages = [bundle.translations[place].messages for place in places if place in bundle.translations]
        self._tongue.use(places[0], messages)
        self._missing.clear()
        subject = header_text(self._part("subject", places, data, most))
        text = self._part("text", places, data, most)
        html = self._part("html", places, data, most)
        missing = tuple(self._missing.found)
        if missing and bundle.strict:
            raise TemplateError(*self._missed())
        if len(subject) > LONGEST_SUBJECT:
            what = f"the subject has {len(subject)} characters, and {LONGEST_SUBJECT} is the most"
            raise TemplateError(TemplateProblem("header", what, "subject"))
        try:
            if html and bundle.inline_css:
                html = with_inline_css(html)
            if html and not text:
                text = plain_text(html)
        except ValueError as error:
            raise TemplateError(TemplateProblem("error", str(error), "html")) from None
        return Rendered(subject, _clean(text), _clean(html), places[0], missing)

    def _part(self, kind: Kind, places: list[str], data: Mapping[str, Any], most: int) -> str:
        for place in places:
            template = self._templates.get(f"{kind == 'html'}{kind}@{place}")
            if template is not None:
                break
        else:
            return ""
        try:
            # Not generate(), which takes the places out of tracebacks.
            return joined(template.root_render_func(template.new_context(dict(data))), most)
        except TooLong:
            what = f"more than {most} characters come out"
            raise TemplateError(TemplateProblem("limit", what, kind)) from None
        except Exception as error:
            raise TemplateError(self._failure(error, kind)) from None

    def _missed(self) -> Iterator[TemplateProblem]:
        for path, (name, line, html) in self._missing.found.items():
            whole, place = path, line
            if line:
                whole, place = self._asked("html" if html else "text", name, line, path)
            yield TemplateProblem(
                "missing",
                f"there is no variable {whole!r} in the data",
                self._shown(name, html),
                int(place),
                getattr(place, "column", 0),
                whole,
                _REFUSED % (whole, whole),
            )

    def _asked(self, kind: Kind, name: str, line: int, path: str) -> tuple[str, int]:
        """The whole path of a variable of which the end is known, and its place."""
        for node in self.tree(kind, name).find_all((nodes.Getattr, nodes.Getitem, nodes.Name)):
            whole, first = _path(node)
            # A statement of several lines begins at its first.
            if line <= first < line + 5 and (whole == path or whole.endswith("." + path)):
                return whole, first
        return path, line

    def _failure(self, error: Exception, part: str) -> TemplateProblem:
        """What an exception of a rendering tells."""
        name, line = place_of(error.__traceback__)
        shown = self._shown(name, part == "html") if name else part
        if isinstance(error, TemplateNotFound):
            return TemplateProblem(
                "reference", f"there is no {error.name!r:.100}", shown, line, remedy=_there_are(self.bundle)
            )
        if isinstance(error, TemplateSyntaxError):
            return self._mistake(error, shown)
        if isinstance(error, MemoryError | RecursionError):
            what = "it takes too much memory" if isinstance(error, MemoryError) else "it goes too deep"
            return TemplateProblem("limit", what, shown, line)
        if isinstance(error, SecurityError):
            return TemplateProblem("error", f"it may not do that: {error!s:.{_QUOTED}}", shown, line)
        return TemplateProblem("error", f"{type(error).__name__}: {error!s:.{_QUOTED}}", shown, line)

    def _mistake(self, error: BaseException, shown: str) -> TemplateProblem:
        """What an exception of a compilation tells."""
        if isinstance(error, TemplateSyntaxError):
            line = error.lineno
            if error.name and error.name != shown:
                shown = self._shown(error.name, shown.startswith("html"))
            column = line.column if isinstance(line, Place) else 0
            return TemplateProblem("syntax", f"{error.message!s:.{_QUOTED}}", shown, int(line), column)
        if isinstance(error, MemoryError | RecursionError):
            return TemplateProblem("limit", "it is nested too deep, or too large to compile", shown)
        return TemplateProblem("syntax", f"{error!s:.{_QUOTED}}", shown)

    def _shown(self, name: str, html: bool) -> str:
        """A template's name as its author knows it."""
        kind, _, locale = name.partition("@")
        if locale:
            return kind if locale == self.bundle.locale else f"{kind}.{locale}"
        return f"{name}.{'html' if html else 'text'}"


def header_text(text: str) -> str:
    """A text as a header field's value: one line without control characters, so that nothing follows it."""
    if text.isascii() and text.isprintable():
        return text.strip()
    one = " ".join(_clean(text).split())
    return "".join(c for c in one if unicodedata.category(c) not in ("Cc", "Zl", "Zp"))


def place_of(traceback: TracebackType | None) -> tuple[str, int]:
    """The innermost place in a template that a traceback has: its name and line."""
    found = "", 0
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            found = template.name or "", template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def _path(node: nodes.Node) -> tuple[str, int]:
    """A chain of names, and where it begins; ``""``: it does not begin with a name."""
    if isinstance(node, nodes.Name):
        return node.name, node.lineno
    name: Any = None
    if isinstance(node, nodes.Getattr):
        name = node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        name = node.arg.value
    if name is None or not isinstance(node, nodes.Getattr | nodes.Getitem):
        return "", 0
    above, first = _path(node.node)
    return (f"{above}.{name}", first) if above else ("", 0)


def _references(tree: nodes.Template) -> Iterator[tuple[str, int]]:
    """What a template refers to by name, with where; optional includes are not asked for."""
    wanted = {name for name in find_referenced_templates(tree) if name is not None}
    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        target = node.template  # type: ignore[attr-defined]
        if getattr(node, "ignore_missing", False):
            continue
        if isinstance(target, nodes.Const) and target.value in wanted:
            yield str(target.value), target.lineno


def _there_are(bundle: Bundle) -> str:
    if not bundle.included:
        return "there are no layouts and partials yet"
    return "there are " + ", ".join(sorted(bundle.included)[:20])


def _clean(text: str) -> str:
    """Without what is no character (lone surrogates)."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
