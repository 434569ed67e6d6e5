"""What RFC 8460 says a report is: its fields as a JSON schema, and the example of its appendix B.

The schema is stricter than the RFC where the RFC leaves open what a sender may add: we add nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_HERE = Path(__file__).parent
EXAMPLE = (_HERE / "appendix_b.json").read_bytes()


def mistakes(report: Any) -> list[str]:
    """What is wrong with a report, in words; empty if nothing is."""
    schema = json.loads((_HERE / "schema.json").read_bytes())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(report)]
