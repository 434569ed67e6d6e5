"""A DNS in memory, in the form of the RFC 7208 test suite, that answers an evaluation's questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from mta.judge.spf.evaluation import Answer, Finding, Identity, Question, check_host


class Zone:
    """Names and their records.

    :param data: by name a list of ``{type: value}``, or ``TIMEOUT`` for what nobody answers.
    """

    def __init__(self, data: Mapping[str, Sequence[Any]]) -> None:
        self.asked: list[Question] = []
        self._data: dict[str, list[tuple[str, Any]]] = {}
        for name, records in data.items():
            known = self._data.setdefault(name.lower(), [])
            for record in records:
                known += record.items() if isinstance(record, dict) else [(record, record)]

    def answer(self, question: Question, depth: int = 0) -> Answer:
        """What the DNS says, CNAMEs followed."""
        name = question.name.lower()
        if question.kind == "PTR":
            name = ip_address(name).reverse_pointer
        if not depth:
            self.asked.append(question)
        records = self._data.get(name, [])
        kinds = {kind for kind, _ in records}
        found: list[Any] = []
        for kind, value in records:
            if kind == "TIMEOUT" and not found:
                return Answer(trouble="nobody answers")
            if kind == "CNAME" and question.kind != "CNAME" and depth < 8:
                target = value.removesuffix(".")
                return self.answer(Question(target, question.kind), depth + 1)
            # The suite writes TXT as SPF, unless both are there.
            if kind == ("SPF" if question.kind == "TXT" and "TXT" not in kinds else question.kind):
                if value == "TIMEOUT":
                    return Answer(trouble="nobody answers")
                if value not in ("NONE", ["NONE"]):
                    found.append(_value(question.kind, value))
        return Answer(tuple(found))

    def check(self, identity: Identity) -> Finding:
        """Run an evaluation to its end."""
        evaluation = check_host(identity)
        answer: Answer | None = None
        while True:
            try:
                question = evaluation.send(answer)  # type: ignore[arg-type]
            except StopIteration as end:
                finding: Finding = end.value
                return finding
            answer = self.answer(question)


def _value(kind: str, value: Any) -> Any:
    if kind == "TXT":
        strings = value if isinstance(value, list) else [value]
        return b"".join(text.encode("utf-8", "surrogateescape") for text in strings)
    if kind == "MX":
        preference, host = value
        return int(preference), host.removesuffix(".")
    return value.removesuffix(".")
