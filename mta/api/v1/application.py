"""Answers requests by the routes that modules have declared.

In this order: is there such a route, is the key good, may it do that, has the tenant requests
left, are path, query and body valid.  Only then is the handler called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from klein import Klein
from pydantic import BaseModel, ValidationError
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException

from mta.api.problem import ApiProblem
from mta.api.v1.rates import Rates, headers_of
from mta.api.v1.refusal import Refusal, invalid
from mta.api.v1.route import Call, Response, Route, Stream
from mta.interfaces import TemporarilyUnavailable, settle
from mta.model.network import is_within
from mta.registry.keys import ADMIN, Key, matching
from mta.registry.registry import Registry
from mta.registry.tenants import DEFAULT, Tenant

#: Octets of a body from which on it is read in a thread.
_LARGE = 256 * 1024


#: Method, path of the route, status, seconds.
Answered = Callable[[str, str, int, float], None]


class Application:
    """The HTTP API of one worker.

    :param registry: knows tenants and keys.
    :param routes: all that there are.
    :param reactor: gives the time.
    :param requests: requests a second that one tenant may make of this worker; 0: no limit.
    :param strangers: requests a minute that one address may make without a valid key; 0: no limit.
    :param run_in_thread: ``(callable, *args) -> Deferred``: where large bodies are read.
    :param proxies: networks of reverse proxies, which are believed from whom a request comes.
    :param operator: whether those who reach it are the operator, who needs no key and acts for the
        tenant of the header field ``Mta-Tenant``.
    """

    _log = Logger()

    def __init__(
        self,
        registry: Registry,
        routes: Sequence[Route],
        *,
        reactor: Any,
        requests: int = 0,
        strangers: int = 60,
        run_in_thread: Callable[..., Any] = deferToThread,
        proxies: Sequence[IPv4Network | IPv6Network] = (),
        operator: bool = False,
    ) -> None:
        self._operator = operator
        #: Is told of each answer: method, path of the route, status, seconds.
        self.answered: Answered | None = None
        self.routes = tuple(routes)
        self._registry = registry
        self._reactor = reactor
        self._seconds = reactor.seconds
        self._run = run_in_thread
        self._rates = Rates("requests", requests)
        self._strangers = Rates("unauthenticated", strangers, 60)
        self._proxies = tuple(proxies)
        self._begun = 0
        self._under_way = 0
        self._drained: Deferred[None] | None = None
        self._instance = f"{int(reactor.seconds() * 1000) & 0xFFFFFFFFF:09x}"

    @cached_property
    def app(self) -> Klein:
        """All routes; made for the first request, because many servers get none."""
        app = Klein()
        for route in self.routes:
            place = route.path.replace("{", "<").replace("}", ">")
            name = f"{route.method} {route.path}"
            app.route(place, methods=[route.method], endpoint=name)(self._endpoint(route))
        app.handle_errors(HTTPException)(self._nothing_here)
        return app

    def use(
        self,
        requests: int,
        proxies: Sequence[IPv4Network | IPv6Network] = (),
        strangers: int = 60,
    ) -> None:
        """Take other limits of requests, and other proxies."""
        self._rates = Rates("requests", requests)
        self._strangers = Rates("unauthenticated", strangers, 60)
        self._proxies = tuple(proxies)

    async def drain(self, grace: float) -> None:
        """Wait until no request is under way.

        :param grace: seconds, at the most.
        """
        if self._under_way:
            self._drained = Deferred()
            self._drained.addTimeout(grace, self._reactor)
            try:
                await self._drained
            except TimeoutError:
                self._log.warn("{count} API requests were not answered in time", count=self._under_way)

    # --- one request -----------------------------------------------------------

    def _endpoint(self, route: Route) -> Callable[..., Any]:
        def endpoint(request: Any, **path: str) -> Deferred[bytes | None]:
            return self._answer(route, request, **path)

        return endpoint

    def _answer(self, route: Route, request: Any, **path: str) -> Deferred[bytes | None]:
        self._under_way += 1
        done = Deferred.fromCoroutine(self._answered(route, request, path))
        if self.answered is not None and not route.media.startswith("text/event-stream"):
            done.addBoth(self._measured, route, request, self._seconds(), self.answered)
        return done.addBoth(self._ended)

    def _measured(self, result: Any, route: Route, request: Any, began: float, tell: Answered) -> Any:
        tell(route.method, route.path, request.code, self._seconds() - began)
        return result

    def _ended(self, result: Any) -> Any:
        self._under_way -= 1
        if not self._under_way and self._drained is not None:
            drained, self._drained = self._drained, None
            drained.callback(None)
        return result

    async def _answered(self, route: Route, request: Any, path: Mapping[str, str]) -> bytes | None:
        call = Call(request, self._next_id(), self._seconds(), self._address(request), path)
        try:
            found = await self._handled(route, call)
        except ApiProblem as problem:
            return self._told(route, request, call, problem)
        except TemporarilyUnavailable as trouble:
            self._log.warn("API request {id} was put off: {trouble}", id=call.id, trouble=str(trouble))
            # Which file of ours is full is nothing for a customer.
            why = str(trouble) if self._operator else ""
            refusal = Refusal("unavailable", why, headers={"retry-after": "10"})
            return self._told(route, request, call, refusal)
        except Exception:
            self._log.failure(
                "API request {id}, {method} {path}, failed", id=call.id, method=route.method, path=route.path
            )
            return self._told(route, request, call, Refusal("internal", f"request {call.id}"))
        _introduce(request, call)
        if isinstance(found, Stream):
            await _streamed(request, found)
            return None
        response = found if isinstance(found, Response) else Response(found)
        request.setResponseCode(response.status or route.status)
        for name, value in response.headers.items():
            request.setHeader(name, value)
        return _written(request, response)

    async def _handled(self, route: Route, call: Call) -> Any:
        request = call.request
        if route.scope is not None and self._operator:
            await self._as_operator(call)
        elif route.scope is not None:
            await self._authenticate(route, call)
        if route.query is not None:
            call.query = query_of(route.query, request.args)
        if route.body is not None or route.octets:
            content = b"" if route.streamed else request.content.read()
            call.content = content
            media = (request.getHeader("content-type") or "").partition(";")[0].strip().lower()
            if media in route.octets:
                call.body = request.content if route.streamed else content
            elif route.body is None or media not in ("", "application/json"):
                known = [*route.octets, *(["application/json"] if route.body else [])]
                raise Refusal("media-type", f"{media or 'no media type'} is not one of {', '.join(known)}")
            else:
                parsed = (
                    self._run(_body, route.body, content)
                    if len(content) > _LARGE
                    else _body(route.body, content)
                )
                call.body = await settle(parsed)
        return await route.handler(call)

    async def _authenticate(self, route: Route, call: Call) -> None:
        text = route.token(call.request)
        known = self._registry.keys.known()
        found = known if isinstance(known, Mapping) else await known
        key = matching(found, text, call.now) if text else None
        tenant = None if key is None else await self._tenant(key)
        if key is None or tenant is None:
            standing = self._strangers.take(call.address, call.now)
            call.standings.append(standing)
            if standing.wait:
                raise Refusal("too-many", "too many requests without a valid key came from this address")
            kind = "wrong-key" if text else "no-key"
            raise Refusal(kind, headers={"www-authenticate": 'Bearer realm="mta"'})
        call.key, call.tenant = key, tenant
        standing = self._rates.take(tenant.name, call.now)
        call.standings.append(standing)
        if standing.wait:
            raise Refusal("too-many", f"at most {standing.quota} requests in {standing.window} s")
        if route.scope and not key.may(route.scope):
            raise Refusal("scope", f"the key {key.id} has not the scope {route.scope}")

    async def _as_operator(self, call: Call) -> None:
        """For whom the operator acts; its key is good for everything, and in no list."""
        name = call.header("mta-tenant") or DEFAULT
        tenant = (await settle(self._registry.tenants.all())).get(name)
        if tenant is None:
            raise Refusal("not-found", f"there is no tenant {name!r:.80}")
        by = call.header("mta-operator")[:100] or "operator"
        call.tenant = tenant
        call.key = Key("", name, by, frozenset({ADMIN}), b"", call.now)

    async def _tenant(self, key: Key) -> Tenant | None:
        return (await settle(self._registry.tenants.all())).get(key.tenant)

    def _address(self, request: Any) -> str:
        """Who asks, as the proxy says, if it is one of ours (the last that it has added itself)."""
        peer = request.getClientAddress()
        address = str(getattr(peer, "host", "")) if peer is not None else ""
        if self._proxies and is_within(address, self._proxies):
            said = (request.getHeader("x-forwarded-for") or "").rpartition(",")[2].strip()
            try:
                return str(ip_address(said)) if said else address
            except ValueError:
                return address
        return address

    def _next_id(self) -> str:
        self._begun = (self._begun + 1) & 0xFFFFFFFF
        return f"{self._instance}{self._begun:08x}"

    # --- what went wrong -------------------------------------------------------

    def _told(self, route: Route | None, request: Any, call: Call, problem: ApiProblem) -> bytes:
        _introduce(request, call)
        for name, value in getattr(problem, "headers", {}).items():
            request.setHeader(name, value)
        status, media, octets = problem.status, "application/problem+json", b""
        if route is not None and route.told is not None:
            status, media, octets = route.told(problem)
        else:
            octets = problem.encode()
        request.setResponseCode(status, _phrase(status))
        request.setHeader("content-type", media)
        request.setHeader("cache-control", "no-store")
        request.setHeader("content-length", str(len(octets)))
        return octets

    def _nothing_here(self, request: Any, failure: Failure) -> bytes:
        """No such place, or not with this method."""
        wrong: Any = failure.value
        call = Call(request, self._next_id(), self._seconds(), self._address(request))
        call.standings.append(self._strangers.take(call.address, call.now, 0))
        path = request.path.decode("utf-8", "replace")
        method = request.method.decode("ascii", "replace")
        if wrong.code == 405:
            # A path without braces stands for itself, though braces of another would fit it.
            exact = {route.method for route in self.routes if route.path == path}
            methods = sorted(exact or set(wrong.valid_methods or ()) - {"HEAD"})
            allow = {"allow": ", ".join(methods)}
            return self._told(
                None, request, call, Refusal("method", f"{path} takes {', '.join(methods)}", headers=allow)
            )
        if 300 <= wrong.code < 400 or wrong.code == 404:
            return self._told(None, request, call, Refusal("not-found", f"{method} {path} is nothing here"))
        return self._told(None, request, call, ApiProblem(wrong.code or 500, wrong.name))


def _introduce(request: Any, call: Call) -> None:
    """What stands in the header of every answer."""
    request.setHeader("request-id", call.id)
    for name, value in headers_of(call.standings):
        request.setHeader(name, value)


def _phrase(status: int) -> bytes:
    """What stands after the status, which Twisted does not know of each."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Other"


def _body(model: type[BaseModel], content: bytes) -> BaseModel:
    try:
        # JSON has types of its own: false is no number.
        return model.model_validate_json(content or b"{}", strict=True)
    except ValidationError as error:
        raise invalid(error, model=model) from None


def query_of(model: type[BaseModel], arguments: Mapping[bytes, list[bytes]]) -> BaseModel:
    """The query; a parameter that comes several times is a list where the model has one, else its last."""
    values: dict[str, Any] = {}
    for key, items in arguments.items():
        name = key.decode("utf-8", "replace")
        texts = [item.decode("utf-8", "replace") for item in items]
        field = model.model_fields.get(name)
        several = field is not None and "list" in str(field.annotation)
        values[name] = texts if several else texts[-1]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid(error, "query", model) from None


def _written(request: Any, response: Response) -> bytes:
    body = response.body
    if body is None:
        if request.code not in (204, 304):
            request.setHeader("content-length", b"0")
        return b""
    request.setHeader("cache-control", response.headers.get("cache-control", "no-store"))
    media = response.media
    if isinstance(body, BaseModel):
        media, body = "application/json", type(body).__pydantic_serializer__.to_json(body) + b"\n"
    request.setHeader("content-type", media)
    request.setHeader("content-length", str(len(body)))
    return body


async def _streamed(request: Any, stream: Stream) -> None:
    request.setHeader("content-type", stream.media)
    request.setHeader("cache-control", "no-store")
    for name, value in stream.headers.items():
        request.setHeader(name, value)
    running = stream.run(request)
    gone = request.notifyFinish()
    gone.addErrback(lambda failure: running.cancel())
    try:
        await running
    except Exception:
        # The client went, and nothing can be said to it.
        return
    return
