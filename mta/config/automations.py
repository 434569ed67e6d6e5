"""What replies make a site do: the operator's ``[[automation]]``, then ``mta/data/automation.toml``."""

from __future__ import annotations

import tomllib
from importlib.resources import files

from mta.config.settings import Automation, Settings
from mta.model.automation import Automation as Rule


def provider_automations() -> list[Automation]:
    """The tables that come with the program."""
    text = files("mta").joinpath("data", "automation.toml").read_text("utf-8")
    return [Automation.model_validate(table) for table in tomllib.loads(text)["automation"]]


def automations_of(settings: Settings) -> list[Rule]:
    """All rules in the order in which they are asked."""
    shipped = provider_automations() if settings.relay.providers else []
    return [one.rule(number) for number, one in enumerate([*settings.automation, *shipped], 1)]
