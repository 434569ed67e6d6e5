"""How the compatible routes are described."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.api.compatible.postmark_routes import PostmarkRoutes
from mta.api.compatible.sendgrid_routes import SendGridRoutes
from mta.api.v1.openapi import document


class DocumentTests(SynchronousTestCase):
    def setUp(self) -> None:
        nobody: Any = None
        routes = [*PostmarkRoutes(nobody).routes(), *SendGridRoutes(nobody, lambda: "").routes()]
        self.document = document(routes, "1")

    def test_where_the_key_stands(self) -> None:
        schemes = self.document["components"]["securitySchemes"]
        for path, name in (
            ("/postmark/email", "X-Postmark-Server-Token"),
            ("/v3/mail/send", "Authorization"),
        ):
            (scheme,) = self.document["paths"][path]["post"]["security"][0]
            self.assertEqual(name, schemes[scheme].get("name", "Authorization"))

    def test_statuses(self) -> None:
        """They are those that the vendor answers, and not ours."""
        answers = self.document["paths"]["/v3/mail/send"]["post"]["responses"]
        self.assertTrue({"200", "202", "400", "401", "403", "429"} <= set(answers))
        self.assertNotIn("422", answers)

    def test_once(self) -> None:
        """The same call in another place is not described again."""
        self.assertNotIn("/email", self.document["paths"])
