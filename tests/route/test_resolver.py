"""What the resolver makes of a DNS that answers, lies, fails or is silent."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import IReloadable, IResolver, NoSuchDomain, TemporarilyUnavailable
from mta.route.cache import TtlCache
from mta.route.dns_message import ServerTrouble
from mta.route.resolver import Resolver
from mta.route.system_files import SystemFiles, parse_hosts, parse_resolv_conf, parse_server
from tests.route.dns_answers import answer, question_of

A, B = ("192.0.2.1", 53), ("192.0.2.2", 53)

#: Answers to one question as octets; ``None`` is silence.
Says = Callable[[bytes], bytes | Exception | None]


class Network:
    """Servers that say what a test lets them say, on a clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.says: dict[Any, Says] = {}
        self.over_tcp: Says | None = None
        self.asked: list[tuple[str, str, str]] = []
        self.pending = 0
        self.most = 0

    def udp(self, server: Any, question: Any, timeout: float) -> Deferred[bytes]:
        return self.carry(server, question, timeout, self.says.get(server, lambda query: None))

    def tcp(self, server: Any, question: Any, timeout: float) -> Deferred[bytes]:
        assert self.over_tcp is not None
        return self.carry(server, question, timeout, self.over_tcp)

    def carry(self, server: Any, question: Any, timeout: float, says: Says) -> Deferred[bytes]:
        name, kind, edns = question_of(question.octets)
        self.asked.append((server[0], name, kind if edns else f"{kind} plain"))
        said = says(question.octets)
        if isinstance(said, bytes):
            return succeed(said)
        if said is not None:
            return fail(said)
        silent: Deferred[bytes] = Deferred()
        self.pending += 1
        self.most = max(self.most, self.pending)

        def expire() -> None:
            self.pending -= 1
            silent.errback(ServerTrouble("does not answer in time", final=False))

        self.clock.callLater(timeout, expire)
        return silent


def records(*lines: str, **options: Any) -> Says:
    """Answers with those of the records that are of the asked type, or CNAMEs."""

    def say(query: bytes) -> bytes:
        _, kind, _ = question_of(query)
        fitting = [line for line in lines if line.split(" ")[3] in (kind, "CNAME")]
        return answer(query, *fitting, **options)

    return say


class ResolverCase(SynchronousTestCase):
    """A resolver with two servers and no files."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1.8e9)
        self.network = Network(self.clock)
        self.resolver = self.make()

    def make(self, servers: tuple[str, ...] = ("192.0.2.1", "192.0.2.2"), **options: Any) -> Resolver:
        nowhere = SystemFiles(Path("/nonexistent"), Path("/nonexistent"))
        return Resolver(self.clock, servers, 8.0, exchange=self.network, **({"files": nowhere} | options))

    def ask(self, question: str, name: str) -> Deferred[Any]:
        return Deferred.fromCoroutine(getattr(self.resolver, question)(name))

    def told(self, question: str, name: str) -> Any:
        return self.successResultOf(self.ask(question, name))

    def fails(self, question: str, name: str, error: type[Exception]) -> str:
        return str(self.failureResultOf(self.ask(question, name), error).value)


class ValidatedTests(ResolverCase):
    """The AD bit, of whom it is believed (RFC 7672, 2.1)."""

    def validated(self, name: str, kind: str) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(self.resolver.validated(name, kind)))[:2]

    def test_trusted(self) -> None:
        for address, trusted in (("127.0.0.1", True), ("192.0.2.1", False), ("192.0.2.9", True)):
            self.resolver = self.make((address,), trusted=lambda a: a in ("127.0.0.1", "192.0.2.9"))
            self.network.says[address, 53] = records("far.test. 60 IN MX 10 mx.far.test.", secure=True)
            self.assertEqual((((10, "mx.far.test"),), trusted), self.validated("far.test", "MX"), address)

    def test_loopback_is_trusted(self) -> None:
        for address, trusted in (("127.0.0.1", True), ("::1", True), ("192.0.2.1", False)):
            self.resolver = self.make((address,))
            self.network.says[address, 53] = records("far.test. 60 IN A 192.0.2.7", secure=True)
            self.assertEqual((("192.0.2.7",), trusted), self.validated("far.test", "A"), address)

    def test_not_validated(self) -> None:
        self.resolver = self.make(("127.0.0.1",))
        self.network.says["127.0.0.1", 53] = records("far.test. 60 IN A 192.0.2.7")
        self.assertEqual((("192.0.2.7",), False), self.validated("far.test", "A"))

    def test_tlsa(self) -> None:
        self.resolver = self.make(("127.0.0.1",))
        line = f"_25._tcp.mx.far.test. 60 IN TLSA 3 1 1 {'ab' * 32}"
        self.network.says["127.0.0.1", 53] = records(line, secure=True)
        found = self.validated("_25._tcp.mx.far.test", "TLSA")
        self.assertEqual((((3, 1, 1, b"\xab" * 32),), True), found)

    def test_name_of_any_characters(self) -> None:
        """Not only hosts have names (RFC 2181, 11): that of a local part is asked for as it is."""
        asked = []

        def say(query: bytes) -> bytes:
            asked.append(question_of(query)[0])
            return answer(query)

        self.network.says["192.0.2.1", 53] = say
        for name in ("A+b=\\ c.list.test", "\xfc.Bücher.test", "-x.test.", "x.test"):
            self.validated(name, "A")
        self.assertEqual(
            ["a+b=\\\\\\032c.list.test", "xn--tda.xn--bcher-kva.test", "-x.test", "x.test"], asked
        )
        for name in ("a..b", "", "x" * 64 + "+.test", "+." * 127 + "test"):
            self.fails_validated(name)

    def fails_validated(self, name: str) -> None:
        self.failureResultOf(Deferred.fromCoroutine(self.resolver.validated(name, "A")), NoSuchDomain)

    def test_one_link_of_a_chain(self) -> None:
        """A CNAME that is not validated leads anywhere."""
        self.resolver = self.make(("127.0.0.1",))

        def say(query: bytes) -> bytes:
            if question_of(query)[0] == "mx.far.test":
                return answer(query, "mx.far.test. 60 IN CNAME a.net.test.")
            return answer(query, "a.net.test. 60 IN A 192.0.2.7", secure=True)

        self.network.says["127.0.0.1", 53] = say
        self.assertEqual((("192.0.2.7",), False), self.validated("mx.far.test", "A"))
        self.assertEqual((("192.0.2.7",), True), self.validated("a.net.test", "A"))

    def test_end_of_a_chain(self) -> None:
        """In one answer, or in two."""
        self.resolver = self.make(("127.0.0.1",))
        one = ("one.test. 60 IN CNAME a.net.test.", "a.net.test. 60 IN A 192.0.2.7")

        def say(query: bytes) -> bytes:
            name = question_of(query)[0]
            if name == "one.test":
                return answer(query, *one, secure=True)
            lines = {
                "two.test": "two.test. 60 IN CNAME a.net.test.",
                "a.net.test": "a.net.test. 60 IN A 192.0.2.7",
            }
            return answer(query, lines[name], secure=True)

        self.network.says["127.0.0.1", 53] = say
        for name in ("one.test", "two.test", "a.net.test"):
            found = self.successResultOf(Deferred.fromCoroutine(self.resolver.validated(name, "A")))
            self.assertEqual((("192.0.2.7",), True, "a.net.test"), found, name)

    def test_names_of_this_machine(self) -> None:
        """What a file says, or nobody is asked for, DNSSEC does not prove."""
        self.resolver = self.make(("127.0.0.1",))
        self.assertEqual(((), False), self.validated("localhost", "A"))
        self.assertEqual(((), False), self.validated("x.invalid", "MX"))
        self.assertEqual([], self.network.asked)


class AnswerTests(ResolverCase):
    """Answers that are answers."""

    def test_mx(self) -> None:
        self.network.says[A] = records(
            "far.test. 60 IN MX 10 MX1.far.test.", "far.test. 60 IN MX 5 mx2.far.test."
        )
        self.assertEqual([(5, "mx2.far.test"), (10, "mx1.far.test")], sorted(self.told("mx", "Far.Test.")))
        self.assertEqual([("192.0.2.1", "far.test", "MX")], self.network.asked)
        self.assertTrue(IResolver.providedBy(self.resolver))
        self.assertTrue(IReloadable.providedBy(self.resolver))

    def test_null_mx(self) -> None:
        self.network.says[A] = records("far.test. 60 IN MX 0 .")
        self.assertEqual([(0, "")], list(self.told("mx", "far.test")))

    def test_nothing(self) -> None:
        self.network.says[A] = records(minimum=60)
        for question in ("mx", "addresses", "text"):
            self.assertEqual([], list(self.told(question, "far.test")))

    def test_no_such_domain(self) -> None:
        self.network.says[A] = records(code="NXDOMAIN", minimum=60)
        for question in ("mx", "addresses", "text"):
            self.fails(question, "far.test", NoSuchDomain)
        self.assertNotIn("192.0.2.2", [server for server, *_ in self.network.asked])

    def test_addresses(self) -> None:
        """IPv6 and IPv4 in turn."""
        lines = [f"mx.test. 60 IN A 192.0.2.{n}" for n in (7, 8, 9)] + ["mx.test. 60 IN AAAA 2001:db8::7"]
        self.network.says[A] = records(*lines)
        found = self.told("addresses", "mx.test")
        self.assertEqual("2001:db8::7", found[0])
        self.assertEqual({"192.0.2.7", "192.0.2.8", "192.0.2.9"}, set(found[1:]))

    def test_one_family(self) -> None:
        """One family is enough, whatever becomes of the other."""

        def say(query: bytes) -> bytes:
            if question_of(query)[1] == "AAAA":
                return answer(query, code="SERVFAIL")
            return answer(query, "mx.test. 60 IN A 192.0.2.7")

        self.network.says = {A: say, B: say}
        self.assertEqual(["192.0.2.7"], list(self.told("addresses", "mx.test")))

    def test_family_unknown(self) -> None:
        """No IPv4 and nobody to say about IPv6: that is not "no address"."""

        def say(query: bytes) -> bytes:
            if question_of(query)[1] == "AAAA":
                return answer(query, code="SERVFAIL")
            return answer(query, minimum=60)

        self.network.says = {A: say, B: say}
        self.fails("addresses", "mx.test", TemporarilyUnavailable)

    def test_literal(self) -> None:
        self.assertEqual(["192.0.2.9"], list(self.told("addresses", "192.0.2.9")))
        self.assertEqual(["2001:db8::1"], list(self.told("addresses", "2001:DB8:0::1")))
        self.assertEqual([], self.network.asked)

    def test_reverse(self) -> None:
        self.network.says[A] = records("9.2.0.192.in-addr.arpa. 60 IN PTR Mail.far.test.")
        self.assertEqual(["mail.far.test"], list(self.told("reverse", "192.0.2.9")))
        self.network.says[A] = records(code="NXDOMAIN", minimum=9)
        self.fails("reverse", "2001:db8::1", NoSuchDomain)
        self.assertEqual(
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
            self.network.asked[-1][1],
        )

    def test_text(self) -> None:
        """The strings of one record are joined, octets as they are."""
        self.network.says[A] = records('far.test. 60 IN TXT "v=spf1 " "-all"', 'far.test. 60 IN TXT "\\255"')
        self.assertEqual({b"v=spf1 -all", b"\xff"}, set(self.told("text", "far.test")))

    def test_internationalised(self) -> None:
        self.network.says[A] = records("xn--mnchen-3ya.test. 60 IN MX 1 mx.test.")
        self.assertEqual([(1, "mx.test")], list(self.told("mx", "München.test")))

    def test_impossible_names(self) -> None:
        """What no DNS name can be is not asked for."""
        for name in ("a..b", "-x.test", "[192.0.2.1]", "a" * 300, "\u2028.test", ""):
            self.fails("mx", name, NoSuchDomain)
        self.assertEqual([], self.network.asked)

    def test_special(self) -> None:
        """Names that the DNS never answers for (RFC 6761, RFC 7686)."""
        self.assertEqual(["::1", "127.0.0.1"], list(self.told("addresses", "localhost")))
        self.assertEqual([], list(self.told("mx", "localhost")))
        for name in ("x.invalid", "x.onion"):
            self.fails("mx", name, NoSuchDomain)
            self.fails("addresses", name, NoSuchDomain)
        self.assertEqual([], self.network.asked)

    def test_hosts(self) -> None:
        """What /etc/hosts knows need not be in the DNS."""
        hosts = Path(self.mktemp())
        hosts.write_text("192.0.2.70 box Box.Lan # here\n2001:db8::70 box\nnonsense x\n")
        self.resolver = self.make(files=SystemFiles(Path("/nonexistent"), hosts))
        self.assertEqual(["2001:db8::70", "192.0.2.70"], list(self.told("addresses", "BOX")))
        self.assertEqual([], self.network.asked)
        self.network.says[A] = records(code="NXDOMAIN", minimum=60)
        self.assertEqual([], list(self.told("mx", "box.lan")))


class CnameTests(ResolverCase):
    """Names that are other names."""

    def test_inside(self) -> None:
        """A chain within the answer is followed, and lives as long as its shortest part."""
        self.network.says[A] = records(
            "a.test. 60 IN CNAME b.test.", "b.test. 10 IN CNAME c.test.", "c.test. 60 IN MX 1 mx.test."
        )
        self.assertEqual([(1, "mx.test")], list(self.told("mx", "a.test")))
        self.assertEqual(1, len(self.network.asked))
        self.clock.advance(10)
        self.told("mx", "a.test")
        self.assertEqual(2, len(self.network.asked))

    def test_outside(self) -> None:
        """Where the answer ends with a CNAME, the other name is asked for."""

        def say(query: bytes) -> bytes:
            if question_of(query)[0] == "a.test":
                return answer(query, "a.test. 60 IN CNAME b.test.")
            return answer(query, "b.test. 60 IN MX 1 mx.test.")

        self.network.says[A] = say
        self.assertEqual([(1, "mx.test")], list(self.told("mx", "a.test")))
        self.assertEqual(["a.test", "b.test"], [name for _, name, _ in self.network.asked])

    def test_to_nothing(self) -> None:
        self.network.says[A] = records("a.test. 60 IN CNAME b.test.", minimum=30)
        self.assertEqual([], list(self.told("mx", "a.test")))
        self.network.says[A] = records("c.test. 60 IN CNAME b.test.", code="NXDOMAIN", minimum=30)
        self.fails("mx", "c.test", NoSuchDomain)

    def test_circle(self) -> None:
        """A circle of CNAMEs has an end here, in one answer and over several."""

        def say(query: bytes) -> bytes:
            name = question_of(query)[0]
            return answer(query, f"{name}. 60 IN CNAME {'b' if name == 'a.test' else 'a'}.test.")

        self.network.says = {A: say, B: say}
        self.assertIn("CNAMEs", self.fails("mx", "a.test", TemporarilyUnavailable))
        both = records("x.test. 60 IN CNAME y.test.", "y.test. 60 IN CNAME x.test.")
        self.network.says = {A: both, B: both}
        self.fails("mx", "x.test", TemporarilyUnavailable)


class TroubleTests(ResolverCase):
    """Servers that do not answer, or not this."""

    GOOD = staticmethod(records("far.test. 60 IN MX 1 mx.test."))

    def test_next_server(self) -> None:
        """What is no answer makes the next server be asked."""
        troubles: dict[str, Says] = {
            "SERVFAIL": lambda query: answer(query, code="SERVFAIL"),
            "REFUSED": lambda query: answer(query, code="REFUSED"),
            "malformed": lambda query: query[:2] + b"\x81\x80" + b"\0" * 5 + b"\xff" * 9,
            "closed": lambda query: ServerTrouble("refuses connections", final=False),
            "referral": lambda query: answer(query, authority=("test. 60 IN NS ns.test.",)),
        }
        for name, trouble in troubles.items():
            with self.subTest(name):
                self.network.asked.clear()
                self.resolver = self.make()
                self.network.says = {A: trouble, B: self.GOOD}
                self.assertEqual([(1, "mx.test")], list(self.told("mx", "far.test")))
                self.assertEqual(["192.0.2.1", "192.0.2.2"], [server for server, *_ in self.network.asked])

    def test_another_question(self) -> None:
        """An answer to what was not asked is not taken, though the id is right."""

        def say(query: bytes) -> bytes:
            return answer(query, "far.test. 60 IN MX 1 evil.test.").replace(b"\3far", b"\3fae", 1)

        self.network.says = {A: say, B: self.GOOD}
        self.assertEqual([(1, "mx.test")], list(self.told("mx", "far.test")))

    def test_all_fail(self) -> None:
        """Nobody knows: temporary, at once, and not asked again for a few seconds."""
        bad = records(code="SERVFAIL")
        self.network.says = {A: bad, B: bad}
        text = self.fails("mx", "far.test", TemporarilyUnavailable)
        self.assertEqual("far.test MX: 192.0.2.1 answers SERVFAIL; 192.0.2.2 answers SERVFAIL", text)
        self.assertEqual(2, len(self.network.asked))
        self.fails("mx", "far.test", TemporarilyUnavailable)
        self.assertEqual(2, len(self.network.asked))
        self.network.says[A] = self.GOOD
        self.clock.advance(5)
        self.told("mx", "far.test")

    def test_silence(self) -> None:
        """All silent: two rounds, and an end after the whole timeout."""
        answer = self.ask("mx", "far.test")
        self.clock.pump([0.5] * 15)
        self.assertNoResult(answer)
        self.clock.pump([0.5] * 2)
        text = str(self.failureResultOf(answer, TemporarilyUnavailable).value)
        self.assertIn("192.0.2.1 does not answer in time", text)
        self.assertEqual(["192.0.2.1", "192.0.2.2"] * 2, [server for server, *_ in self.network.asked])

    def test_nobody_waits_any_more(self) -> None:
        """Who has given up hears of neither family, and nothing of it comes into the log as an accident."""
        answer = self.ask("addresses", "far.test")
        answer.cancel()
        self.failureResultOf(answer)
        self.clock.pump([0.5] * 17)
        gc.collect()
        self.assertEqual([], self.flushLoggedErrors())

    def test_silent_server_comes_last(self) -> None:
        """A silent server costs time once, not with every question, and gets another chance later."""
        self.network.says = {B: lambda query: answer(query, f"{question_of(query)[0]}. 60 IN MX 1 mx.test.")}
        first = self.ask("mx", "one.test")
        self.clock.advance(1)
        self.successResultOf(first)
        self.told("mx", "two.test")
        self.assertEqual(["192.0.2.1", "192.0.2.2", "192.0.2.2"], [s for s, *_ in self.network.asked])
        self.clock.advance(30)
        self.ask("mx", "three.test")
        self.assertEqual("192.0.2.1", self.network.asked[-1][0])

    def test_truncated(self) -> None:
        """What does not fit is asked for again over TCP."""
        self.network.says[A] = records(truncated=True)
        self.network.over_tcp = self.GOOD
        self.assertEqual([(1, "mx.test")], list(self.told("mx", "far.test")))
        self.assertEqual(2, len(self.network.asked))

    def test_no_tcp(self) -> None:
        """Without TCP there, the next server is asked."""
        self.network.says = {A: records(truncated=True), B: self.GOOD}
        self.network.over_tcp = lambda query: ServerTrouble("does not take TCP", final=False)
        self.assertEqual([(1, "mx.test")], list(self.told("mx", "far.test")))

    def test_old_server(self) -> None:
        """A server that does not know EDNS is asked without."""

        def say(query: bytes) -> bytes:
            if question_of(query)[2]:
                return answer(query, code="FORMERR")
            return answer(query, "far.test. 60 IN MX 1 mx.test.")

        self.network.says[A] = say
        self.assertEqual([(1, "mx.test")], list(self.told("mx", "far.test")))
        self.assertEqual(["MX", "MX plain"], [kind for *_, kind in self.network.asked])


class CacheTests(ResolverCase):
    """What is remembered."""

    def asked_after(self, seconds: float, question: str = "mx") -> int:
        before = len(self.network.asked)
        self.clock.advance(seconds)
        self.ask(question, "far.test").addErrback(lambda failure: None)
        return len(self.network.asked) - before

    def test_positive(self) -> None:
        self.network.says[A] = records("far.test. 60 IN MX 1 mx.test.")
        self.assertEqual([1, 0, 0, 1], [self.asked_after(s) for s in (0, 0, 59, 1)])

    def test_zero(self) -> None:
        """A TTL of 0 is not remembered."""
        self.network.says[A] = records("far.test. 0 IN MX 1 mx.test.")
        self.assertEqual([1, 1], [self.asked_after(0), self.asked_after(0)])

    def test_negative(self) -> None:
        """What does not exist is believed for as long as the SOA says (RFC 2308), an hour at the most."""
        for code in ("NXDOMAIN", "NOERROR"):
            self.resolver = self.make()
            self.network.says[A] = records(code=code, minimum=20)
            self.assertEqual([1, 0, 1], [self.asked_after(s) for s in (0, 19, 1)])
            self.resolver = self.make()
            self.network.says[A] = records(code=code)
            self.assertEqual([1, 1], [self.asked_after(s) for s in (0, 0)])

    def test_at_once(self) -> None:
        """Many who ask the same at the same time cause one question, and all get its answer."""
        waiting = [self.ask("mx", "far.test") for _ in range(50)]
        self.assertEqual(1, len(self.network.asked))
        self.network.says[B] = records("far.test. 60 IN MX 1 mx.test.")
        self.clock.advance(1)
        for asked in waiting:
            self.assertEqual([(1, "mx.test")], list(self.successResultOf(asked)))
        self.network.says.clear()
        waiting = [self.ask("mx", "dead.test") for _ in range(50)]
        self.clock.pump([1] * 20)
        for asked in waiting:
            self.failureResultOf(asked, TemporarilyUnavailable)

    def test_bounded(self) -> None:
        """So many questions at once, and no more sockets than that."""
        waiting = [self.ask("mx", f"d{number}.test") for number in range(Resolver.concurrency + 50)]
        self.assertEqual(Resolver.concurrency, len(self.network.asked))
        self.clock.pump([0.5] * 60)
        for asked in waiting:
            self.failureResultOf(asked, TemporarilyUnavailable)
        self.assertEqual(Resolver.concurrency, self.network.most)

    def test_large(self) -> None:
        """An answer so large that strangers could fill the memory with it is not remembered."""
        lines = [f'far.test. 60 IN TXT "{n}{"x" * 200}"' for n in range(30)]
        self.network.says[A] = records(*lines)
        self.assertEqual(30, len(self.told("text", "far.test")))
        self.assertEqual(1, self.asked_after(0, "text"))

    def test_reload(self) -> None:
        self.network.says[A] = records("far.test. 60 IN MX 1 mx.test.")
        self.asked_after(0)
        self.successResultOf(Deferred.fromCoroutine(self.resolver.reload()))
        self.assertEqual(1, self.asked_after(0))

    def test_reload_while_asking(self) -> None:
        """What is said to a question that was asked before is told to who asked it, and not kept."""
        late: list[tuple[bytes, Deferred[bytes]]] = []

        def udp(server: Any, question: Any, timeout: float) -> Deferred[bytes]:
            late.append((question.octets, Deferred()))
            return late[-1][1]

        asking = self.patch(self.network, "udp", udp)
        before = self.ask("mx", "far.test")
        asking.restore()
        self.network.says[A] = records("far.test. 60 IN MX 1 mx.test.")
        self.successResultOf(Deferred.fromCoroutine(self.resolver.reload()))
        # Nobody waits for the old answer who asks now.
        self.assertEqual([(1, "mx.test")], list(self.told("mx", "far.test")))
        [(query, answering)] = late
        answering.callback(answer(query, code="NXDOMAIN"))
        self.failureResultOf(before, NoSuchDomain)
        self.assertEqual([(1, "mx.test")], list(self.told("mx", "far.test")))

    def test_reload_while_nobody_answers(self) -> None:
        """That nobody answered before is no reason to ask nobody now."""
        before = self.ask("mx", "far.test")
        self.successResultOf(Deferred.fromCoroutine(self.resolver.reload()))
        for _ in range(4):
            self.clock.advance(8)
        self.failureResultOf(before, TemporarilyUnavailable)
        self.network.says[A] = records("far.test. 60 IN MX 1 mx.test.")
        self.assertEqual([(1, "mx.test")], list(self.told("mx", "far.test")))

    def test_broken_inside(self) -> None:
        """Whatever goes wrong here, nobody waits for ever, and the next question is asked."""

        def say(query: bytes) -> bytes:
            raise ZeroDivisionError

        self.network.says[A] = say
        self.fails("mx", "far.test", TemporarilyUnavailable)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.network.says[A] = records("far.test. 60 IN MX 1 mx.test.")
        self.assertEqual([(1, "mx.test")], list(self.told("mx", "far.test")))


class StaleTests(ResolverCase):
    """What is used while nobody answers (RFC 8767)."""

    BAD = staticmethod(records(code="SERVFAIL"))
    KNOWN: ClassVar = [(1, "mx.test")]

    def setUp(self) -> None:
        super().setUp()
        self.resolver = self.make(stale=3600.0)
        self.network.says[A] = records("far.test. 60 IN MX 1 mx.test.")
        self.told("mx", "far.test")
        self.clock.advance(60)
        self.network.asked.clear()

    def test_all_fail(self) -> None:
        """What was known goes on, and the servers are left alone for half a minute."""
        self.network.says = {A: self.BAD, B: self.BAD}
        for _ in range(3):
            self.assertEqual(self.KNOWN, list(self.told("mx", "far.test")))
        self.assertEqual(2, len(self.network.asked))
        self.clock.advance(30)
        self.assertEqual(self.KNOWN, list(self.told("mx", "far.test")))
        self.assertEqual(4, len(self.network.asked))

    def test_not_for_ever(self) -> None:
        self.network.says = {A: self.BAD, B: self.BAD}
        self.clock.advance(3599)
        self.assertEqual(self.KNOWN, list(self.told("mx", "far.test")))
        self.clock.advance(30)
        self.fails("mx", "far.test", TemporarilyUnavailable)

    def test_silence(self) -> None:
        """Nobody waits for the whole timeout for what was known; what comes late is kept."""
        self.network.says = {}
        asked = self.ask("mx", "far.test")
        self.clock.advance(1.7)
        self.assertNoResult(asked)
        self.clock.advance(0.1)
        self.assertEqual(self.KNOWN, list(self.successResultOf(asked)))
        self.network.says[B] = records("far.test. 60 IN MX 2 new.test.")
        self.clock.pump([0.5] * 8)
        self.assertEqual([(2, "new.test")], list(self.told("mx", "far.test")))

    def test_who_gives_up_ends_nothing(self) -> None:
        """One of two who wait is cancelled; the other gets its answer."""
        self.network.says = {}
        one, two = self.ask("mx", "far.test"), self.ask("mx", "far.test")
        one.cancel()
        self.failureResultOf(one)
        self.clock.advance(1.8)
        self.assertEqual(self.KNOWN, list(self.successResultOf(two)))
        self.clock.pump([0.5] * 20)

    def test_an_answer_counts(self) -> None:
        """That it is gone is an answer; trouble after it brings nothing back."""
        for gone in (records(code="NXDOMAIN", minimum=10), records(minimum=10), records(code="NXDOMAIN")):
            self.resolver = self.make(stale=3600.0)
            self.network.says = {A: records("far.test. 60 IN MX 1 mx.test.")}
            self.told("mx", "far.test")
            self.clock.advance(60)
            self.network.says = {A: gone}
            self.ask("mx", "far.test").addErrback(lambda failure: failure.trap(NoSuchDomain))
            self.clock.advance(10)
            self.network.says = {A: self.BAD, B: self.BAD}
            self.fails("mx", "far.test", TemporarilyUnavailable)

    def test_absence_is_never_stale(self) -> None:
        """Nobody's mail is returned because a domain once was not there."""
        for code in ("NXDOMAIN", "NOERROR"):
            self.network.says = {A: records(code=code, minimum=10)}
            self.ask("mx", f"{code}.test").addErrback(lambda failure: failure.trap(NoSuchDomain))
            self.clock.advance(10)
            self.network.says = {A: self.BAD, B: self.BAD}
            self.fails("mx", f"{code}.test", TemporarilyUnavailable)

    def test_addresses(self) -> None:
        self.network.says = {A: records("mx.test. 60 IN A 192.0.2.7")}
        self.told("addresses", "mx.test")
        self.clock.advance(60)
        self.network.says = {A: self.BAD, B: self.BAD}
        # The absence of IPv6 was never known; the IPv4 address was.
        self.assertEqual(["192.0.2.7"], list(self.told("addresses", "mx.test")))

    def test_one_family(self) -> None:
        """That a host has no IPv6 goes on beside its IPv4 address; nobody waits for it."""
        self.network.says = {A: records("mx.test. 60 IN A 192.0.2.7", minimum=60)}
        self.told("addresses", "mx.test")
        self.clock.advance(60)
        self.network.says = {}
        asked = self.ask("addresses", "mx.test")
        self.clock.advance(1.8)
        self.assertEqual(["192.0.2.7"], list(self.successResultOf(asked)))
        self.clock.pump([0.5] * 20)

    def test_no_address_is_never_stale(self) -> None:
        self.network.says = {A: records(minimum=60)}
        self.assertEqual([], list(self.told("addresses", "mx.test")))
        self.clock.advance(60)
        self.network.says = {A: self.BAD, B: self.BAD}
        self.fails("addresses", "mx.test", TemporarilyUnavailable)

    def test_not_unless_wanted(self) -> None:
        self.resolver = self.make()
        self.told("mx", "far.test")
        self.clock.advance(60)
        self.network.says = {A: self.BAD, B: self.BAD}
        self.fails("mx", "far.test", TemporarilyUnavailable)


class PrefetchTests(ResolverCase):
    """What is asked for often is asked for anew before its time is over."""

    def setUp(self) -> None:
        super().setUp()
        self.network.says[A] = records("far.test. 100 IN MX 1 mx.test.")
        self.told("mx", "far.test")

    def test_popular(self) -> None:
        for _ in range(3):
            self.told("mx", "far.test")
        self.clock.advance(89)
        self.told("mx", "far.test")
        self.assertEqual(1, len(self.network.asked))
        self.clock.advance(2)
        self.network.says = {}
        self.assertEqual([(1, "mx.test")], list(self.told("mx", "far.test")))
        self.told("mx", "far.test")
        self.assertEqual(2, len(self.network.asked))
        self.network.says[B] = records("far.test. 100 IN MX 2 new.test.")
        self.clock.advance(1)
        self.assertEqual([(2, "new.test")], list(self.told("mx", "far.test")))
        self.assertEqual(3, len(self.network.asked))

    def test_not_popular(self) -> None:
        self.clock.advance(91)
        self.told("mx", "far.test")
        self.assertEqual(1, len(self.network.asked))

    def test_fails(self) -> None:
        """Trouble on the way is nobody's; at the end of its time it is asked for again."""
        for _ in range(3):
            self.told("mx", "far.test")
        self.clock.advance(91)
        bad = records(code="SERVFAIL")
        self.network.says = {A: bad, B: bad}
        for _ in range(3):
            self.assertEqual([(1, "mx.test")], list(self.told("mx", "far.test")))
        self.assertEqual(3, len(self.network.asked))


class TtlCacheTests(SynchronousTestCase):
    """The map itself."""

    def test_ends(self) -> None:
        cache: TtlCache[str] = TtlCache(10, longest=100)
        cache.put("a", "x", 0, 5)
        cache.put("long", "y", 0, 1e9)
        cache.put("never", "z", 0, 0)
        self.assertEqual("x", cache.get("a", 4.9))
        self.assertIsNone(cache.get("a", 5))
        self.assertEqual("y", cache.get("long", 99))
        self.assertIsNone(cache.get("long", 100))
        self.assertIsNone(cache.get("never", 0))
        self.assertEqual(0, len(cache))

    def test_stale(self) -> None:
        cache: TtlCache[str] = TtlCache(10)
        cache.put("a", "x", 0, 5, stale=10)
        self.assertEqual(["x", "x"], [cache.get("a", 4), cache.stale("a", 4)])
        self.assertEqual([None, "x"], [cache.get("a", 5), cache.stale("a", 14.9)])
        self.assertEqual([None, 0], [cache.stale("a", 15), len(cache)])
        cache.put("a", "x", 0, 5, stale=10)
        cache.put("a", "y", 1, 0, stale=10)
        self.assertIsNone(cache.stale("a", 1))

    def test_size(self) -> None:
        """Those asked for longest ago go first."""
        cache: TtlCache[int] = TtlCache(3)
        for number in range(3):
            cache.put(number, number, 0, 10)
        cache.get(0, 1)
        cache.put(3, 3, 1, 10)
        self.assertEqual([0, None, 2, 3], [cache.get(number, 2) for number in range(4)])
        cache.clear()
        self.assertEqual(0, len(cache))


class SystemFilesTests(SynchronousTestCase):
    """resolv.conf, hosts, and servers as the settings write them."""

    SERVERS: ClassVar = {
        "192.0.2.53": ("192.0.2.53", 53),
        "192.0.2.53:5353": ("192.0.2.53", 5353),
        "2001:db8::53": ("2001:db8::53", 53),
        "[2001:db8::53]": ("2001:db8::53", 53),
        "[2001:db8::53]:5353": ("2001:db8::53", 5353),
        "fe80::1%eth0": ("fe80::1%eth0", 53),
    }

    def test_servers(self) -> None:
        for text, expected in self.SERVERS.items():
            with self.subTest(text):
                self.assertEqual(expected, parse_server(text))
        for text in ("", "dns.test", "192.0.2.53:", "192.0.2.53:x", "192.0.2.53:0", "300.1.1.1"):
            with self.subTest(text):
                self.assertIn("dns.servers", str(self.assertRaises(ValueError, parse_server, text)))

    def test_resolv_conf(self) -> None:
        text = "# x\nsearch lan\nnameserver 192.0.2.1\nnameserver ::1 # y\nnameserver junk\noptions ndots:5\n"
        self.assertEqual(("192.0.2.1", "::1"), parse_resolv_conf(text))
        self.assertEqual(("127.0.0.1",), parse_resolv_conf(""))
        many = "".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 9))
        self.assertEqual(("192.0.2.1", "192.0.2.2", "192.0.2.3"), parse_resolv_conf(many))

    def test_hosts(self) -> None:
        self.assertEqual(
            {"a": ("192.0.2.1", "::1"), "b.test": ("192.0.2.1",)},
            parse_hosts("192.0.2.1\tA b.test. # c\n\n::1 a\n#192.0.2.2 d\n"),
        )

    def test_changed(self) -> None:
        """Another resolv.conf is noticed."""
        path = Path(self.mktemp())
        files = SystemFiles(path, Path("/nonexistent"))
        self.assertEqual(("127.0.0.1",), files.read().servers)
        self.assertIsNone(files.read_if_changed())
        path.write_text("nameserver 192.0.2.1")
        fresh = files.read_if_changed()
        assert fresh is not None
        self.assertEqual(("192.0.2.1",), fresh.servers)
