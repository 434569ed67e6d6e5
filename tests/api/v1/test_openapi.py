"""The document and the page are made of the routes."""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator
from twisted.trial.unittest import SynchronousTestCase

from mta.api.v1.openapi import document
from mta.api.v1.reference import page
from mta.api.v1.refusal import KINDS
from mta.api.v1.route import Route
from tests.api.v1.test_application import Things


class DocumentTests(SynchronousTestCase):
    def setUp(self) -> None:
        routes = Things().routes()
        hidden = Route("GET", "/secret", routes[0].handler, None, "Not shown", hidden=True)
        self.document = document([*routes, hidden], "1.2")

    def test_operations(self) -> None:
        self.assertEqual("3.1.0", self.document["openapi"])
        self.assertNotIn("/secret", self.document["paths"])
        make = self.document["paths"]["/v1/things"]["post"]
        self.assertEqual(
            {"201", "400", "401", "403", "413", "415", "422", "429", "503"}, set(make["responses"])
        )
        self.assertEqual([{"key": []}], make["security"])
        schema = make["requestBody"]["content"]["application/json"]["schema"]
        self.assertEqual({"$ref": "#/components/schemas/Thing"}, schema)
        one = self.document["paths"]["/v1/things/{id}"]["get"]
        self.assertEqual(
            ("id", "path", True), tuple(one["parameters"][0][name] for name in ("name", "in", "required"))
        )
        queries = [item["name"] for item in self.document["paths"]["/v1/things"]["get"]["parameters"]]
        self.assertEqual(["limit", "cursor"], queries)
        self.assertEqual([], self.document["paths"]["/open"]["get"]["security"])

    def test_schemas(self) -> None:
        """Every schema is one, and every reference leads somewhere."""
        schemas = self.document["components"]["schemas"]
        for schema in schemas.values():
            Draft202012Validator.check_schema(schema)
        text = json.dumps(self.document)
        for reference in text.split('"#/components/schemas/')[1:]:
            self.assertIn(reference.partition('"')[0], schemas)

    def test_page(self) -> None:
        text = page(self.document).decode()
        for words in ("/v1/things", 'id="model-Thing"', *(f'id="problem-{kind}"' for kind in KINDS)):
            self.assertIn(words, text)
        self.assertNotIn("<script", text)
        for reference in text.split('href="#')[1:]:
            self.assertIn(f'id="{reference.partition(chr(34))[0]}"', text)
