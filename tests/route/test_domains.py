"""Where mail for our domains goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Domain
from mta.deliver.error import ERROR, ErrorSettings
from mta.interfaces import (
    Alias,
    Delivery,
    IReloadable,
    IRouter,
    Mailbox,
    PluginContext,
    Route,
    RouteError,
    TemporarilyUnavailable,
    settle,
)
from mta.model.address import Address
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client, Envelope
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Failed
from mta.route.aliases import Aliases
from mta.route.domains import DomainRouter
from mta.route.expansion import MAX_ADDRESSES
from mta.route.outbound import OutboundRouter
from mta.route.routers import Routers


def at_once(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    try:
        return succeed(function(*arguments))
    except Exception:
        return fail()


class TableDirectory:
    """Knows what its table has; answers at once, or later."""

    def __init__(self, table: dict[str, Any], later: bool = False) -> None:
        self.table = table
        self.later = later
        self.asked: list[str] = []
        self.waiting: list[tuple[Deferred[Any], Any]] = []

    def look_up(self, address: Address) -> Any:
        self.asked.append(str(address))
        found = self.table.get(str(address).lower())
        if not self.later:
            if isinstance(found, Exception):
                raise found
            return found
        pending: Deferred[Any] = Deferred()
        self.waiting.append((pending, found))
        return pending

    def account(self, avatar: str) -> Any:
        return None

    def answer(self) -> None:
        while self.waiting:
            pending, found = self.waiting.pop(0)
            if isinstance(found, Exception):
                pending.errback(found)
            else:
                pending.callback(found)


def boxes(*names: str) -> dict[str, Any]:
    """Plain mailboxes."""
    return {f"{name}@here.test": Mailbox(f"{name}@here.test") for name in names}


def shown(routes: Any) -> list[str]:
    """Each route in short."""
    lines = []
    for route in routes:
        line = f"{route.address} {route.transport} {route.next_hop}".strip()
        if route.sender is not None:
            line += f" from {route.sender}"
        lines.append(line)
    return lines


class RouterCase(SynchronousTestCase):
    """Makes routers out of a few lines."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.directory = TableDirectory(boxes("ann", "bob", "carl"))
        self.outbound: Any = OutboundRouter()

    def router(self, aliases: str = "", domains: dict[str, Domain] | None = None, **options: Any) -> Any:
        domains = domains or {"here.test": Domain()}
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        if aliases:
            (base / "aliases").write_text(aliases, "utf-8")
            domains = {
                name: domain.model_copy(update={"aliases": "aliases"}) for name, domain in domains.items()
            }
        options = {"hostname": "mx.here.test", "state": "/s", "outbound": self.outbound} | options
        self.aliases = base / "aliases"
        files = Aliases.read(domains, base, self.clock, at_once, frozenset({"filter"}))
        return DomainRouter(
            domains, self.directory, files, own_addresses=lambda: frozenset({"192.0.2.1", "::1"}), **options
        )

    def routes(self, router: DomainRouter, address: str) -> list[str]:
        answer = router.route(address)
        self.assertNotIsInstance(answer, Deferred)
        return shown(answer)

    def refused(self, router: DomainRouter, address: str) -> RouteError:
        return self.assertRaises(RouteError, router.route, address)


class MailboxTests(RouterCase):
    """Mailboxes that the directory knows."""

    def test_known(self) -> None:
        """It goes to the Maildir of the domain's template."""
        router = self.router()
        self.assertEqual(
            [Route("ann@here.test", "maildir", "/s/mail/here.test/ann")], list(router.route("ann@here.test"))
        )
        self.assertTrue(IRouter.providedBy(router))
        self.assertTrue(IReloadable.providedBy(router))

    def test_unknown(self) -> None:
        error = self.refused(self.router(), "nobody@here.test")
        self.assertEqual("mailbox-unknown", error.reply.name)
        self.assertIn("nobody@here.test", error.reason)

    def test_elsewhere(self) -> None:
        """Another router should be asked."""
        self.assertIsNone(self.router().route("x@far.test"))
        self.assertIsNone(self.router().route("x@[192.0.2.99]"))

    def test_is_local(self) -> None:
        router = self.router(domains={"here.test": Domain(), "München.test": Domain()})
        for domain in ("here.test", "HERE.test", "mx.here.test", "münchen.test", "xn--mnchen-3ya.test"):
            self.assertTrue(router.is_local(domain), domain)
        for domain in ("[192.0.2.1]", "[IPv6:::1]"):
            self.assertTrue(router.is_local(domain), domain)
        for domain in ("far.test", "sub.here.test", "[192.0.2.99]", "", "[x]", "test"):
            self.assertFalse(router.is_local(domain), domain)

    def test_detail(self) -> None:
        """As written first, then without detail, which the transport learns."""
        self.directory.table |= boxes("ann+list")
        router = self.router()
        (route,) = router.route("ann+news@here.test")
        self.assertEqual(("ann@here.test", {"detail": "news"}), (route.address, route.options))
        (route,) = router.route("ann+list@here.test")
        self.assertEqual(("ann+list@here.test", {}), (route.address, route.options))
        (route,) = router.route("ann+@here.test")
        self.assertEqual(("ann@here.test", {}), (route.address, route.options))
        self.refused(router, "+ann@here.test")

    def test_separator(self) -> None:
        router = self.router(domains={"here.test": Domain(separator="-")})
        self.assertEqual({"detail": "x"}, next(iter(router.route("ann-x@here.test"))).options)
        self.refused(router, "ann+x@here.test")
        self.refused(self.router(domains={"here.test": Domain(separator="")}), "ann+x@here.test")

    def test_options(self) -> None:
        """Quota and modes reach the transport where they are not the default."""
        domain = Domain(quota="1K", file_mode=0o640, directory_mode=0o750)
        self.directory.table["bob@here.test"] = Mailbox("bob@here.test", quota=5)
        router = self.router(domains={"here.test": domain})
        modes = {"file_mode": 0o640, "directory_mode": 0o750}
        self.assertEqual({"quota": 1024, **modes}, next(iter(router.route("ann@here.test"))).options)
        self.assertEqual({"quota": 5, **modes}, next(iter(router.route("bob@here.test"))).options)

    def test_own_maildir(self) -> None:
        """The directory's path wins over the template."""
        for text, path in {
            "/var/mail/ann/Maildir": "/var/mail/ann/Maildir",
            "{state}/x/{local}": "/s/x/ann",
            "ann/Maildir": "/s/ann/Maildir",
        }.items():
            self.directory.table["ann@here.test"] = Mailbox("ann@here.test", maildir=text)
            self.assertEqual(path, next(iter(self.router().route("ann@here.test"))).next_hop)

    def test_bad_maildir(self) -> None:
        """A path that cannot be used is our trouble: later, not never."""
        for text in ("../../etc", "{home}/x", "/a\0"):
            self.directory.table["ann@here.test"] = Mailbox("ann@here.test", maildir=text)
            self.assertRaises(TemporarilyUnavailable, self.router().route, "ann@here.test")

    def test_alternate(self) -> None:
        """An alternate address leads to the one mailbox, whatever its domain."""
        self.directory.table["a.smith@here.test"] = Mailbox("ann@here.test")
        self.directory.table["ann@two.test"] = Mailbox("ann@here.test")
        router = self.router(
            "all: ann, a.smith", {"here.test": Domain(), "two.test": Domain(maildir="/two/{domain}/{local}")}
        )
        self.assertEqual(
            ["ann@here.test maildir /s/mail/here.test/ann"], self.routes(router, "a.smith@here.test")
        )
        self.assertEqual(
            ["ann@here.test maildir /s/mail/here.test/ann"], self.routes(router, "all@here.test")
        )
        self.assertEqual(["ann@here.test maildir /two/here.test/ann"], self.routes(router, "ann@two.test"))

    def test_hostile(self) -> None:
        """What stands in a local part does not leave the tree."""
        name = '"../../x"@here.test'
        self.directory.table[name] = Mailbox(name)
        self.assertEqual(
            [f"{name} maildir /s/mail/here.test/%2e.%2f..%2fx"], self.routes(self.router(), name)
        )

    def test_not_an_address(self) -> None:
        for text in ("@here.test", "a..b@here.test", "x" * 65 + "@here.test", "\udcff@here.test"):
            self.assertEqual("mailbox-unknown", self.refused(self.router(), text).reply.name)

    def test_trouble(self) -> None:
        self.directory.table["dark@here.test"] = TemporarilyUnavailable("ldap is down")
        self.assertRaises(TemporarilyUnavailable, self.router().route, "dark@here.test")

    def test_other_transport(self) -> None:
        """Another transport gets the whole address and the domain's next hop."""
        router = self.router(domains={"here.test": Domain(transport="lmtp", next_hop="unix:/run/lmtp")})
        self.assertEqual(["ann@here.test lmtp unix:/run/lmtp"], self.routes(router, "ann@here.test"))
        (route,) = router.route("ann+x@here.test")
        self.assertEqual(("ann+x@here.test", {"detail": "x"}), (route.address, route.options))
        self.refused(router, "nobody@here.test")

    def test_every_address(self) -> None:
        """With ``*`` the next server decides who exists; a Maildir for anybody is refused."""
        every = Domain(transport="lmtp", next_hop="x:24", catch_all="*")
        router = self.router(domains={"here.test": every})
        self.assertEqual(["any+x@here.test lmtp x:24"], self.routes(router, "any+x@here.test"))
        self.assertRaises(ValueError, self.router, domains={"here.test": Domain(catch_all="*")})

    def test_catch_all_of_a_transport(self) -> None:
        """A transport takes its domain's catch-all though no directory knows that address."""
        domain = Domain(transport="archive", catch_all="box")
        router = self.router(domains={"here.test": domain})
        for address in ("box@here.test", "any@here.test", "any+x@here.test"):
            self.assertEqual(["box@here.test archive"], self.routes(router, address))

    def test_hostname(self) -> None:
        """The host name and our own literals stand for the domain above."""
        domains = {"first.test": Domain(), "here.test": Domain()}
        router = self.router(domains=domains)
        expected = ["ann@here.test maildir /s/mail/here.test/ann"]
        for address in ("ann@mx.here.test", "ann@[192.0.2.1]", "ann@[IPv6:::1]", "ann@HERE.test"):
            self.assertEqual(expected, self.routes(router, address))

    def test_settings(self) -> None:
        """Every mistake in the settings is told, with its domain."""
        domains = {
            "a.test": Domain(maildir="/x/{user}"),
            "b.test": Domain(maildir="/x"),
            "c.test": Domain(catch_all="a b"),
            "d.test": Domain(separator="--"),
        }
        text = str(self.assertRaises(ValueError, self.router, domains=domains, postmaster="a b@c"))
        for word in ('"a.test"', '"b.test"', '"c.test"', '"d.test"', "queue.postmaster", "{user}"):
            self.assertIn(word, text)


class AliasTests(RouterCase):
    """Aliases in a file and in the directory, and forwards."""

    ANN = "ann@here.test maildir /s/mail/here.test/ann"
    BOB = "bob@here.test maildir /s/mail/here.test/bob"

    def test_followed(self) -> None:
        router = self.router(
            'team: ann, far@far.test, inner\ninner: bob, ann, "|filter", /srv/box/\nSales+x: ann'
        )
        self.assertEqual(
            {
                self.ANN,
                "far@far.test relay far.test",
                "inner@here.test filter",
                "inner@here.test maildir /srv/box",
                self.BOB,
            },
            set(self.routes(router, "TEAM@here.test")),
        )
        self.assertEqual(5, len(self.routes(router, "team@here.test")))
        self.assertEqual([self.ANN], self.routes(router, "sales+x@here.test"))
        self.refused(router, "sales@here.test")

    def test_detail(self) -> None:
        """An alias matches without detail, and does not pass the detail on."""
        (route,) = self.router("team: ann").route("team+x@here.test")
        self.assertEqual({}, route.options)

    def test_before_directory(self) -> None:
        """The file wins over a mailbox of the name; itself among the targets is the mailbox."""
        self.assertEqual([self.BOB], self.routes(self.router("ann: bob"), "ann@here.test"))
        router = self.router("ann: ann, bob\nbob: \\bob")
        self.assertEqual([self.ANN, self.BOB], self.routes(router, "ann@here.test"))
        (first, *_) = router.route("ann+x@here.test")
        self.assertEqual({"detail": "x"}, first.options)

    def test_owner(self) -> None:
        """Bounces of a list go to its owner; a list inside has its own."""
        router = self.router(
            "list: ann, inner, x@far.test\nowner-list: bob\ninner: carl\nowner-inner: carl\nplain: bob"
        )
        self.assertEqual(
            [
                f"{self.ANN} from owner-list@here.test",
                "carl@here.test maildir /s/mail/here.test/carl from owner-inner@here.test",
                "x@far.test relay far.test from owner-list@here.test",
            ],
            self.routes(router, "list@here.test"),
        )
        self.assertEqual([self.BOB], self.routes(router, "owner-list@here.test"))
        self.assertEqual([self.BOB], self.routes(router, "plain@here.test"))

    def test_directory_alias(self) -> None:
        self.directory.table["team@here.test"] = Alias(
            "team@here.test", ("ann@here.test", "x@far.test"), "boss@here.test"
        )
        self.assertEqual(
            [f"{self.ANN} from boss@here.test", "x@far.test relay far.test from boss@here.test"],
            self.routes(self.router(), "team@here.test"),
        )
        self.directory.table["team@here.test"] = Alias("team@here.test", ())
        self.assertEqual("alias-trouble", self.refused(self.router(), "team@here.test").reply.name)
        for text in ("not an address", "x@far.test>\r\nRCPT TO:<y@far.test", '"x\ny"@far.test', "x@a b"):
            self.directory.table["team@here.test"] = Alias("team@here.test", (text,))
            self.assertEqual("alias-trouble", self.refused(self.router(), "team@here.test").reply.name)

    def test_hostile_directory(self) -> None:
        """What people may write into a directory does not become a line of SMTP."""
        evil = "x@far.test>\r\nRCPT TO:<y@far.test"
        self.directory.table["team@here.test"] = Alias("team@here.test", ("ann@here.test",), evil)
        self.assertEqual("alias-trouble", self.refused(self.router(), "team@here.test").reply.name)
        self.directory.table["ann@here.test"] = Mailbox(evil)
        for transport in ("lmtp", "maildir"):
            router = self.router(domains={"here.test": Domain(transport=transport)})
            self.assertEqual("ann@here.test", router.route("ann@here.test")[0].address)

    def test_forwards(self) -> None:
        table = self.directory.table
        table["ann@here.test"] = Mailbox("ann@here.test", forwards=("x@far.test", "bob@here.test"))
        table["carl@here.test"] = Mailbox("carl@here.test", forwards=("bob@here.test",), keep=False)
        router = self.router()
        self.assertEqual(
            [self.ANN, "x@far.test relay far.test", self.BOB], self.routes(router, "ann@here.test")
        )
        self.assertEqual([self.BOB], self.routes(router, "carl@here.test"))

    def test_forward_to_itself(self) -> None:
        """Whoever forwards to themselves keeps a copy."""
        self.directory.table["ann@here.test"] = Mailbox(
            "ann@here.test", forwards=("Ann@here.test",), keep=False
        )
        self.assertEqual([self.ANN], self.routes(self.router(), "ann@here.test"))

    def test_forwards_to_each_other(self) -> None:
        """Two that keep their mail and forward to each other both get it, once."""
        table = self.directory.table
        table["ann@here.test"] = Mailbox("ann@here.test", forwards=("bob@here.test",))
        table["bob@here.test"] = Mailbox("bob@here.test", forwards=("ann@here.test",))
        self.assertEqual([self.ANN, self.BOB], self.routes(self.router(), "ann@here.test"))

    def test_circle(self) -> None:
        """A circle is refused, and its names told."""
        error = self.refused(self.router("a: b\nb: c\nc: a"), "a@here.test")
        self.assertEqual("routing-loop", error.reply.name)
        self.assertIn("a@here.test → b@here.test → c@here.test → a@here.test", error.reason)
        self.directory.table["ann@here.test"] = Mailbox(
            "ann@here.test", forwards=("bob@here.test",), keep=False
        )
        self.directory.table["bob@here.test"] = Mailbox(
            "bob@here.test", forwards=("ann@here.test",), keep=False
        )
        self.assertEqual("routing-loop", self.refused(self.router(), "ann@here.test").reply.name)

    def test_circle_beside(self) -> None:
        """A circle that costs nobody their mail does not keep it from the others."""
        self.assertEqual([self.ANN], self.routes(self.router("a: b, ann\nb: a"), "a@here.test"))

    def test_diamond(self) -> None:
        """Two ways to one mailbox are one delivery, and no circle."""
        self.assertEqual([self.ANN], self.routes(self.router("a: b, c\nb: ann\nc: ann"), "a@here.test"))

    def test_deep(self) -> None:
        text = "\n".join(f"a{n}: a{n + 1}" for n in range(100)) + "\na100: ann"
        router = self.router(text)
        error = self.refused(router, "a0@here.test")
        self.assertEqual(("alias-trouble", 451), (error.reply.name, error.reply.code))
        self.assertIn("50 aliases", error.reason)
        self.assertEqual([self.ANN], self.routes(router, "a60@here.test"))

    def test_wide(self) -> None:
        """As many as one alias may have are fine; many times as many are not."""
        lists = [f"l{n}: " + ", ".join(f"u{n}x{m}@far.test" for m in range(5000)) for n in range(3)]
        router = self.router("\n".join(lists) + "\ntwo: l0, l1\nthree: l0, l1, l2")
        self.assertEqual(10_000, len(self.routes(router, "two@here.test")))
        error = self.refused(router, "three@here.test")
        self.assertIn(str(MAX_ADDRESSES), error.reason)

    def test_unknown_member(self) -> None:
        """The others get the mail, and the sender is told of the one that does not exist."""
        routes = self.router("team: ann, gone, bob").route("team@here.test")
        self.assertEqual([self.ANN, self.BOB, "gone@here.test error"], shown(routes))
        self.assertEqual({"reply": "member-unknown"}, list(routes)[2].options)

    def test_only_unknown_members(self) -> None:
        error = self.refused(self.router("team: gone, away"), "team@here.test")
        self.assertEqual(("alias-trouble", 451), (error.reply.name, error.reply.code))
        self.assertIn("gone@here.test, away@here.test", error.reason)

    def test_member_refused_outside(self) -> None:
        """A router's refusal of a member is told to the sender; a temporary one puts all off."""

        class Refusing:
            def route(self, address: str) -> Any:
                name = "mailbox-unknown" if address.startswith("no") else "alias-trouble"
                raise RouteError(REPLIES.reply(name, address=address, ref="r"))

            def is_local(self, domain: str) -> bool:
                return False

        self.outbound = Refusing()
        routes = list(self.router("team: ann, no@far.test").route("team@here.test"))
        self.assertEqual((550, "5.1.1"), (routes[1].options["code"], routes[1].options["enhanced"]))
        self.refused(self.router("team: ann, later@far.test"), "team@here.test")

    def test_trouble_of_a_member(self) -> None:
        """What cannot be told now is asked again later, for all."""
        self.directory.table["dark@here.test"] = TemporarilyUnavailable("ldap is down")
        self.assertRaises(TemporarilyUnavailable, self.router("team: ann, dark").route, "team@here.test")

    def test_catch_all(self) -> None:
        for target, expected in {
            "ann@here.test": self.ANN,
            "ann": self.ANN,
            "x@far.test": "x@far.test relay far.test",
            "team": self.BOB,
        }.items():
            router = self.router("team: bob", domains={"here.test": Domain(catch_all=target)})
            self.assertEqual([expected], self.routes(router, "any@here.test"))
            self.assertEqual([self.BOB], self.routes(router, "bob@here.test"))
        router = self.router(domains={"here.test": Domain(catch_all="gone")})
        self.assertEqual("alias-trouble", self.refused(router, "any@here.test").reply.name)
        self.assertEqual("mailbox-unknown", self.refused(router, "gone@here.test").reply.name)


class PostmasterTests(RouterCase):
    """Somebody always reads the postmaster's mail (RFC 5321, 4.5.1)."""

    LAST = "postmaster@here.test maildir /s/mail/here.test/postmaster"

    def test_nobody(self) -> None:
        for address in (
            "postmaster",
            "Postmaster@here.test",
            "postmaster@[192.0.2.1]",
            "postmaster@mx.here.test",
        ):
            self.assertEqual([self.LAST], self.routes(self.router(), address))

    def test_somebody(self) -> None:
        router = self.router("postmaster: ann")
        self.assertEqual(["ann@here.test maildir /s/mail/here.test/ann"], self.routes(router, "postmaster"))
        self.directory.table |= boxes("postmaster")
        self.assertEqual([self.LAST], self.routes(self.router(), "postmaster"))

    def test_setting(self) -> None:
        for setting, expected in {
            "ann": "ann@here.test maildir /s/mail/here.test/ann",
            "ops@far.test": "ops@far.test relay far.test",
            "postmaster@here.test": self.LAST,
            "gone@here.test": self.LAST,
        }.items():
            router = self.router(postmaster=setting)
            self.assertEqual([expected], self.routes(router, "postmaster@here.test"))

    def test_circle(self) -> None:
        """Even aliases that go in circles do not lose it."""
        router = self.router("postmaster: ann\nann: postmaster")
        self.assertEqual([self.LAST], self.routes(router, "postmaster@here.test"))
        self.assertEqual([self.LAST], self.routes(self.router("postmaster: gone"), "postmaster@here.test"))

    def test_no_domains(self) -> None:
        router = DomainRouter({}, self.directory, hostname="mx.test", state="/s")
        self.assertEqual(
            ["postmaster@mx.test maildir /s/mail/mx.test/postmaster"], shown(router.route("postmaster"))
        )


class TimeTests(RouterCase):
    """Answers that come later, and answers that are remembered."""

    def test_later(self) -> None:
        """A directory that takes its time is waited for."""
        self.directory.later = True
        answer = self.router("team: ann, bob, x@far.test").route("team@here.test")
        waiting = Deferred.fromCoroutine(settle(answer))
        self.assertNoResult(waiting)
        self.directory.answer()
        self.assertEqual(
            [AliasTests.ANN, AliasTests.BOB, "x@far.test relay far.test"],
            shown(self.successResultOf(waiting)),
        )

    def test_trouble_later(self) -> None:
        self.directory.later = True
        self.directory.table["dark@here.test"] = TemporarilyUnavailable("ldap is down")
        for address, trouble in (("dark", TemporarilyUnavailable), ("gone", RouteError)):
            waiting = Deferred.fromCoroutine(settle(self.router().route(f"{address}@here.test")))
            self.directory.answer()
            self.failureResultOf(waiting, trouble)

    def test_remembered(self) -> None:
        """Within a second the directory is not asked again; what is unknown is never remembered."""
        for later in (False, True):
            self.directory.later = later
            self.directory.asked.clear()
            router = self.router(clock=self.clock)

            def ask(address: str, router: DomainRouter = router) -> Deferred[Any]:
                async def route() -> Any:
                    return await settle(router.route(address))

                waiting = Deferred.fromCoroutine(route())
                self.directory.answer()
                return waiting

            self.successResultOf(ask("ann@here.test"))
            self.successResultOf(ask("ann@here.test"))
            self.assertEqual(["ann@here.test"], self.directory.asked)
            self.clock.advance(1)
            self.successResultOf(ask("ann@here.test"))
            self.assertEqual(["ann@here.test"] * 2, self.directory.asked)
            for _ in range(2):
                self.failureResultOf(ask("gone@here.test"), RouteError)
            self.assertEqual(["gone@here.test"] * 2, self.directory.asked[2:])

    def test_bounded(self) -> None:
        router = self.router(domains={"here.test": Domain(catch_all="ann")}, clock=self.clock)
        router.remembered = 10
        for number in range(25):
            router.route(f"u{number}@here.test")
        self.assertLessEqual(len(router._kept), 10)
        # What leads to many weighs as many.
        router = self.router("all: " + ", ".join(f"u{n}@far.test" for n in range(4)), clock=self.clock)
        router.remembered = 10
        for number in range(10):
            router.route(f"all+{number}@here.test")
        self.assertLessEqual(sum(len(routes) for _, routes in router._kept.values()), 10)

    def test_reload(self) -> None:
        """A reload reads the aliases and forgets what was remembered."""
        router = self.router("team: ann", clock=self.clock)
        self.assertEqual([AliasTests.ANN], self.routes(router, "team@here.test"))
        self.aliases.write_text("team: bob")
        self.successResultOf(Deferred.fromCoroutine(router.reload()))
        self.assertEqual([AliasTests.BOB], self.routes(router, "team@here.test"))
        self.aliases.write_text("team:")
        self.failureResultOf(Deferred.fromCoroutine(router.reload()), ValueError)
        self.assertEqual([AliasTests.BOB], self.routes(router, "team@here.test"))


class TraceTests(RouterCase):
    """What a person is told about an address."""

    def trace(self, router: Any, address: str) -> tuple[str, Any]:
        steps, end = self.successResultOf(Deferred.fromCoroutine(router.trace(address)))
        return "\n".join(steps), end

    def test_alias(self) -> None:
        router = self.router("# first line\nteam: ann, gone, x@far.test\nowner-team: bob")
        text, end = self.trace(router, "team+x@here.test")
        self.assertEqual(3, len(end))
        for words in (
            f"team+x@here.test is an alias in {self.aliases}:2 for ann@here.test, gone@here.test, x@far.test",
            "bounces go to owner-team@here.test",
            "the directory knows ann@here.test, a mailbox",
            "ann@here.test: maildir /s/mail/here.test/ann",
            "neither aliases nor directory know gone@here.test",
            "x@far.test is elsewhere: relay far.test",
        ):
            self.assertIn(words, text)

    def test_ends(self) -> None:
        router = self.router("a: b\nb: a", domains={"here.test": Domain(catch_all="")}, postmaster="ann")
        text, end = self.trace(router, "a@here.test")
        self.assertIn("a circle: a@here.test → b@here.test → a@here.test", text)
        self.assertIsInstance(end, RouteError)
        text, end = self.trace(router, "gone@here.test")
        self.assertEqual("mailbox-unknown", end.reply.name)
        text, end = self.trace(router, "postmaster")
        self.assertIn("postmaster without a domain is postmaster@here.test", text)
        self.assertIn("the setting for the postmaster leads to ann@here.test", text)
        text, end = self.trace(router, "x@far.test")
        self.assertIsNone(end)
        text, end = self.trace(router, "a b@here.test")
        self.assertIsInstance(end, RouteError)

    def test_all_routers(self) -> None:
        routers = Routers([self.router(), OutboundRouter("smart.test:587")])
        text, end = self.trace(routers, "x@far.test")
        self.assertIn("x@far.test is of no domain in [domains]", text)
        self.assertIn("relay.smarthost sends it to smart.test:587", text)
        self.assertEqual(["x@far.test relay smart.test:587"], shown(end))
        text, end = self.trace(routers, "gone@here.test")
        self.assertIsInstance(end, RouteError)
        self.assertNotIn("smarthost", text)


class ErrorTransportTests(RouterCase):
    """The transport that a member who does not exist is routed to."""

    def outcome(self, options: dict[str, Any]) -> Any:
        context = PluginContext(None, "/s", "/s", "mx.test", None, lambda *a: succeed(None))
        transport = ERROR.build(ErrorSettings(), context)
        addressee = Addressee(0, "gone@here.test", "team@here.test", "error", "", options)
        envelope = Envelope("s@far.test")
        message = Message("id", envelope, Client("s1"), b"", InlineContent(b""), [addressee], 0.0, 1.0)
        (outcome,) = self.successResultOf(transport.deliver(Delivery(message, [addressee], "s@far.test")))
        self.assertIsInstance(outcome, Failed)
        self.assertGreater(transport.concurrency(""), 0)
        return str(outcome.reply)

    def test_named(self) -> None:
        """The notification names the member and the alias."""
        (_, route) = self.router("team: ann, gone").route("team@here.test")
        self.assertEqual(
            "550 5.1.1 <gone@here.test>, to which <team@here.test> leads, does not exist here",
            self.outcome(route.options),
        )

    def test_other_words(self) -> None:
        self.assertEqual(
            "554 5.7.1 not that one", self.outcome({"code": 554, "enhanced": "5.7.1", "text": "not that one"})
        )
        for options in ({}, {"reply": "no-such-reply"}, {"reply": "message-too-large"}):
            self.assertIn("does not exist here", self.outcome(options))
        self.assertIn("[s1]", self.outcome({"reply": "mailbox-unknown"}))
