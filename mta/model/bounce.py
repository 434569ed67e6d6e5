"""What a reply that refuses or puts off a message means; pure.

A reply is read by rules, the first that fits decides: the operator's own (``[[bounce]]``),
those that hold for one provider, those on words, on enhanced status codes (RFC 3463), on
reply codes (RFC 5321, 4.2).  A rule names a class of :mod:`~mta.model.bounce_classes`, which
says whom it concerns, what to do, and tells cause and remedy.

Rules have phrases, not regular expressions: ``*`` stands for anything, and everything else
for itself.  To look for a few hundred of them in a reply takes microseconds, and no reply
can make it take longer; what was asked just before is remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mta.model.bounce_classes import BY_NAME, Action, BounceClass, Scope
from mta.model.outcome import RemoteReply
from mta.model.standards import codes_in

#: Of longer replies nothing is looked at behind this.
_LONGEST = 2000
#: Replies remembered.
_REMEMBERED = 4096

#: Who speaks where no other host has: a finding of ours, of a connection that failed.
OURSELVES = "self"

#: Codes that some servers repeat on each line.
_REPEATED = re.compile(
    r"(?:(?<=\s)|^)#?[45]\d\d(?:[- ]#?[45]\.\d{1,3}\.\d{1,3})?[- ]"
    r"|(?:^|\s)\(?#?[45]\.\d\.\d{1,3}\)?:?(?=\s)"
)
#: A host that a line of a log names in front of its reply: ``host mx.far.test[192.0.2.1] said``.
_HOST_NAME = re.compile(r"([a-z0-9-]+(?:\.[a-z0-9-]+)+)\.?(?= ?\[[0-9a-f.:]+\])", re.IGNORECASE)
#: What a reply answered, as Postfix writes it, and as we do.
_IN_REPLY = re.compile(r"\(in reply to (?:the )?([\w ]+?)(?: command)?\)", re.IGNORECASE)
_ANSWERED = re.compile(r"\banswered to ([\w ]+):", re.IGNORECASE)
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\Z")
#: An enhanced code that an older server puts among its words: ``(#5.1.1)``, ``550 #5.7.1 Denied``.
_HIDDEN = re.compile(r"(?:^|[\s(\[])#?([45]\.\d{1,2}\.\d{1,3})(?![.\d])")


@dataclass(frozen=True, slots=True)
class Rule:
    """Which replies are of a class.  What is empty fits everything; of a list one is enough.

    :ivar means: name of the class.
    :ivar text: phrases, of which one stands in the reply; upper and lower case are one.
    :ivar code: reply codes; ``x`` is any digit: ``4xx``.
    :ivar enhanced: enhanced status codes; ``x`` is any digit: ``x.7.26``, ``5.7.5xx``.
    :ivar provider: names of providers, one of which said it.
    :ivar host: ends of the name of the host that said it, or of the next hop.
    :ivar command: beginnings of the command that it answered: ``RCPT``.
    :ivar scope: another than the class has; with ``site`` the site is given less at once.
    :ivar action: what to do, even against the reply code; for rules of an operator.
    :ivar delay: seconds, as in the class.
    :ivar suspend: likewise.
    :ivar cause: other words than the class has.
    :ivar remedy: likewise.
    """

    means: str
    text: Sequence[str] = ()
    code: Sequence[str] = ()
    enhanced: Sequence[str] = ()
    provider: Sequence[str] = ()
    host: Sequence[str] = ()
    command: Sequence[str] = ()
    scope: Scope | None = None
    action: Action | None = None
    delay: float | None = None
    suspend: float | None = None
    cause: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        """What it looks for."""
        facts = (
            ("provider", self.provider),
            ("host", self.host),
            ("command", self.command),
            ("code", self.code),
            ("enhanced", self.enhanced),
            ("text", [f'"{one}"' for one in self.text]),
        )
        return "; ".join(f"{name} {', '.join(values)}" for name, values in facts if values) or "any reply"


@dataclass(frozen=True, slots=True)
class Classification:
    """What a reply means.

    :ivar name: of its class.
    :ivar title: of its class.
    :ivar scope: whom it concerns.
    :ivar action: what to do.
    :ivar is_decided: whether that holds against the reply code: an operator says so.
    :ivar delay: seconds before which not to try again; 0: as the schedule says.
    :ivar soon: seconds within which to try again; 0: as the schedule says.
    :ivar suspend: seconds for which the site should have no mail from here; 0: it goes on.
    :ivar cause: what it means, for the person who sent the message.
    :ivar remedy: what that person can do.
    :ivar operator: what the operator can do.
    :ivar provider: who said it, if that is one of those known.
    :ivar rule: what the deciding rule looks for; the phrase alone if it was one.
    """

    name: str
    title: str
    scope: Scope
    action: Action
    is_decided: bool
    delay: float
    soon: float
    suspend: float
    cause: str
    remedy: str
    operator: str
    provider: str
    rule: str

    @property
    def consequence(self) -> str:
        """What this server does, in words."""
        minutes = f"{round(self.delay / 60)} minutes"
        words = {
            "fail": "it is returned to the sender at once",
            "retry": "it is tried again by the schedule",
            "soon": f"it is tried again soon{f', but not within {minutes}' if self.delay else ''}",
            "later": "it is tried again"
            + (f", but not within {minutes}" if self.delay else " by the schedule"),
            "slow": "it is tried again, and the site is to be given less at once",
            "suspend": "it is tried again",
        }[self.action]
        if self.suspend:
            words += f"; the site is to rest for {round(self.suspend / 60)} minutes"
        return words

    @property
    def is_site_wide(self) -> bool:
        """Whether it holds for whatever else goes from here to the same site."""
        return self.scope == "site"


class _Compiled:
    """One rule, ready to be asked."""

    __slots__ = ("codes", "commands", "enhanced", "hosts", "phrases", "rule")

    def __init__(self, rule: Rule) -> None:
        if rule.means not in BY_NAME:
            raise ValueError(f"there is no class {rule.means!r}")
        self.rule = rule
        self.phrases = [(tuple(filter(None, plain(one).split("*"))), one) for one in rule.text]
        self.codes = _digits(rule.code)
        self.enhanced = _digits(rule.enhanced)
        self.hosts = tuple(f".{one.lower().strip('.')}" for one in rule.host)
        self.commands = tuple(one.upper() for one in rule.command)

    def fits(self, said: _Said) -> str | None:
        """What it found; ``None`` if it does not fit."""
        found = ""
        if self.phrases:
            for parts, phrase in self.phrases:
                if stands_in(parts, said.text):
                    found = f'"{phrase}"'
                    break
            else:
                return None
        if self.codes and not self.codes.fullmatch(said.code):
            return None
        if self.enhanced and not self.enhanced.fullmatch(said.enhanced):
            return None
        if self.commands and not said.command.startswith(self.commands):
            return None
        if self.hosts and not any(name.endswith(self.hosts) for name in said.hosts):
            return None
        return found or str(self.rule)


@dataclass(frozen=True, slots=True)
class _Said:
    """A reply as rules look at it."""

    code: str
    enhanced: str
    text: str
    command: str
    hosts: tuple[str, ...]


def plain(text: str) -> str:
    """Words as they are compared: lower case, single spaces, straight quotes."""
    return " ".join(text.lower().replace("\u2019", "'").replace("\u2018", "'").split())


def stands_in(parts: Sequence[str], text: str) -> bool:
    """Whether the parts of a phrase stand in a text, one behind the other, the first where a word begins."""
    if not parts:
        return False
    first = parts[0]
    at = text.find(first)
    # "uce" is not to be found in "source".
    while at > 0 and first[0].isalnum() and text[at - 1].isalnum():
        at = text.find(first, at + 1)
    if at < 0:
        return False
    at += len(first)
    for part in parts[1:]:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _digits(codes: Sequence[str]) -> re.Pattern[str] | None:
    """A pattern for codes in which ``x`` is any digit."""
    if not codes:
        return None
    return re.compile("|".join(re.escape(one.lower()).replace("x", r"\d") for one in codes))


class Classifier:
    """Reads replies.

    :param own: the operator's rules, asked first.
    :param rules: those that come with the program.
    :param providers: by name, the ends of names of their hosts and of their domains.
    :raise ValueError: if a rule names a class that there is not.
    """

    def __init__(
        self,
        own: Iterable[Rule] = (),
        rules: Sequence[Rule] = (),
        providers: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._providers = [
            (name, tuple(f".{end}" for end in ends)) for name, ends in (providers or {}).items()
        ]
        known = {name for name, _ in self._providers}
        compiled = [_Compiled(rule) for rule in (*own, *rules)]
        first = [one for one in compiled[: len(compiled) - len(rules)] if not one.rule.provider]
        for one in compiled:
            if not known.union([OURSELVES]).issuperset(one.rule.provider):
                raise ValueError(f"there is no provider {', '.join(one.rule.provider)!r}")
        #: Rules by who speaks; those of all providers where nobody knows.
        pasted = [one for one in compiled if one.phrases or not one.rule.provider]
        self._rules: dict[str | None, list[_Compiled]] = {None: pasted}
        for name in ("", *known):
            self._rules[name] = [
                one for one in compiled if not one.rule.provider or name in one.rule.provider
            ]
        # Our own codes are chosen with care, and what we quote must not be read.
        ours = [one for one in compiled if OURSELVES in one.rule.provider]
        codes = [one for one in compiled if not one.phrases and not one.rule.provider]
        self._rules[OURSELVES] = [*first, *ours, *codes]
        self._remembered = lru_cache(_REMEMBERED)(self._classify)

    def classify(self, reply: RemoteReply, next_hop: str = "") -> Classification:
        """What a reply means.

        :param next_hop: where the message was to go: a domain, or a host with its port.
        """
        return self._remembered(
            reply.code, reply.enhanced, reply.text[:_LONGEST], reply.host, reply.command, next_hop, False
        )

    def classify_pasted(self, text: str) -> Classification | None:
        """What a reply in a line of a log or a bounce means.

        A host that is named in it has said it; without one, the rules of all providers are asked.

        :return: ``None`` if there is no code in it, or nothing but codes.
        """
        codes = codes_in(text)
        if not codes:
            return None
        begin = text.find(codes.reply or codes.enhanced)
        words = _IN_REPLY.sub("", _REPEATED.sub(" ", text[begin:] + " "))
        if not re.search(r"[^\W\d_]{2}", words):
            return None
        found = _IN_REPLY.search(text) or _ANSWERED.search(text)
        command = found[1] if found else ""
        code = int(codes.reply or f"{codes.enhanced[0]}50")
        named = [f".{name.lower()}" for name in _HOST_NAME.findall(text[:_LONGEST])]
        provider = self._provider(named)
        return self._remembered(
            code, codes.enhanced, words[:_LONGEST], provider and named[0][1:], command, "", not provider
        )

    def _classify(
        self, code: int, enhanced: str, text: str, host: str, command: str, next_hop: str, pasted: bool
    ) -> Classification:
        said = _said(code, enhanced, text, host, command, next_hop)
        # Where no host said it, we did.
        provider = self._provider(said.hosts) if host else "" if pasted else OURSELVES
        for one in self._rules[None if pasted else provider]:
            found = one.fits(said)
            if found is not None:
                return _classification(one.rule, found, code, provider)
        return _classification(Rule("other" if code >= 500 else "transient"), "", code, provider)

    def _provider(self, hosts: Sequence[str]) -> str:
        for name, ends in self._providers:
            if any(host.endswith(ends) for host in hosts):
                return name
        return ""


class Matcher:
    """Whether a reply is one that a rule looks for, whatever the rule says that it means.

    :raise ValueError: if the rule names a class that there is not.
    """

    def __init__(self, rule: Rule) -> None:
        self._compiled = _Compiled(rule)

    def fits(self, reply: RemoteReply, next_hop: str = "", provider: str = "") -> str | None:
        """What it found; ``None`` if it does not fit.

        :param next_hop: where the message was to go.
        :param provider: who said it, if that is one of those known.
        """
        wanted = self._compiled.rule.provider
        if wanted and provider not in wanted:
            return None
        text = reply.text[:_LONGEST]
        return self._compiled.fits(
            _said(reply.code, reply.enhanced, text, reply.host, reply.command, next_hop)
        )


def _said(code: int, enhanced: str, text: str, host: str, command: str, next_hop: str) -> _Said:
    hosts = tuple(f".{name}" for name in (_host_name(host), _host_name(next_hop)) if name)
    words = plain(text)
    if not _ENHANCED.match(enhanced):
        hidden = _HIDDEN.search(words)
        enhanced = hidden[1] if hidden else ""
    return _Said(str(code), enhanced, " ".join(_REPEATED.sub(" ", words).split()), command.upper(), hosts)


def _host_name(host: str) -> str:
    """Of ``mx.far.test [192.0.2.1]`` or ``mx.far.test:25`` the name, in lower case."""
    name = host.partition(" ")[0].partition("[")[0].partition(":")[0]
    return name.rstrip(".").lower()


def _classification(rule: Rule, found: str, code: int, provider: str) -> Classification:
    of: BounceClass = BY_NAME[rule.means]
    scope = rule.scope or of.scope
    delay = of.delay if rule.delay is None else rule.delay
    suspend = of.suspend if rule.suspend is None else rule.suspend
    if scope != "site":
        suspend = 0.0
    if rule.action is not None:
        action = rule.action
    elif code >= 500:
        action = "fail"
    elif suspend:
        action = "suspend"
    elif delay and of.action == "retry":
        action = "later"
    elif rule.scope == "site" and of.action == "retry":
        # To say that it holds for all that goes there has a consequence.
        action = "slow"
    else:
        action = of.action if of.action != "suspend" else "retry"
    soon = max(of.soon, delay) if action == "soon" else 0.0
    cause, remedy = rule.cause or of.cause, rule.remedy or of.remedy
    return Classification(
        name=of.name,
        title=of.title,
        scope=scope,
        action=action,
        is_decided=rule.action is not None,
        delay=delay,
        soon=soon,
        suspend=suspend,
        cause=cause,
        remedy=remedy,
        operator=of.operator,
        provider=provider,
        rule=found,
    )
