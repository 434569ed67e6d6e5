"""Names that are mistyped."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError
from twisted.trial.unittest import SynchronousTestCase

from mta.api.v1.batches import SendBatch
from mta.api.v1.message_models import SendMessage
from mta.api.v1.refusal import invalid
from mta.api.v1.tracking import Search

ONE = {"from": "a@example.org", "subject": "x", "text": "x"}


class UnknownTests(SynchronousTestCase):
    def told(self, model: type[BaseModel], value: dict[str, Any], place: str = "") -> dict[str, str]:
        with self.assertRaises(ValidationError) as caught:
            model.model_validate(value)
        errors = invalid(caught.exception, place, model).more["errors"]
        return {one.get("pointer") or one["parameter"]: one["detail"] for one in errors}

    def test_nearest(self) -> None:
        for model, value, place, where, like in (
            (SendMessage, {**ONE, "to": ["b@x.example"], "tag": ["x"]}, "", "#/tag", "tags"),
            (SendMessage, {**ONE, "to": ["b@x.example"], "form": "x"}, "", "#/form", "from"),
            (
                SendMessage,
                {**ONE, "to": ["b@x.example"], "track": {"click": True}},
                "",
                "#/track/click",
                "clicks",
            ),
            (
                SendBatch,
                {**ONE, "recipients": [{"email": "b@x.example", "dat": {}}]},
                "",
                "#/recipients/0/dat",
                "data",
            ),
            (Search, {"tga": "x"}, "query", "tga", "tag"),
        ):
            told = self.told(model, value, place)
            self.assertEqual(f"there is no such name here; did you mean {like}?", told[where])

    def test_nothing_like_it(self) -> None:
        told = self.told(Search, {"zzzzzz": "x"}, "query")
        self.assertEqual({"zzzzzz": "there is no such name here"}, told)
