"""Templates of a whole server: by HTTP and by `mta template`, rendered in real processes."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from mta.cli.main import main
from tests.e2e.api import ServedApi

FILES = {
    "partials/foot.html": "<p>{{ firm|default('The Shop') }}</p>",
    "layouts/base.html": "<body>{% block body %}{% endblock %}{% include 'partials/foot' %}</body>",
    "templates/welcome.toml": 'subject = "Welcome, {{ name }}"\n[de]\nsubject = "Willkommen, {{ name }}"\n'
    '[de.messages]\n"Hello" = "Hallo"\n',
    "templates/welcome.html": "{% extends 'layouts/base' %}{% block body %}{% trans %}Hello{% endtrans %}"
    " {{ name }}{% endblock %}",
    "templates/welcome.json": '{"name": "Ann"}',
}


class TemplateTests(TestCase):
    """One server."""

    timeout = 120

    async def command(self, *arguments: str, status: int = os.EX_OK) -> str:
        """What a command prints; it speaks with this process, and so runs in a thread."""
        out, err = io.StringIO(), io.StringIO()
        options = ["--config", str(self.served.state.parent / "mta.toml"), "template", *arguments]

        def run() -> int:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                return main(options)

        found = await deferToThread(run)
        self.assertEqual(status, found, out.getvalue() + err.getvalue())
        return out.getvalue() + err.getvalue()

    async def test_push_and_preview(self) -> None:
        self.served = await ServedApi(self).started()
        directory = Path(self.mktemp())
        for name, text in FILES.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        pushed = await self.command("push", str(directory))
        for name in ("partials/foot", "layouts/base", "templates/welcome"):
            self.assertIn(f"{name}: version 1", pushed)
        self.assertIn("version 1", await self.command("push", str(directory)))
        listed: list[dict[str, Any]] = json.loads(await self.command("list", "--json"))
        self.assertEqual(["welcome", "base", "foot"], [one["name"] for one in listed])
        data = str(directory / "templates/welcome.json")
        shown = await self.command("preview", "welcome", "--locale", "de-AT", "--data", data)
        self.assertIn("Subject: Willkommen, Ann\n", shown)
        self.assertIn("Hallo Ann", shown)
        self.assertIn("<p>The Shop</p>", await self.command("preview", "welcome", "--html", "--data", data))
        (directory / "templates/welcome.html").write_text("<p>\n{{ name|nosuch }}")
        wrong = await self.command("push", str(directory), status=os.EX_DATAERR)
        self.assertIn("templates/welcome", wrong)
        self.assertIn("html, line 2, column 9", wrong)
        trace = await self.served.ask("GET", "/v1/templates/welcome", key=await self.served.key("default"))
        self.assertEqual(1, trace.json["version"])

    async def test_endless_template(self) -> None:
        """It is refused with its line, and the server answers meanwhile."""
        self.served = await ServedApi(self, template={"time": "1s", "processes": 1}).started()
        key = await self.served.key("default", ["templates"])
        loops = "\n{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
        answer = await self.served.ask("POST", "/v1/preview", {"subject": "s", "text": loops}, key=key)
        self.assertEqual(422, answer.status)
        (error,) = answer.json["errors"]
        self.assertEqual(("limit", 2), (error["kind"], error["line"]))
        answer = await self.served.ask("POST", "/v1/preview", {"subject": "s", "text": "fine"}, key=key)
        self.assertEqual("fine", answer.json["text"])
