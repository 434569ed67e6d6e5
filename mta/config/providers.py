"""The known needs of large mailbox providers, from ``mta/data/providers.toml``."""

from __future__ import annotations

import tomllib
from importlib.resources import files

from mta.config.settings import Shape


def provider_shapes() -> list[Shape]:
    """Their tables, to stand before those of the operator."""
    text = files("mta").joinpath("data", "providers.toml").read_text("utf-8")
    return [Shape.model_validate(table) for table in tomllib.loads(text)["shape"]]
