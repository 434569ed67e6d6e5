"""Where an address leads: through aliases, directory and forwards to places.

The core knows no network and no files.  It is a generator: it asks the
collaborators of :class:`LocalDomain`, yields an answer only if that is not
there yet, and returns the routes, so that a mailbox known at once costs no
coroutine (:func:`drive`).

The rules:

- ``[[rewrite]]`` before everything else, where it is about this very address or
  about an expression that it fits; an address among its own targets is done with it.
  Where it is about a whole domain, it counts for addresses that nobody knows.
- Exactly as written first, then without detail; the alias file before the
  directory.  ``\\name``, and a name among its own targets, mean the mailbox.
- What was reached already is not gone through again: duplicates are one.
- A circle that leaves nobody is an error (``routing-loop``).  One beside
  which others get the mail costs nobody anything: it is passed over and logged.
- A member that does not exist must not go unnoticed, nor keep the others from
  their mail: it becomes a route to the transport ``error``, which fails it, so
  that the sender gets a notification that names it.  If no member is good, the
  alias itself is in error (``alias-trouble``, 451).
- Depth and width are bounded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.logger import Logger

from mta.interfaces import (
    Alias,
    Answer,
    IDirectory,
    Mailbox,
    Route,
    RouteError,
    TemporarilyUnavailable,
)
from mta.model.address import Address, AddressError
from mta.model.catalogue import REPLIES
from mta.route.address_map import Layers
from mta.route.alias_syntax import MAX_TARGETS, AliasEntry, Target, key_of, target_address
from mta.route.aliases import AliasFile
from mta.route.rewriting import Rewrites, Rewritten
from mta.route.way import Way

#: Addresses that one recipient may lead to, aliases on the way counted in.
MAX_ADDRESSES = MAX_TARGETS + 1000

#: Aliases and forwards behind one another at the most.
MAX_DEPTH = 50

#: ``catch_all`` for a domain in which every address exists as itself.
EVERY_ADDRESS = "*"

Questions = Generator[Awaitable[Any], Any, tuple[Route, ...]]
#: Questions whose answer may be that it is for somebody else.
MaybeQuestions = Generator[Awaitable[Any], Any, tuple[Route, ...] | None]


@dataclass(slots=True)
class LocalDomain:
    """One domain of ours, ready for use.

    :ivar name: as the settings and the directory spell it, in lower case.
    :ivar separator: between user and detail; ``""`` for none.
    :ivar aliases: its file, if it has one.
    :ivar catch_all: takes unknown addresses; ``None``, or :data:`EVERY_ADDRESS`.
    :ivar catch_all_exists: whether the catch-all is an address of its own, though
        nobody knows it: a transport other than maildir takes what it is given.
    :ivar deliver: (mailbox, address, detail) to the route of a mailbox.
    :ivar postmaster: the route, or another address, of a postmaster whom nobody knows.
    """

    name: str
    separator: str
    aliases: AliasFile | None
    catch_all: Address | str | None
    catch_all_exists: bool
    deliver: Callable[[Mailbox, Address, str], Route]
    postmaster: Callable[[Address], Route | Address]


@dataclass(slots=True)
class _Step:
    """An address on the way, and how it came to be there."""

    address: Address
    parent: _Step | None = None
    owner: str | None = None
    # The alias of this very address is behind us: its mailbox is meant.
    mailbox: bool = False
    # It is what [[rewrite]] makes of itself: that is behind us.
    rewritten: bool = False
    detail: str = ""
    depth: int = 0

    @property
    def key(self) -> str:
        return key_of(self.address)

    @property
    def state(self) -> tuple[str, bool, bool]:
        """What must not be gone through twice."""
        return self.key, self.mailbox, self.rewritten


@dataclass(slots=True)
class Expansion:
    """The rules, for one server.

    :ivar domain: the local domain of a name (in lower case), or ``None``.
    :ivar directory: knows mailboxes and aliases.
    :ivar outward: routes an address that is not local.
    :ivar rewrites: addresses that stand for others.
    :ivar ways: where mailboxes of ours are sent elsewhere: what is about all addresses
        that there are is not meant for them.
    """

    domain: Callable[[str], Answer[LocalDomain | None]]
    directory: IDirectory
    outward: Callable[[str], Answer[Sequence[Route] | None]]
    rewrites: Rewrites
    ways: Layers[Way]

    def rewrites_foreign(self, address: Address) -> bool:
        """Whether an address of no domain of ours stands for others."""
        return bool(self.rewrites) and self.rewrites.has(address)

    def run(self, address: Address, steps: list[str] | None = None) -> Questions:
        """Expand one address of a local domain.

        :param steps: gets a sentence for each thing found.
        :raise RouteError: mailbox-unknown, routing-loop, alias-trouble.
        :raise TemporarilyUnavailable: if the directory cannot tell.
        """
        return _Run(self, address, steps).run()


@dataclass(slots=True)
class _Run:
    rules: Expansion
    start: Address
    steps: list[str] | None
    stack: list[_Step] = field(default_factory=list)
    seen: set[tuple[str, bool, bool]] = field(default_factory=set)
    good: dict[tuple[str, str, str], Route] = field(default_factory=dict)
    bad: list[Route] = field(default_factory=list)
    circles: list[str] = field(default_factory=list)

    def run(self) -> Questions:
        self.stack.append(_Step(self.start))
        while self.stack:
            step = self.stack.pop()
            answer = self.rules.domain(step.address.domain)
            local = (yield answer) if isinstance(answer, Awaitable) else answer
            if local is not None and local.name != step.address.domain:
                self._say(f"{step.address.domain} stands for {local.name}")
                step.address = Address(step.address.local, local.name)
            state = step.state
            if state in self.seen:
                self._circle(step)
                continue
            if len(self.seen) >= MAX_ADDRESSES:
                raise self._error("alias-trouble", f"it leads to more than {MAX_ADDRESSES} addresses")
            self.seen.add(state)
            if self.rules.rewrites and not (step.rewritten or step.mailbox) and self._rewrite(step, local):
                continue
            if local is None:
                yield from self._outward(step)
            else:
                yield from self._local(step, local)
        return self._end()

    # --- one step ------------------------------------------------------------

    def _rewrite(self, step: _Step, local: LocalDomain | None) -> bool:
        """Whether ``[[rewrite]]`` has something about this address.

        Where the domain is not ours, nobody can know the address, so that what is about
        a whole domain counts at once.
        """
        separator = local.separator if local is not None else "+"
        try:
            found = self.rules.rewrites.of_address(step.address, separator)
            if found is None and local is None:
                found = self.rules.rewrites.of_domain(step.address, False)
        except AddressError as error:
            raise self._error("alias-trouble", f"[[rewrite]]: {error}") from None
        if found is not None:
            self._say(
                f"{step.address} is rewritten by {found.place} to {_list([str(t) for t in found.targets])}"
            )
            self._rewrite_to(step, found)
        return found is not None

    def _rewrite_to(self, step: _Step, found: Rewritten) -> None:
        further = []
        for target in found.targets:
            itself = key_of(target) == step.key
            further.append(
                _Step(
                    target,
                    step,
                    step.owner,
                    mailbox=itself and step.mailbox,
                    rewritten=itself,
                    depth=step.depth + 1,
                )
            )
        self._push(step, further)

    def _local(self, step: _Step, local: LocalDomain) -> Generator[Awaitable[Any], Any, None]:
        plain, detail = step.address.without_detail(local.separator)
        candidates = [(step.address, step.detail)]
        if plain is not step.address:
            candidates.append((plain, detail))
        for candidate, rest in candidates:
            if local.aliases is not None and not step.mailbox:
                entry = local.aliases.find(key_of(candidate))
                if entry is not None:
                    self._follow(step, entry, rest)
                    return
            answer = self.rules.directory.look_up(candidate)
            found = (yield answer) if isinstance(answer, Awaitable) else answer
            if isinstance(found, Mailbox):
                self._mailbox(step, local, found, candidate, rest)
                return
            if found is not None:
                self._directory_alias(step, found, candidate)
                return
        if plain.local.lower() == "postmaster":
            self._postmaster(step, local)
        else:
            self._unknown(step, local)

    def _mailbox(
        self, step: _Step, local: LocalDomain, mailbox: Mailbox, address: Address, detail: str
    ) -> None:
        keep = mailbox.keep or not mailbox.forwards
        if self.steps is not None:
            same = "" if mailbox.address.lower() == key_of(address) else f" as {mailbox.address}"
            more = f", with detail {detail!r}" if detail else ""
            self.steps.append(f"the directory knows {address}{same}, a mailbox{more}")
        forwards: list[_Step] = []
        itself = {key_of(address), step.key, mailbox.address.lower()}
        for text in mailbox.forwards:
            if text.lower() in itself:
                keep = True
                continue
            target = self._parsed(text, f"a forward of {address}")
            forwards.append(_Step(target, step, step.owner, depth=step.depth + 1))
        if keep:
            self._keep(step, local.deliver(mailbox, address, detail))
        if forwards:
            self._say(f"{address} forwards to {', '.join(str(f.address) for f in forwards)}")
            if not keep:
                self._say(f"{address} keeps no copy")
        self._push(step, forwards)

    def _follow(self, step: _Step, entry: AliasEntry, detail: str) -> None:
        self._say(
            f"{step.address} is an alias in {entry.place} for {_list([t.value for t in entry.targets])}"
            + (f"; bounces go to {entry.owner}" if entry.owner else "")
        )
        owner = entry.owner or step.owner
        further: list[_Step] = []
        for target in entry.targets:
            if target.kind in ("pipe", "maildir"):
                self._place(step, target, owner)
                continue
            assert target.address is not None
            itself = key_of(target.address) == entry.address
            further.append(
                _Step(
                    target.address,
                    step,
                    owner,
                    mailbox=itself or target.kind == "mailbox",
                    detail=detail if itself else "",
                    depth=step.depth + 1,
                )
            )
        self._push(step, further)

    def _place(self, step: _Step, target: Target, owner: str | None) -> None:
        name = str(step.address)
        if target.kind == "pipe":
            self._add(Route(name, target.value, "", sender=owner))
            self._say(f"the transport {target.value} takes it")
        else:
            path = target.value.rstrip("/") or "/"
            self._add(Route(name, "maildir", path, sender=owner))
            self._say(f"it goes to the Maildir {path}")

    def _directory_alias(self, step: _Step, alias: Alias, address: Address) -> None:
        where = f"the alias {address}"
        owner = step.owner
        if alias.owner:
            owner = str(self._parsed(alias.owner, f"the owner of {where}"))
        self._say(
            f"the directory knows {address} as an alias for {_list(alias.targets)}"
            + (f"; bounces go to {alias.owner}" if alias.owner else "")
        )
        self._push(
            step,
            [_Step(self._parsed(text, where), step, owner, depth=step.depth + 1) for text in alias.targets],
        )
        if not alias.targets:
            self._fail(step, "alias-trouble", f"the alias {address} of the directory leads nowhere")

    def _postmaster(self, step: _Step, local: LocalDomain) -> None:
        found = local.postmaster(step.address)
        if isinstance(found, Address):
            self._say(f"nobody is {step.address}; the setting for the postmaster leads to {found}")
            self._push(step, [_Step(found, step, step.owner, depth=step.depth + 1)])
        else:
            self._say(f"nobody is {step.address}, but mail for a postmaster is always kept")
            self._deliver(step, found)

    def _unknown(self, step: _Step, local: LocalDomain) -> None:
        if self.rules.rewrites and not step.rewritten:
            try:
                found = self.rules.rewrites.of_domain(step.address)
            except AddressError as error:
                raise self._error("alias-trouble", f"[[rewrite]]: {error}") from None
            if found is not None:
                self._say(
                    f"nobody is {step.address}; {found.place} rewrites it to "
                    f"{_list([str(t) for t in found.targets])}"
                )
                self._rewrite_to(step, found)
                return
        catch_all = local.catch_all
        itself = isinstance(catch_all, Address) and key_of(catch_all) == step.key
        if catch_all == EVERY_ADDRESS or (itself and local.catch_all_exists):
            self._say(f"{step.address} is known to nobody but taken by the catch-all of {local.name}")
            self._keep(step, local.deliver(Mailbox(str(step.address)), step.address, ""))
        elif isinstance(catch_all, Address) and not itself:
            self._say(f"nobody is {step.address}; the catch-all of {local.name} is {catch_all}")
            self._push(step, [_Step(catch_all, step, step.owner, depth=step.depth + 1)])
        else:
            self._say(f"neither aliases nor directory know {step.address}")
            self._fail(step, "mailbox-unknown", "neither aliases nor directory know it")

    def _outward(self, step: _Step) -> Generator[Awaitable[Any], Any, None]:
        text = str(step.address)
        try:
            answer = self.rules.outward(text)
            routes = (yield answer) if isinstance(answer, Awaitable) else answer
        except RouteError as error:
            self._refused(step, error)
            return
        if not routes:
            self._say(f"no router knows {text}")
            self._fail(step, "mailbox-unknown", f"no router knows {text}")
            return
        self._say(f"{text} is elsewhere: {', '.join(f'{r.transport} {r.next_hop}' for r in routes)}")
        for route in routes:
            self._deliver(step, route)

    # --- what comes of it ----------------------------------------------------

    def _keep(self, step: _Step, route: Route) -> None:
        """Mail for a mailbox of ours: kept, unless ``[[route]]`` sends it elsewhere."""
        hit = self.rules.ways.find(step.address, "+") if self.rules.ways else None
        if hit is None or hit.entry.value.kind == "usual" or hit.entry.key.kind in ("below", "any"):
            self._deliver(step, route)
            return
        self._say(f"{step.address} {hit.entry.value}: {hit.entry.place} says so of {hit.entry.key.text}")
        try:
            # The other side has its own details: it gets the whole address.
            self._deliver(step, hit.entry.value.route(step.address))
        except RouteError as error:
            self._refused(step, error)

    def _refused(self, step: _Step, error: RouteError) -> None:
        """A member has no way: its sender is told, and the others get their mail."""
        if not error.reply.is_permanent or step.parent is None:
            raise error
        text = str(step.address)
        self._say(f"{text} has no way: {error.reason}")
        options = {"code": error.reply.code, "enhanced": error.reply.enhanced, "text": error.reply.text}
        self.bad.append(Route(text, "error", "", options, step.owner))

    def _deliver(self, step: _Step, route: Route) -> None:
        if step.owner is not None and route.sender is None:
            route = Route(route.address, route.transport, route.next_hop, route.options, step.owner)
        if self.steps is not None and route.transport not in ("relay", "error"):
            self.steps.append(f"{route.address}: {route.transport} {route.next_hop}".rstrip())
        self._add(route)

    def _add(self, route: Route) -> None:
        self.good.setdefault((route.transport, route.next_hop, route.address.lower()), route)

    def _push(self, step: _Step, further: list[_Step]) -> None:
        if not further:
            return
        if step.depth >= MAX_DEPTH:
            raise self._error("alias-trouble", f"more than {MAX_DEPTH} aliases behind one another")
        if len(self.stack) + len(further) > MAX_ADDRESSES:
            raise self._error("alias-trouble", f"it leads to more than {MAX_ADDRESSES} addresses")
        self.stack.extend(reversed(further))

    def _parsed(self, text: str, where: str) -> Address:
        try:
            return target_address(text)
        except AddressError as error:
            raise self._error("alias-trouble", f"{where}: {error}") from None

    def _fail(self, step: _Step, name: str, reason: str) -> None:
        if step.parent is None:
            raise self._error(name, reason)
        options = {"reply": "member-unknown"}
        self.bad.append(Route(str(step.address), "error", "", options, step.owner))

    def _circle(self, step: _Step) -> None:
        names = [str(step.address)]
        above = step.parent
        while above is not None:
            names.append(str(above.address))
            if above.state == step.state:
                circle = " → ".join(reversed(names))
                self.circles.append(circle)
                self._say(f"a circle: {circle}")
                return
            above = above.parent
        self._say(f"{step.address} was reached already")

    def _end(self) -> tuple[Route, ...]:
        if not self.good:
            if self.bad:
                names = _list([route.address for route in self.bad])
                raise self._error("alias-trouble", f"of its targets none exists: {names}")
            raise self._error("routing-loop", f"a circle: {'; '.join(self.circles)}")
        if self.steps is None:
            for circle in self.circles:
                _log.warn("{address}: passed over a circle: {circle}", address=str(self.start), circle=circle)
            if self.bad:
                _log.warn(
                    "{address} leads to members that do not exist, and senders are told: {members}",
                    address=str(self.start),
                    members=_list([route.address for route in self.bad]),
                )
        return (*self.good.values(), *self.bad) if self.bad else tuple(self.good.values())

    def _error(self, name: str, reason: str) -> RouteError:
        reply = REPLIES.reply(name, address=str(self.start), ref="-")
        return RouteError(reply, f"{self.start}: {reason}")

    def _say(self, sentence: str) -> None:
        if self.steps is not None:
            self.steps.append(sentence)


_log = Logger()


def _list(items: Sequence[str]) -> str:
    """Some of many, in words."""
    shown = ", ".join(items[:10])
    return f"{shown} and {len(items) - 10} more" if len(items) > 10 else shown


def drive(questions: MaybeQuestions) -> Answer[tuple[Route, ...] | None]:
    """Run an expansion: at once, as far as all answers are there at once.

    :raise RouteError: or ``TemporarilyUnavailable``, now or later.
    """
    try:
        pending = next(questions)
    except StopIteration as stop:
        routes: tuple[Route, ...] | None = stop.value
        return routes
    return _wait(questions, pending)


async def _wait(questions: MaybeQuestions, pending: Awaitable[Any]) -> tuple[Route, ...] | None:
    while True:
        try:
            try:
                value = await pending
            except (RouteError, TemporarilyUnavailable) as error:
                pending = questions.throw(error)
            else:
                pending = questions.send(value)
        except StopIteration as stop:
            routes: tuple[Route, ...] | None = stop.value
            return routes
