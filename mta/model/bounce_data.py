"""The rules that come with the program, and the classifier made of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from mta.model.bounce import Classification, Classifier, Rule
from mta.model.outcome import RemoteReply

#: In the order in which they are asked.
_FILES = ("bounce-providers.toml", "bounce-texts.toml", "bounce-codes.toml")


@cache
def shipped() -> tuple[tuple[Rule, ...], Mapping[str, Sequence[str]]]:
    """Rules, and the ends of host names by provider."""
    rules: list[Rule] = []
    providers: dict[str, Sequence[str]] = {}
    for name in _FILES:
        data = tomllib.loads(files("mta").joinpath("data", name).read_text("utf-8"))
        for provider, facts in data.get("providers", {}).items():
            providers[provider] = tuple(facts["hosts"])
        rules += [_rule(table) for table in data.get("rules", [])]
    return tuple(rules), providers


def _rule(table: dict[str, Any]) -> Rule:
    lists = ("text", "code", "enhanced", "provider", "host", "command")
    facts: dict[str, Any] = {n: tuple(value) if n in lists else value for n, value in table.items()}
    return Rule(**facts)


def classifier(own: Iterable[Rule] = ()) -> Classifier:
    """A classifier of these rules and those that come with the program.

    :raise ValueError: if a rule names a class or a provider that there is not.
    """
    rules, providers = shipped()
    return Classifier(own, rules, providers)


@cache
def default_classifier() -> Classifier:
    """The one without rules of an operator."""
    return classifier()


def classify(reply: RemoteReply, next_hop: str = "") -> Classification:
    """What a reply means, by the rules that come with the program."""
    return default_classifier().classify(reply, next_hop)


def provider_of(hosts: Iterable[str]) -> str:
    """The name of the known provider that all of these hosts belong to; ``""`` if there is none."""
    names = [f".{host.lower().rstrip('.')}" for host in hosts]
    if not names:
        return ""
    for provider, ends in shipped()[1].items():
        if all(name.endswith(tuple(f".{end}" for end in ends)) for name in names):
            return provider
    return ""
