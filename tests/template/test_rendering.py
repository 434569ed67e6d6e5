"""From a bundle and data to parts, and what is said where that cannot be."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.template.bundle import Bundle, Parts, Rendered, Translation
from mta.template.locale import chain, tag
from mta.template.problem import TemplateError, TemplateProblem
from mta.template.rendering import Compiled, header_text
from mta.template.variables import paths, sample, variables


def render(
    data: dict[str, Any] | None = None,
    locale: str = "",
    included: dict[str, Parts] | None = None,
    translations: dict[str, Translation] | None = None,
    strict: bool = True,
    own: str = "en",
    **parts: str,
) -> Rendered:
    """What becomes of these parts."""
    bundle = Bundle(
        Parts(**parts), locale=own, included=included or {}, translations=translations or {}, strict=strict
    )
    return Compiled(Bundle.decode(bundle.encode())).render(data or {}, locale)


class PartTests(SynchronousTestCase):
    """What comes out."""

    def test_html_is_escaped_and_text_is_not(self) -> None:
        found = render({"name": "<b>&"}, subject="Hi {{ name }}", text="{{ name }}", html="<p>{{ name }}</p>")
        self.assertEqual(
            ("Hi <b>&", "<b>&", "<p>&lt;b&gt;&amp;</p>"), (found.subject, found.text, found.html)
        )

    def test_text_is_made_of_html(self) -> None:
        found = render(subject="x", html="<h1>Hello</h1><p>See <a href='https://example.org/a'>here</a></p>")
        self.assertIn("Hello", found.text)
        self.assertIn("[here](https://example.org/a)", found.text)
        self.assertNotIn("<", found.text)

    def test_css_is_inlined_and_media_rules_stay(self) -> None:
        html = "<style>p { color: red } @media print { p { color: blue } }</style><p>x</p>"
        found = render(subject="x", html=html).html
        self.assertIn('<p style="color: red;">x</p>', found)
        self.assertIn("@media print", found)

    def test_nothing_is_fetched(self) -> None:
        html = "<style>p{margin:0}</style><link rel=stylesheet href='file:///etc/passwd'><p>x</p>"
        self.assertNotIn("root:", render(subject="x", html=html).html)

    def test_layout_and_partial(self) -> None:
        included = {
            "layouts/base": Parts(html="<i>{% block body %}{% endblock %}</i>"),
            "partials/foot": Parts(html="<u>{{ name }}</u>"),
        }
        html = "{% extends 'layouts/base' %}{% block body %}x{% include 'partials/foot' %}{% endblock %}"
        found = render({"name": "<A>"}, included=included, subject="x", html=html)
        self.assertEqual("<i>x<u>&lt;A&gt;</u></i>", found.html)

    def test_members_are_data_before_methods(self) -> None:
        found = render(
            {"order": {"items": [1, 2]}}, subject="x", text="{% for i in order.items %}{{ i }}{% endfor %}"
        )
        self.assertEqual("12", found.text)

    def test_null_is_empty(self) -> None:
        self.assertEqual("[]", render({"x": None}, subject="s", text="[{{ x }}]").text)

    def test_lone_surrogates_become_question_marks(self) -> None:
        found = render({"x": "a\ud800b"}, subject="{{ x }}", text="{{ x }}")
        self.assertEqual(("a?b", "a?b"), (found.subject, found.text))


class SubjectTests(SynchronousTestCase):
    """Nothing that is put into a subject becomes a header field of its own."""

    def test_line_breaks(self) -> None:
        for evil in ("\r\n", "\n", "\r", "\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\x1c", "\n \n"):
            found = render({"x": f"a{evil}Bcc: b@example.org"}, subject="S {{ x }}", text="x").subject
            self.assertEqual("S a Bcc: b@example.org", found)

    def test_control_characters(self) -> None:
        self.assertEqual("ab", header_text("a\0\x07b\x7f"))

    def test_too_long(self) -> None:
        error = self.assertRaises(TemplateError, render, {"x": "y" * 999}, subject="{{ x }}", text="x")
        self.assertEqual(("header", "subject"), (error.problems[0].kind, error.problems[0].part))


class MissingTests(SynchronousTestCase):
    """Variables that the data has not."""

    def problems(self, data: dict[str, Any] | None = None, **parts: Any) -> list[tuple[Any, ...]]:
        error = self.assertRaises(TemplateError, render, data, **parts)
        return [(one.kind, one.part, one.line, one.column, one.variable) for one in error.problems]

    def test_all_are_told_with_their_places(self) -> None:
        found = self.problems(
            {"user": {"name": "A"}},
            subject="{{ title }}",
            text="Hello {{ user.name }},\nyou are {{ user.age }} {% if vip %}!{% endif %}",
        )
        self.assertEqual(
            [
                ("missing", "subject", 1, 4, "title"),
                ("missing", "text", 2, 12, "user.age"),
                ("missing", "text", 2, 30, "vip"),
            ],
            found,
        )

    def test_deep_ones(self) -> None:
        self.assertEqual(
            [("missing", "text", 1, 4, "a.b.c")], self.problems(subject="x", text="{{ a.b['c'] }}")
        )

    def test_in_a_partial(self) -> None:
        found = self.problems(
            subject="x",
            text="{% include 'partials/f' %}",
            included={"partials/f": Parts(text="\n {{ who }}")},
        )
        self.assertEqual([("missing", "partials/f.text", 2, 5, "who")], found)

    def test_every_use_counts(self) -> None:
        for use in (
            "{{ x }}",
            "{{ x|upper }}",
            "{{ x + 1 }}",
            "{{ 1 + x }}",
            "{% for i in x %}{% endfor %}",
            "{% if x %}{% endif %}",
            "{% if x == 1 %}{% endif %}",
            "{{ x|length }}",
            "{{ 'a' ~ x }}",
            "{{ x() }}",
            "{{ x.y.z }}",
            "{{ x|number }}",
        ):
            error = self.assertRaises(TemplateError, render, subject="s", text=use)
            self.assertTrue(error.problems, use)

    def test_asking_is_no_use(self) -> None:
        found = render(
            subject="s", text="{{ x|default('d') }}{% if x is defined %}!{% endif %}{{ a.b|default('e') }}"
        )
        self.assertEqual("de", found.text)

    def test_lenient(self) -> None:
        found = render(subject="s", text="[{{ x.y }}{% for i in z %}{% endfor %}]", strict=False)
        self.assertEqual(("[]", ("x.y", "z")), (found.text, found.missing))

    def test_each_rendering_begins_anew(self) -> None:
        compiled = Compiled(Bundle(Parts("s", "{{ x }}")))
        self.assertRaises(TemplateError, compiled.render, {})
        self.assertEqual("1", compiled.render({"x": 1}).text)


class MistakeTests(SynchronousTestCase):
    """Errors are told with line and column."""

    def problem(self, data: dict[str, Any] | None = None, **parts: Any) -> TemplateProblem:
        return self.assertRaises(TemplateError, render, data, **parts).problems[0]

    def test_syntax(self) -> None:
        for text, line, column in (
            ("{% fro x in y %}", 1, 4),
            ("a\n  {{ 1 ? 2 }}", 2, 8),
            ("a\r\n\r\n  {{ x y }}", 3, 8),
            ("a\n{% for x in y %}", 2, 15),
            ("a\n{{ x|nofilter }}", 2, 6),
        ):
            found = self.problem(subject="s", text=text)
            self.assertEqual(
                ("syntax", "text", line, column), (found.kind, found.part, found.line, found.column), text
            )

    def test_all_parts_are_looked_at(self) -> None:
        error = self.assertRaises(TemplateError, render, subject="{{", text="{%", html="{{ x")
        self.assertEqual(["subject", "text", "html"], [one.part for one in error.problems])

    def test_errors_while_rendering(self) -> None:
        found = self.problem(subject="s", text="a\n\n{{ 1 / 0 }}")
        self.assertEqual(("error", "text", 3), (found.kind, found.part, found.line))

    def test_reference(self) -> None:
        found = self.problem(
            subject="s", html="\n{% extends 'layouts/x' %}", included={"layouts/y": Parts(html="y")}
        )
        self.assertEqual(("reference", "html", 2, 12), (found.kind, found.part, found.line, found.column))
        self.assertIn("layouts/y", found.remedy)

    def test_layout_without_this_part(self) -> None:
        found = self.problem(subject="s", text="{% extends 'l' %}", included={"l": Parts(html="y")})
        self.assertEqual("l has no text", found.what)

    def test_nothing(self) -> None:
        self.assertEqual("it has no part", self.problem().what)

    def test_sandbox(self) -> None:
        for text in (
            "{{ ''.__class__.__mro__ }}",
            "{{ x.__class__ }}",
            "{{ ''|attr('__class__') }}",
            "{{ x.append(1) }}",
            "{{ '{0.__class__}'.format(x) }}",
            "{{ self._TemplateReference__context }}",
        ):
            error = self.assertRaises(TemplateError, render, {"x": [1]}, subject="s", text=text)
            self.assertEqual("error", error.problems[0].kind, text)

    def test_range(self) -> None:
        self.assertEqual(
            "error", self.problem(subject="s", text="{% for i in range(10**9) %}{% endfor %}").kind
        )

    def test_output_is_bounded(self) -> None:
        text = "{% for i in range(2000) %}{{ 'x' * 1000 }}{% endfor %}"
        self.assertEqual("limit", self.problem(subject="s", text=text).kind)

    def test_deep_nesting(self) -> None:
        found = self.problem(subject="s", text="{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}")
        self.assertEqual("limit", found.kind)


class TranslationTests(SynchronousTestCase):
    """One template, several languages."""

    def test_chain(self) -> None:
        self.assertEqual(["de-AT", "de", "en"], chain("de_at", "en", ["de", "de-AT"]))
        self.assertEqual(["de", "en"], chain("de-CH", "en", ["de", "de-AT"]))
        self.assertEqual(["en"], chain("xx", "en", ["de"]))
        self.assertEqual(["en"], chain("en-GB", "en", ["de"]))
        self.assertEqual(["en-GB", "en"], chain("en-GB", "en", ["en-GB"]))
        self.assertEqual(["en"], chain("", "en", ["de"]))

    def test_tag(self) -> None:
        self.assertEqual("zh-Hant-TW", tag("ZH_hant_tw"))
        self.assertRaises(ValueError, tag, "../../etc")

    def test_parts_and_messages(self) -> None:
        translations = {
            "de": Translation(Parts(subject="Hallo {{ name }}"), {"Bye %(name)s": "Ciao %(name)s"}),
            "de-AT": Translation(Parts(), {"Bye %(name)s": "Baba %(name)s"}),
        }
        parts = {"subject": "Hello {{ name }}", "text": "{% trans %}Bye {{ name }}{% endtrans %}"}
        data = {"name": "A"}
        self.assertEqual(
            [("Hello A", "Bye A"), ("Hallo A", "Ciao A"), ("Hallo A", "Baba A")],
            [
                (one.subject, one.text)
                for one in (
                    render(data, locale, translations=translations, **parts) for locale in ("", "de", "de-AT")
                )
            ],
        )

    def test_plural(self) -> None:
        text = "{% trans n=n %}one{% pluralize %}{{ n }} things{% endtrans %}"
        few = {"one": {"one": "jedna", "few": "%(n)s rzeczy", "other": "%(n)s rzecz"}}
        translations = {"pl": Translation(Parts(), few)}
        found = [
            render({"n": n}, "pl", translations=translations, subject="s", text=text).text for n in (1, 2, 5)
        ]
        self.assertEqual(["jedna", "2 rzeczy", "5 rzecz"], found)

    def test_numbers_and_dates(self) -> None:
        text = "{{ 1234.5|number }} {{ 9.5|currency('EUR') }} {{ '2027-01-31'|date('long') }}"
        translations = {"de": Translation(Parts(text=text))}
        found = render(locale="de", translations=translations, subject="s", text="x").text
        self.assertEqual("1.234,5 9,50\xa0€ 31. Januar 2027", found)

    def test_wrong_placeholder(self) -> None:
        translations = {"de": Translation(Parts(), {"Hi %(name)s": "Hallo %(nam)s 5 %"})}
        error = self.assertRaises(
            TemplateError,
            render,
            translations=translations,
            subject="s",
            text="{% trans %}Hi {{ name }}{% endtrans %}",
        )
        self.assertEqual(["messages.de"] * 2, [one.part for one in error.problems])

    def test_translations_are_escaped_in_html(self) -> None:
        html = "{% trans %}Hi {{ name }}{% endtrans %}"
        translations = {"de": Translation(Parts(), {"Hi %(name)s": "<b>Hallo</b> %(name)s"})}
        found = render({"name": "<i>"}, "de", translations=translations, subject="s", html=html).html
        self.assertEqual("<b>Hallo</b> &lt;i&gt;", found)


class VariableTests(SynchronousTestCase):
    """What a template asks for."""

    def test_paths_and_sample(self) -> None:
        included = {"partials/f": Parts(html="{{ company }}")}
        parts = Parts(
            "Hi {{ user.first_name }}",
            "{% for item in order.items %}{{ item.name }}: {{ item.price|number }}{% endfor %}"
            "{% for tag in tags %}{{ tag }}{% endfor %}{{ matrix[0][1] }}",
            "{% include 'partials/f' %}{% set y = 1 %}{{ y }}{{ user['email'] }}{{ when|date }}",
        )
        compiled = Compiled(Bundle(parts, included=included))
        shape = variables(compiled)
        self.assertEqual(
            [
                "company",
                "matrix[][]",
                "order.items[].name",
                "order.items[].price",
                "tags[]",
                "user.email",
                "user.first_name",
                "when",
            ],
            sorted(paths(shape)),
        )
        data = sample(shape)
        data["when"] = "2027-01-31"
        self.assertIn("Hi Ann", compiled.render(data).subject)
