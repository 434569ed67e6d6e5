"""Reads rules, and finds the first that fits what is known; pure but for reading files.

A rule is decided as soon as everything that it asks for is known.  One that cannot be decided
yet, and may still fit, lets none behind it decide: so the order of the file holds, and whoever
is refused is refused as early as that allows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

from mta.config.settings import AccessRule
from mta.judge.access.patterns import Patterns, WrongPattern
from mta.model.network import NetworkTable

#: Octets of a file of rules at the most.
_MOST = 32 * 1024 * 1024
_ACTIONS = ("accept", "reject", "defer", "hold", "tag")
_REPLY = re.compile(r"(?:([45]\d\d) )?(?:([45]\.\d{1,3}\.\d{1,3}) )?(.*)", re.DOTALL)

#: What is known, by subject; what is not yet known is missing.
Known = Mapping[str, str]


class AccessProblem(ValueError):
    """A rule or its file is wrong.

    :param place: file and line; 0 and ``""`` for the rule itself.
    """

    def __init__(self, what: str, file: str = "", line: int = 0, remedy: str = "") -> None:
        super().__init__(f"{file}:{line}: {what}" if file else what)
        self.what, self.file, self.line, self.remedy = what, file, line, remedy


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule says of a client, a sender, a recipient.

    :ivar rule: its name.
    :ivar code: of the reply, 0 if it gives none.
    :ivar words: of the reply, likewise.
    :ivar facts: what it fits, as (what, value).
    """

    rule: str
    action: str
    code: int = 0
    enhanced: str = ""
    words: str = ""
    field: str = ""
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Rule:
    """One rule, ready to be asked.

    :ivar name: as it stands in replies and in the journal.
    :ivar settings: as the configuration has it.
    :ivar tests: by subject, what finds a value for a text.
    :ivar said: action and words of a line of its file, by what ``tests`` found.
    """

    name: str
    settings: AccessRule
    tests: dict[str, Callable[[str], str | None]] = field(default_factory=dict)
    said: dict[str, tuple[str, str]] = field(default_factory=dict)

    def fits(self, role: str, known: Known) -> str | bool | None:
        """Whether it fits: the value of its file's line, ``True`` or ``False``; ``None``: not known yet."""
        if self.settings.role and role not in self.settings.role:
            return False
        open_question = False
        found: str | bool = True
        for subject, test in self.tests.items():
            text = known.get(subject)
            if text is None:
                open_question = True
                continue
            value = test(text)
            if value is None:
                return False
            if subject == self.settings.of:
                found = value
        return None if open_question else found

    def decision(self, found: str | bool, known: Known) -> Decision:
        """What it says, once it fits."""
        settings = self.settings
        action, reply, name = str(settings.action), settings.reply, self.name
        if isinstance(found, str) and found in self.said:
            action, words = self.said[found]
            reply = words or reply
            name = f"{name}:{found}"
        code, enhanced, text = _reply(reply)
        facts = tuple((subject, known[subject]) for subject in self.tests)
        return Decision(name, action, code, enhanced, text, settings.field, facts)


def read_rules(settings: Sequence[AccessRule], base: Path) -> list[Rule]:
    """Make rules of their tables.  Reads their files: before the reactor runs, or in a thread.

    :param base: directory that file names are relative to.
    :raise AccessProblem: at the first mistake; ``args`` tells which rule, by its number.
    """
    rules = []
    for number, one in enumerate(settings):
        rule = Rule(one.name or (Path(one.file).name if one.file else f"rule {number + 1}"), one)
        try:
            _read_tests(rule, one, base)
        except WrongPattern as wrong:
            problem = AccessProblem(str(wrong))
            problem.args = (*problem.args, number)
            raise problem from None
        except AccessProblem as problem:
            problem.args = (*problem.args, number)
            raise
        rules.append(rule)
    return rules


def _read_tests(rule: Rule, one: AccessRule, base: Path) -> None:
    if one.client:
        rule.tests["client"] = NetworkTable((network, str(network)) for network in one.client).find
    for subject in ("reverse_name", "helo", "account", "sender", "recipient"):
        patterns: Sequence[str] = getattr(one, subject)
        if patterns:
            rule.tests[subject] = Patterns((pattern, pattern) for pattern in patterns).find
    if one.file and one.of is not None:
        rule.tests[one.of] = _read_file(rule, one, base / one.file)


def _read_file(rule: Rule, one: AccessRule, path: Path) -> Callable[[str], str | None]:
    """A line for each key: ``KEY [ACTION [words]]``."""
    try:
        if path.stat().st_size > _MOST:
            raise AccessProblem(f"it is larger than {_MOST} octets", str(path))
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise AccessProblem("this is not UTF-8", str(path), 0, "save the file as UTF-8") from None
    except OSError as error:
        raise AccessProblem(
            f"cannot be read: {error.strerror}", str(path), 0, "mend the path or its permissions"
        ) from None
    keys: list[tuple[str, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        key, _, rest = line.partition(" ") if not line.startswith("/") else _expression(line)
        key = key.split("\t")[0]
        action, _, words = rest.strip().partition(" ")
        action = action.lower() or str(one.action)
        if action not in _ACTIONS:
            raise AccessProblem(
                f"{action!r} is no action",
                str(path),
                number,
                f"write KEY ACTION words; {', '.join(_ACTIONS)}",
            )
        code = _reply(words.strip())[0]
        if code and str(code)[0] != {"reject": "5", "defer": "4"}.get(action):
            raise AccessProblem(f"the reply {code} does not fit {action}", str(path), number)
        keys.append((key, number))
        rule.said.setdefault(key.lower() if one.of != "client" else key, (action, words.strip()))
    if one.of == "client":
        networks = []
        for key, number in keys:
            try:
                networks.append((ip_network(key, strict=False), key))
            except ValueError:
                raise AccessProblem(f"{key!r} is no network", str(path), number) from None
        return NetworkTable(networks).find
    for key, number in keys:
        try:
            Patterns([(key, key)])
        except WrongPattern as wrong:
            raise AccessProblem(str(wrong), str(path), number) from None
    return Patterns((key, key.lower()) for key, _ in keys).find


def _expression(line: str) -> tuple[str, str, str]:
    match = re.match(r"(/(?:[^\\/]|\\.)*/)(\s+|\Z)", line)
    return (match[1], " ", line[match.end() :]) if match else line.partition(" ")


def _reply(text: str) -> tuple[int, str, str]:
    match = _REPLY.fullmatch(text)
    assert match is not None
    return int(match[1] or 0), match[2] or "", match[3].strip()


def decide(
    rules: Sequence[Rule], role: str, known: Known, complete: bool
) -> tuple[list[Decision], Decision | None]:
    """What the rules say, as far as it can be said: tags, and the one that decides.

    :param complete: nothing more will be known; what is missing fits nothing.
    """
    tags: list[Decision] = []
    for rule in rules:
        found = rule.fits(role, known)
        if found is None:
            if complete:
                continue
            break
        if found is False:
            continue
        decision = rule.decision(found, known)
        if decision.action != "tag":
            return tags, decision
        tags.append(decision)
    return tags, None
