"""Addresses that stand for others, domains that stand for others, and domains that a directory knows."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from mta.config.settings import Domain
from mta.interfaces import HostedDomain, IDomains, Mailbox, Route, TemporarilyUnavailable, settle
from mta.route.address_map import Layers
from mta.route.domains import DomainRouter, DomainsError
from mta.route.maps import parse_map
from mta.route.outbound import OutboundRouter
from mta.route.rewriting import Rewrites, find_circles, rewrite_key, rewrite_targets
from mta.route.routers import Routers
from mta.route.way import Known, parse_way
from tests.route.test_domains import RouterCase, TableDirectory, boxes, shown

KNOWN = {
    "relay": Known("relay"),
    "maildir": Known("maildir"),
    "tickets": Known("pipe"),
    "store": Known("lmtp"),
}


def rewrites(text: str) -> Rewrites:
    found = parse_map(text, "virtual", rewrite_targets, rewrite_key, find_circles)
    return Rewrites(Layers([lambda: found]))


def ways(text: str) -> Any:
    found = parse_map(text, "transport", lambda key, value: parse_way(value, KNOWN))
    return Layers([lambda: found])


class RewriteTests(RouterCase):
    """``[[rewrite]]``."""

    def to(self, text: str, address: str, **options: Any) -> list[str]:
        return [
            line.split()[0] for line in self.routes(self.router(rewrites=rewrites(text), **options), address)
        ]

    def test_before_mailboxes(self) -> None:
        self.assertEqual(["bob@here.test"], self.to("ann@here.test bob@here.test", "ann@here.test"))

    def test_itself(self) -> None:
        """A copy for somebody else, once."""
        text = "ann@here.test ann@here.test, bob@here.test, far@away.test"
        self.assertEqual(["ann@here.test", "bob@here.test", "far@away.test"], self.to(text, "ann@here.test"))

    def test_itself_meets_its_alias(self) -> None:
        """What is done with [[rewrite]] still has its alias."""
        text = "ann@here.test ann@here.test bob@here.test"
        self.assertEqual(
            ["carl@here.test", "bob@here.test"], self.to(text, "ann@here.test", aliases="ann: carl\n")
        )

    def test_expression(self) -> None:
        text = r"/^(.+)-orders@(here|there)\.test$/ $1@here.test, bob@$2.test"
        self.assertEqual(["ann@here.test", "bob@here.test"], self.to(text, "Ann-Orders@here.test".lower()))

    def test_copy_of_all(self) -> None:
        """An expression that its own targets fit."""
        text = "/^(.*)@here.test$/ $1@here.test, bob@here.test"
        self.assertEqual(["ann@here.test", "bob@here.test"], self.to(text, "ann@here.test"))

    def test_detail(self) -> None:
        """It goes on with the address, as virtual(5) has it."""
        self.assertEqual(["bob+x@away.test"], self.to("ann@here.test bob@away.test", "ann+x@here.test"))

    def test_domain(self) -> None:
        """What is about a domain counts for whom nobody knows, so no mailbox is lost."""
        text = "@here.test bob@here.test"
        self.assertEqual(["ann@here.test"], self.to(text, "ann@here.test"))
        self.assertEqual(["bob@here.test"], self.to(text, "nobody@here.test"))

    def test_domains(self) -> None:
        """A catch-all for several domains, and one domain for another."""
        domains = {f"{name}.test": Domain() for name in ("here", "b.here", "c.here", "old")}
        text = "@.here.test bob@here.test\n@old.test @here.test\n@* carl@here.test"
        self.assertEqual(["bob@here.test"], self.to(text, "x@b.here.test", domains=domains))
        self.assertEqual(["ann@here.test"], self.to(text, "ann@old.test", domains=domains))
        self.assertEqual(["carl@here.test"], self.to(text, "who@old.test", domains=domains))

    def test_foreign(self) -> None:
        """Mail of our own people to elsewhere; a domain that is not ours stays not ours."""
        router = self.router(rewrites=rewrites("boss@away.test ann@here.test\n@gone.test @there.test"))
        self.assertEqual(
            ["ann@here.test maildir /s/mail/here.test/ann"], shown(router.route("boss@away.test"))
        )
        self.assertEqual(["x@there.test relay there.test"], shown(router.route("x@gone.test")))
        self.assertIsNone(router.route("other@away.test"))
        self.assertFalse(router.is_local("gone.test"))

    def test_catch_all_of_all_is_of_ours(self) -> None:
        """``@*`` is no trap for what goes out."""
        router = self.router("all: far@away.test\n", rewrites=rewrites("@* bob@here.test"))
        self.assertIsNone(router.route("far@away.test"))
        self.assertEqual(["far@away.test relay away.test"], self.routes(router, "all@here.test"))
        self.assertIn("bob@here.test", self.routes(router, "nobody@here.test")[0])

    def test_circle(self) -> None:
        text = "/^a@/ b@here.test\n/^b@/ a@here.test"
        error = self.refused(self.router(rewrites=rewrites(text)), "a@here.test")
        self.assertEqual("routing-loop", error.reply.name)
        self.assertIn("a@here.test → b@here.test → a@here.test", error.reason)

    def test_growing(self) -> None:
        """An address that becomes another one for ever ends at the bounds."""
        for text in ("/^(.*)@here.test$/ x$1@here.test", "/^(.*)@here.test$/ x$1@here.test, y$1@here.test"):
            error = self.refused(self.router(rewrites=rewrites(text)), "a@here.test")
            self.assertEqual("alias-trouble", error.reply.name)

    def test_no_address(self) -> None:
        """What an expression makes may be nonsense: the sender is put off, and the log says why."""
        for text in ("/^(.*)@here.test$/ $1$1@@here.test", "/^(.*)@here.test$/ a@$1"):
            error = self.refused(self.router(rewrites=rewrites(text)), '"a b"@here.test')
            self.assertEqual((451, "alias-trouble"), (error.reply.code, error.reply.name))

    def test_postmaster(self) -> None:
        """No catch-all takes a postmaster's mail."""
        [line] = self.routes(
            self.router(rewrites=rewrites("@here.test bob@here.test")), "postmaster@here.test"
        )
        self.assertIn("postmaster@here.test", line)

    def test_told(self) -> None:
        router = self.router(rewrites=rewrites("ann@here.test bob@here.test\n@here.test ann@here.test"))
        steps, _ = self.successResultOf(Deferred.fromCoroutine(router.trace("nobody@here.test")))
        said = "\n".join(steps)
        self.assertIn("nobody is nobody@here.test; virtual:2 rewrites it to ann@here.test", said)
        self.assertIn("ann@here.test is rewritten by virtual:1 to bob@here.test", said)


class WayTests(RouterCase):
    """``[[route]]`` and our own mailboxes."""

    def test_mailbox(self) -> None:
        router = self.router(ways=ways("ann@here.test store:unix:/s\n"))
        self.assertEqual(["ann@here.test store unix:/s"], self.routes(router, "ann@here.test"))
        self.assertIn("maildir", self.routes(router, "bob@here.test")[0])

    def test_domain(self) -> None:
        [route] = self.router(ways=ways("here.test relay:[next.test]:2525\n")).route("ann+x@here.test")
        self.assertEqual(Route("ann+x@here.test", "relay", "[next.test]:2525", {"configured": True}), route)

    def test_all_are_not_ours(self) -> None:
        """``*`` and ``.test`` are about the rest of the world."""
        router = self.router(ways=ways("* relay:smart.test:25\n.test relay:[x.test]\n"))
        self.assertIn("maildir", self.routes(router, "ann@here.test")[0])

    def test_nobody(self) -> None:
        """It makes no mailbox."""
        self.assertEqual(
            "mailbox-unknown",
            self.refused(self.router(ways=ways("here.test relay:x.test")), "no@here.test").reply.name,
        )

    def test_refused(self) -> None:
        router = self.router("all: ann, bob\n", ways=ways("ann@here.test error:5.7.1 She left.\n"))
        error = self.refused(router, "ann@here.test")
        self.assertEqual(
            (550, "5.7.1", "route-refused"), (error.reply.code, error.reply.enhanced, error.reply.name)
        )
        routes = router.route("all@here.test")
        self.assertEqual(["bob@here.test", "ann@here.test"], [route.address for route in routes])
        self.assertEqual(("error", 550), (routes[1].transport, routes[1].options["code"]))

    def test_next_hop_of_a_domain(self) -> None:
        """One that our configuration names, with a port or without."""
        domains = {"here.test": Domain(transport="relay", next_hop="inner.test")}
        [route] = self.router(domains=domains).route("ann@here.test")
        self.assertEqual({"configured": True}, route.options)
        domains = {"here.test": Domain(transport="store", next_hop="unix:/x")}
        [route] = self.router(domains=domains).route("ann@here.test")
        self.assertEqual({}, route.options)


class DomainAliasTests(RouterCase):
    """``alias_of``."""

    def domains(self, **names: str) -> dict[str, Domain]:
        return {"here.test": Domain()} | {f"{name}.test": Domain(alias_of=to) for name, to in names.items()}

    def test_stands_for(self) -> None:
        router = self.router(domains=self.domains(old="here.test", older="old.test"))
        for domain in ("old.test", "older.test"):
            self.assertTrue(router.is_local(domain))
            self.assertEqual(
                ["ann@here.test maildir /s/mail/here.test/ann"], self.routes(router, f"ann@{domain}")
            )
            self.assertEqual("mailbox-unknown", self.refused(router, f"no@{domain}").reply.name)

    def test_mistakes(self) -> None:
        for domains, words in (
            (self.domains(a="b.test", b="a.test"), "a circle: a.test → b.test → a.test"),
            (self.domains(a="a.test"), "a circle"),
            (self.domains(a="no.test"), 'there is no [domains."no.test"]'),
            (
                self.domains() | {"a.test": Domain(alias_of="here.test", quota=5)},
                "no settings of its own: quota",
            ),
        ):
            error = self.assertRaises(
                DomainsError, DomainRouter, domains, self.directory, hostname="mx.test", state="/s"
            )
            self.assertIn(words, str(error))
            self.assertEqual(("domains", "a.test", "alias_of"), error.problems[0][0])


@implementer(IDomains)
class DomainDirectory(TableDirectory):
    """Knows domains, too."""

    domains: dict[str, Any]

    def domain(self, name: str) -> Any:
        found = self.domains.get(name)
        if isinstance(found, Exception):
            raise found
        return succeed(found) if self.later else found


class HostedTests(RouterCase):
    """Domains of a directory."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = DomainDirectory(boxes("ann") | {"eve@far.test": Mailbox("eve@far.test")})
        self.directory.domains = {
            "far.test": HostedDomain("far.test", settings=(("catch_all", "ann@here.test"),)),
            "like.test": HostedDomain("like.test", like="here.test"),
            "alias.test": HostedDomain("alias.test", alias_of="here.test"),
            "chain.test": HostedDomain("chain.test", alias_of="far.test"),
            "loop.test": HostedDomain("loop.test", alias_of="loop.test"),
            "wrong.test": HostedDomain("wrong.test", settings=(("catch_all", "*"),)),
            "down.test": TemporarilyUnavailable("it is down"),
        }

    def test_found(self) -> None:
        for later in (False, True):
            router = self.router(domains={"here.test": Domain(maildir="/m/{domain}/{local}")})
            self.assertTrue(self._now(router.is_local("far.test")))
            self.assertFalse(self._now(router.is_local("nowhere.test")))
            self.assertIsNone(self._now(router.route("x@nowhere.test")))
            self.assertEqual(
                ["eve@far.test maildir /s/mail/far.test/eve"], shown(self._now(router.route("eve@far.test")))
            )
            self.assertEqual(
                ["ann@here.test maildir /m/here.test/ann"], shown(self._now(router.route("ann@alias.test")))
            )
            self.assertEqual(
                ["ann@here.test maildir /m/here.test/ann"], shown(self._now(router.route("no@far.test")))
            )
            if not later:
                self.directory.look_up = lambda address: succeed(self.directory.table.get(str(address)))  # type: ignore[method-assign]
                self.directory.later = True
        self.assertEqual(
            ["eve@far.test maildir /s/mail/far.test/eve"], shown(self._now(router.route("eve@chain.test")))
        )

    def _now(self, answer: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(_settled(answer)))

    def test_trouble(self) -> None:
        """451, never a refusal."""
        router = self.router()
        for name in ("down.test", "loop.test", "wrong.test"):
            self.assertRaises(TemporarilyUnavailable, router.route, f"ann@{name}")

    def test_routers(self) -> None:
        self.directory.later = True
        both = Routers([self.router(), OutboundRouter()])
        self.assertTrue(self._now(both.is_local("far.test")))
        self.assertFalse(self._now(both.is_local("nowhere.test")))


async def _settled(answer: Any) -> Any:
    return await settle(answer)
