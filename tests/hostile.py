"""Texts that a stranger, a tenant or a remote server may write to harm who reads them: once, for all tests.

Each would call ``canary`` where it ran as a script, make an element called ``canary`` where it became HTML,
ask ``canary.invalid`` where something fetched it, or make a field ``X-Canary`` where it ended a header field.
"""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields
from typing import Any

_RUN = "canary(1)"

#: What becomes HTML where it is not escaped, in text or in an attribute.
HTML = (
    f"<script>{_RUN}</script>",
    f"</script><script>{_RUN}</script>",
    f"<img src=x onerror={_RUN}>",
    f"\"><img src=x onerror='{_RUN}'>",
    f"' autofocus tabindex=1 onfocus={_RUN} x='",
    f'" autofocus onfocus="{_RUN}',
    f"</textarea></title></style></option></select><svg onload={_RUN}>",
    f"<svg><script href=data:text/javascript,{_RUN} /></svg>",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror={_RUN}&gt;'>",
    f"<iframe srcdoc='<script>parent.{_RUN}</script>'></iframe>",
    "<canary></canary><b id=canary>x</b>",
    "<meta http-equiv=refresh content='0;url=//canary.invalid/'><base href=//canary.invalid/>",
    "<form action=//canary.invalid/><button name=csrf>x</button></form>",
    "<link rel=stylesheet href=//canary.invalid/x.css><style>@import '//canary.invalid/';</style>",
    f"&lt;script&gt;{_RUN}&lt;/script&gt;",
    f"--><!--><script>{_RUN}</script><!--",
    f"]]><script>{_RUN}</script>",
    f"\ufeff\uff1cscript\uff1e{_RUN}\uff1c/script\uff1e",
)
#: Where an address is wanted.
ADDRESSES = (
    f"javascript:{_RUN}",
    f"JaVaScRiPt&colon;{_RUN}",
    f" java\tscript:{_RUN}",
    f"data:text/html,<script>{_RUN}</script>",
    "//canary.invalid/",
    "https://canary.invalid\\@mx.example.org/",
    "/dashboard//canary.invalid/",
    "/dashboard/../../canary.invalid",
)
#: Where something computes: templates, style, JSON, SQL, a spreadsheet, a shell, a format.
LANGUAGES = (
    "{{9359*1000003}}{% raw %}${9359*1000003}#{9359*1000003}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{% for x in range(999999999) %}{% endfor %}",
    "%s%n{0.__class__}{message.__init__.__globals__}",
    "red;background:url(//canary.invalid/)}*{display:none",
    '"},"canary":{"__proto__":{"canary":1}}//',
    f"\u2028{_RUN}\u2029\\u003cscript\\u003e",
    "' OR '1'='1'; DROP TABLE contacts; --",
    '" UNION SELECT sql, 1, 1 FROM sqlite_master --',
    "%_%' ESCAPE '_",
    '=HYPERLINK("//canary.invalid/","x")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1+canary",
    "-2+3+canary",
    "$(touch canary)`touch canary`;touch canary|",
    "../../../../etc/passwd",
    "..\\..\\canary\x00.png",
)
#: What ends a line: a header field, a line of the log, an event of a stream, a row.
LINES = (
    "x\r\nX-Canary: 1",
    "x\nX-Canary: 1\n\n<script>canary(1)</script>",
    "x\rX-Canary: 1",
    "x\x0bX-Canary: 1\x0c\x85X-Canary: 1",
    "x\r\n\r\ndata: canary\r\nevent: happened\r\n\r\n",
    "x\r\n.\r\nMAIL FROM:<canary@canary.invalid>",
    "\u560a\u560dX-Canary: 1",
)
#: What a terminal obeys, or what shows other than it is.
TERMINAL = (
    "\x1b[2J\x1b[31mcanary\x1b[0m",
    "\x1b]0;canary\x07",
    "\x1b]8;;https://canary.invalid/\x1b\\x\x1b]8;;\x1b\\",
    "\x9b2Jcanary",
    "x\x08\x08\x08canary",
    "[bold red]canary[/] [link=https://canary.invalid/]x[/link]",
    "\u202egpj.yranac\u202c",
    "\u2066canary\u2069\u200b\u200f\u061c",
    "nul\x00canary",
    "Z\u0351\u0343\u0342a" * 40,
)
#: More than there is room for.
LONG = ("canary" * 200, "canary " * 200)
#: All of them.
ALL = (*HTML, *ADDRESSES, *LANGUAGES, *LINES, *TERMINAL, *LONG)
#: A few of each kind in one line of text, where only one text is taken.
ONE_LINE = " ".join(
    (*HTML[:4], HTML[5], HTML[6], HTML[10], ADDRESSES[0], LANGUAGES[0], LANGUAGES[5], "\u202ecanary\u202c")
)
#: What breaks a parser: depth, size, number.
BOMBS = (
    "[" * 100_000,
    '{"a":' * 50_000,
    "9" * 5000,
    "1e999999",
    "NaN",
    "-" + "9" * 30,
    "9223372036854775808",
    json.dumps({"all": [{"any": []}] * 3000}),
    "(" * 5000 + "a" * 30 + ")" * 5000,
    "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
)


def printed(text: str) -> list[str]:
    """What a terminal would obey in what was printed, or what shows other than it is."""
    return re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069]", text)


def made(page: str) -> list[str]:
    """Elements and attributes in HTML that can only be a stranger's.

    :param page: as a server sent it.
    """
    from html.parser import HTMLParser

    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, Any]]) -> None:
            for name, value in attributes:
                text = value or ""
                if name.startswith("on") or name in ("style", "srcdoc") or (name, value) == ("id", "canary"):
                    found.append(f"<{tag} {name}={text[:80]!r}>")
                elif name in ("href", "src", "action", "formaction", "data", "xlink:href"):
                    start = text.strip().lower()
                    # A relative address of ours, or one of a page that names us.
                    if start and not re.match(r"[/?#](?![/\\])", start):
                        found.append(f"<{tag} {name}={text[:80]!r}>")
            if tag in ("canary", "base", "object", "embed", "math"):
                found.append(f"<{tag}>")
            if tag == "script" and not dict(attributes).get("src"):
                found.append("<script>")
            if tag == "meta" and "http-equiv" in dict(attributes):
                found.append("<meta http-equiv>")

    reader = Reader(convert_charrefs=True)
    reader.feed(page)
    reader.close()
    return found


def event(kind: str, text: str, at: float, **given: Any) -> Any:
    """An event of which a stranger has written every text.

    :param given: what it has to be instead.
    """
    from mta.model import event as events

    cls = events._KINDS[kind]
    facts: dict[str, Any] = {}
    for one in fields(cls):
        if one.name in ("at", "message", "session"):
            continue
        of = str(one.type).replace("Mapping", "dict").replace("Sequence", "list")
        if of == "str":
            facts[one.name] = text
        elif of in ("list[str]", "tuple[str, ...]"):
            facts[one.name] = [text, text]
        elif of.startswith("dict[str, str") or of in ("dict[str, Any]", "dict[str, object]"):
            facts[one.name] = {text: text}
        elif of in ("int", "float") and one.default is MISSING and one.default_factory is MISSING:
            facts[one.name] = 1
    return cls(at=at, **{**facts, **given})
