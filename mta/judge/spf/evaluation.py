"""``check_host()`` (RFC 7208, 4): asks for records of the DNS, is handed answers, and decides.

It is a generator of :class:`Question`\\ s; each is answered by sending an :class:`Answer`, and it
returns a :class:`Finding`::

    evaluation = check_host(Identity(...))
    question = next(evaluation)
    question = evaluation.send(answer)          # until StopIteration, whose value is the finding

A domain's record may send us round in circles or ask for thousands of look-ups, so both are
bounded (4.6.4); how long all may take is up to whoever answers.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Literal, TypeAlias

from mta.judge.spf.macro import MacroError, MacroString
from mta.judge.spf.record import Mechanism, Record, RecordError, spf_records

Result: TypeAlias = Literal["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"]
Kind: TypeAlias = Literal["A", "AAAA", "MX", "PTR", "TXT"]

#: Mechanisms and modifiers that ask the DNS (4.6.4).
MOST_LOOKUPS = 10
#: Those of them that may find nothing (4.6.4).
MOST_VOID = 2
#: Hosts of an MX or PTR set that are looked up (4.6.4).
MOST_HOSTS = 10
#: Characters of a record and of an explanation that are kept as evidence, or told.
_SHOWN = 1000
#: Characters of a name in the DNS.
_LONGEST_NAME = 253

_QUALIFIERS: dict[str, Result] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the DNS.

    :ivar name: a domain's name; for PTR an IP address.
    """

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Answer:
    """What the DNS says.

    :ivar values: addresses as text, (preference, host) for MX, names for PTR, octets for TXT;
        none, too, if there is no such name.
    :ivar trouble: why nobody knows (4.4: SERVFAIL, timeout); ``""``: the values are all.
    """

    values: tuple[Any, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends, and what is asked about.

    :ivar client: the client's IP address.
    :ivar domain: the domain in question (4.1).
    :ivar sender: the address in question: that of MAIL, or ``postmaster@`` and the name of HELO.
    :ivar helo: what the client said after HELO.
    :ivar receiver: our name, for explanations.
    :ivar now: seconds since 1970, for explanations.
    """

    client: str
    domain: str
    sender: str
    helo: str
    receiver: str = "unknown"
    now: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A record that was followed, and whose it is."""

    domain: str
    record: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of it.

    :ivar result: one of 2.6.
    :ivar reason: why, in words.
    :ivar mechanism: the one that decided, as it stands in the record.
    :ivar explanation: what the domain has to say to the client (6.2); only for ``fail``.
    :ivar chain: the records that were followed, in order; for ``pass`` only those that led there.
    :ivar lookups: mechanisms and modifiers that asked the DNS.
    """

    result: Result
    reason: str
    mechanism: str = ""
    explanation: str = ""
    chain: tuple[Step, ...] = ()
    lookups: int = 0


class _Error(Exception):
    """Ends the evaluation with a result."""

    def __init__(self, result: Result, reason: str) -> None:
        super().__init__(reason)
        self.result = result


Asking: TypeAlias = Generator[Question, Answer, Any]


def check_host(identity: Identity) -> Generator[Question, Answer, Finding]:
    """See the module.

    :raise ValueError: if the client has no IP address.
    """
    return _Evaluation(identity).run()


@dataclass(slots=True)
class _Decision:
    """What one record says: the result, by which mechanism, and where an explanation stands."""

    result: Result
    mechanism: str = ""
    domain: str = ""
    exp: MacroString | None = None


@dataclass(slots=True)
class _Evaluation:
    """The state of one: what was looked up, and how much more may be."""

    identity: Identity
    client: IPv4Address | IPv6Address = field(init=False)
    chain: list[Step] = field(default_factory=list)
    #: Without the records that were included and did not pass.
    way: list[Step] = field(default_factory=list)
    lookups: int = 0
    void: int = 0
    validated: list[str] | None = None

    def __post_init__(self) -> None:
        address = ip_address(self.identity.client)
        if isinstance(address, IPv6Address):
            # An IPv4 client of a socket for both (5).
            mapped = address.ipv4_mapped
            address = mapped if mapped is not None else IPv6Address(int(address))
        self.client = address

    def run(self) -> Generator[Question, Answer, Finding]:
        domain = self.identity.domain.removesuffix(".")
        if not is_name(domain) or "." not in domain or domain.startswith("["):
            return Finding("none", f"{_shown(domain)} is no name of a domain that could have a record")
        explanation = ""
        try:
            decision = yield from self._domain(domain)
        except _Error as error:
            return self._finding(error.result, str(error))
        if decision.result == "none":
            return self._finding("none", f"{_shown(domain)} publishes no SPF record")
        if decision.result == "fail" and decision.exp is not None:
            explanation = yield from self._explain(decision)
        return self._finding(decision.result, self._words(decision), decision.mechanism, explanation)

    def _finding(self, result: Result, reason: str, mechanism: str = "", explanation: str = "") -> Finding:
        chain = self.way if result == "pass" else self.chain
        return Finding(result, reason, mechanism, explanation, tuple(chain), self.lookups)

    def _words(self, decision: _Decision) -> str:
        if not decision.mechanism:
            return f"the record of {decision.domain} does not mention {self.client}"
        may = {
            "pass": "may send",
            "fail": "may not send",
            "softfail": "should not send",
            "neutral": "is left open",
        }[decision.result]
        return f"{self.client} {may}: {decision.mechanism} in the record of {decision.domain}"

    # --- records -------------------------------------------------------------

    def _domain(self, domain: str) -> Asking:
        """A domain's :class:`_Decision`; ``none`` if it has no record (4.3 to 4.7)."""
        answer = yield Question(domain, "TXT")
        if answer.trouble:
            raise _Error("temperror", f"the record of {domain} cannot be had: {answer.trouble}")
        records = spf_records(answer.values)
        if not records:
            return _Decision("none", domain=domain)
        if len(records) > 1:
            raise _Error("permerror", f"{domain} publishes {len(records)} SPF records, and may have one")
        step = Step(domain, _shown(records[0].decode("ascii", "replace")))
        self.chain.append(step)
        self.way.append(step)
        try:
            record = Record.parse(records[0])
        except RecordError as error:
            raise _Error("permerror", f"the record of {domain} has a mistake: {error}") from None
        for mechanism in record.mechanisms:
            if (yield from self._matches(mechanism, domain)):
                return _Decision(_QUALIFIERS[mechanism.qualifier], mechanism.text, domain, record.exp)
        if record.redirect is None:
            return _Decision("neutral", domain=domain)
        self._count(f"redirect={record.redirect.text}", domain)
        target = yield from self._expanded(record.redirect, domain)
        decision = (yield from self._domain(target)) if is_name(target) else _Decision("none")
        if decision.result == "none":
            what = f"the record of {domain} redirects to {_shown(target)}, which has none"
            raise _Error("permerror", what)
        return decision

    def _count(self, term: str, domain: str) -> None:
        self.lookups += 1
        if self.lookups > MOST_LOOKUPS:
            what = f"more than {MOST_LOOKUPS} mechanisms ask the DNS, the last one {term} of {domain}"
            raise _Error("permerror", what)

    def _nothing(self, term: str, domain: str) -> None:
        self.void += 1
        if self.void > MOST_VOID:
            what = (
                f"more than {MOST_VOID} mechanisms find nothing in the DNS, the last one {term} of {domain}"
            )
            raise _Error("permerror", what)

    # --- mechanisms ----------------------------------------------------------

    def _matches(self, mechanism: Mechanism, domain: str) -> Asking:
        """Whether a mechanism matches (5)."""
        if mechanism.name == "all":
            return True
        if mechanism.network is not None:
            return self.client.version == mechanism.network.version and self.client in mechanism.network
        self._count(mechanism.text, domain)
        target = domain
        if mechanism.domain is not None:
            target = yield from self._expanded(mechanism.domain, domain)
        if mechanism.name == "include":
            return (yield from self._include(target, domain))
        if not is_name(target):
            # 4.8: what cannot be asked for is not there.
            return False
        if mechanism.name == "ptr":
            names = yield from self._validated(mechanism.text, domain)
            return any(_is_within(name, target) for name in names)
        if mechanism.name == "exists":
            answer = yield from self._ask(target, "A")
            if not answer.values:
                self._nothing(mechanism.text, domain)
            return bool(answer.values)
        hosts = [target]
        if mechanism.name == "mx":
            answer = yield from self._ask(target, "MX")
            if not answer.values:
                self._nothing(mechanism.text, domain)
                return False
            hosts = [host for _, host in sorted(answer.values)]
            if len(hosts) > MOST_HOSTS:
                what = f"{target} has more than {MOST_HOSTS} MX hosts, for {mechanism.text} of {domain}"
                raise _Error("permerror", what)
        return (yield from self._is_one_of(hosts, mechanism, domain))

    def _is_one_of(self, hosts: list[str], mechanism: Mechanism, domain: str) -> Asking:
        """Whether the client is in the network of one of these hosts (5.3, 5.4)."""
        found = False
        length = mechanism.length4 if self.client.version == 4 else mechanism.length6
        for host in hosts:
            if not is_name(host):
                continue
            answer = yield from self._ask(host, self._family)
            for text in answer.values:
                found = True
                if _in_network(self.client, text, length):
                    return True
        if not found:
            self._nothing(mechanism.text, domain)
        return False

    def _include(self, target: str, domain: str) -> Asking:
        """Whether the record of another domain passes (5.2)."""
        before = len(self.way)
        decision = (yield from self._domain(target)) if is_name(target) else _Decision("none")
        if decision.result == "none":
            what = f"the record of {domain} includes that of {_shown(target)}, which has none"
            raise _Error("permerror", what)
        if decision.result != "pass":
            del self.way[before:]
        return decision.result == "pass"

    @property
    def _family(self) -> Kind:
        return "A" if self.client.version == 4 else "AAAA"

    def _ask(self, name: str, kind: Kind) -> Asking:
        answer = yield Question(name, kind)
        if answer.trouble:
            raise _Error("temperror", f"the {kind} records of {name} cannot be had: {answer.trouble}")
        return answer

    def _validated(self, term: str, domain: str) -> Asking:
        """Names of the client that lead back to it (5.5); looked up once."""
        if self.validated is not None:
            return self.validated
        self.validated = found = []
        answer = yield Question(str(self.client), "PTR")
        if not answer.values and not answer.trouble and term:
            self._nothing(term, domain)
        for name in answer.values[:MOST_HOSTS]:
            if is_name(name):
                # 5.5: what cannot be looked up is passed over.
                back = yield Question(name, self._family)
                if any(_in_network(self.client, text, self.client.max_prefixlen) for text in back.values):
                    found.append(name.lower())
        return found

    # --- macros --------------------------------------------------------------

    def _values(self, text: MacroString, domain: str, counted: bool = True) -> Asking:
        """What the macros of a text stand for (7.2).

        :param counted: whether looking for the client's name counts (4.6.4): not for an explanation.
        """
        identity, client = self.identity, self.client
        local, _, sender_domain = identity.sender.rpartition("@")
        local = local or "postmaster"
        values = {
            "s": f"{local}@{sender_domain}",
            "l": local,
            "o": sender_domain,
            "d": domain,
            "i": str(client) if client.version == 4 else ".".join(f"{int(client):032X}"),
            "v": "in-addr" if client.version == 4 else "ip6",
            "h": identity.helo,
            "c": str(client),
            "r": identity.receiver or "unknown",
            "t": str(identity.now),
        }
        if "p" in text.letters():
            if counted and self.validated is None:
                self._count("%{p}", domain)
            names = yield from self._validated("", domain)
            # The best is the domain itself, then one below it.
            values["p"] = min(
                names,
                key=lambda name: (name != domain.lower(), not _is_within(name, domain)),
                default="unknown",
            )
        return values

    def _expanded(self, text: MacroString, domain: str, counted: bool = True) -> Asking:
        """The name that a text becomes, cut from the left where it is too long (7.3)."""
        name = text.expand((yield from self._values(text, domain, counted))).removesuffix(".")
        while len(name) > _LONGEST_NAME and "." in name:
            name = name.partition(".")[2]
        return name

    def _explain(self, decision: _Decision) -> Asking:
        """What the domain says to those who fail; ``""`` if nothing can be had (6.2)."""
        assert decision.exp is not None
        name = yield from self._expanded(decision.exp, decision.domain, counted=False)
        if not is_name(name):
            return ""
        answer = yield Question(name, "TXT")
        if answer.trouble or len(answer.values) != 1:
            return ""
        try:
            text = MacroString.parse(answer.values[0].decode("ascii"), explanation=True)
        except (MacroError, UnicodeDecodeError):
            return ""
        said = text.expand((yield from self._values(text, decision.domain, counted=False)))
        # The macros may bring in what the client said, and not everybody takes UTF-8.
        return _shown(said).encode("ascii", "replace").decode("ascii")


def is_name(text: str) -> bool:
    """Whether it could be a name in the DNS: labels of 1 to 63 characters, 253 in all."""
    return len(text) <= _LONGEST_NAME and all(0 < len(label) < 64 for label in text.split("."))


def _is_within(name: str, domain: str) -> bool:
    """Whether a name is a domain, or one below it."""
    name, domain = name.lower(), domain.lower()
    return name == domain or name.endswith("." + domain)


def _in_network(client: IPv4Address | IPv6Address, text: str, length: int) -> bool:
    """Whether a client is in the network of this length around an address."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if address.version != client.version:
        return False
    shift = client.max_prefixlen - length
    return int(address) >> shift == int(client) >> shift


_UNPRINTABLE = re.compile(r"[^ -~\u00a0-\ud7ff\ue000-\U0010ffff]")


def _shown(text: str) -> str:
    """Text of a stranger, fit for a reply, a header and the journal."""
    return _UNPRINTABLE.sub("?", text[:_SHOWN])
