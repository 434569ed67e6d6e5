"""Every route there is, asked without a key, and with the key of another tenant.

A route with something in its path needs a line in ``THINGS``: how the first tenant makes it.
What belongs to the first tenant has ``MARK`` in it, wherever a name can be given.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from twisted.trial.unittest import TestCase

from mta.api.v1.route import Route
from tests.e2e.api import ServedApi

MARK = "zebra"
OWNER = "owner"


async def a_key(api: ServedApi, key: str) -> dict[str, str]:
    answer = await api.ask("POST", "/v1/keys", {"name": MARK, "scopes": ["keys"]}, key=key)
    return {"id": answer.json["id"]}


async def a_template(api: ServedApi, key: str) -> dict[str, str]:
    body = {"subject": MARK, "text": MARK}
    for kind in ("templates", "layouts", "partials"):
        await api.ask("PUT", f"/v1/{kind}/greeting", body, key=key)
    return {"name": "greeting"}


async def a_message(api: ServedApi, key: str) -> dict[str, str]:
    message = {
        "from": f"me@{MARK}.example",
        "to": ["you@elsewhere.example"],
        "subject": MARK,
        "text": MARK,
        "tags": ["news"],
        "send_at": "2099-01-01T00:00:00Z",
    }
    answer = await api.ask("POST", "/v1/messages", message, key=key)
    return {"id": answer.json["id"], "address": "you@elsewhere.example", "tag": "news"}


async def an_id(api: ServedApi, key: str) -> dict[str, str]:
    return {"id": (await a_message(api, key))["id"]}


async def an_address(api: ServedApi, key: str) -> dict[str, str]:
    return {"address": (await a_message(api, key))["address"]}


async def a_tag(api: ServedApi, key: str) -> dict[str, str]:
    return {"tag": (await a_message(api, key))["tag"]}


async def a_batch(api: ServedApi, key: str) -> dict[str, str]:
    body = {
        "from": f"news@{MARK}.example",
        "subject": MARK,
        "text": MARK,
        "recipients": [{"email": "ann@example.net"}],
        "send_at": "2099-01-01T00:00:00Z",
    }
    return {"id": (await api.ask("POST", "/v1/batches", body, key=key)).json["id"]}


async def a_domain(api: ServedApi, key: str) -> dict[str, str]:
    await api.ask("POST", "/v1/domains", {"domain": f"mine-{MARK}.example"}, key=key)
    return {"domain": f"mine-{MARK}.example"}


async def a_webhook(api: ServedApi, key: str) -> dict[str, str]:
    made = await api.ask("POST", "/v1/webhooks", {"url": f"https://{MARK}.invalid/"}, key=key)
    test = await api.ask("POST", f"/v1/webhooks/{made.json['id']}/test", key=key)
    return {"id": made.json["id"], "delivery": test.json["id"]}


async def a_suppression(api: ServedApi, key: str) -> dict[str, str]:
    address = f"{MARK}@far.example"
    await api.ask("POST", "/v1/suppressions", {"addresses": [address]}, key=key)
    return {"address": address}


async def a_contact(api: ServedApi, key: str) -> dict[str, str]:
    address = f"{MARK}@far.example"
    await api.ask("POST", "/v1/contacts", {"address": address, "name": MARK}, key=key)
    return {"address": address}


async def a_list(api: ServedApi, key: str) -> dict[str, str]:
    member = await a_contact(api, key)
    await api.ask("PUT", "/v1/lists/news", {"title": MARK}, key=key)
    await api.ask("POST", "/v1/lists/news/members", member, key=key)
    return {"name": "news", **member}


async def a_segment(api: ServedApi, key: str) -> dict[str, str]:
    condition = {"field": "name", "is": MARK}
    await api.ask("PUT", "/v1/segments/some", {"title": MARK, "condition": condition}, key=key)
    return {"name": "some"}


async def an_import(api: ServedApi, key: str) -> dict[str, str]:
    file = f"email,name\n{MARK}@far.example,{MARK}\n".encode()
    return {"id": (await api.ask("POST", "/v1/contacts/import", file, key=key, media="text/csv")).json["id"]}


async def a_sequence(api: ServedApi, key: str) -> dict[str, str]:
    member = await a_contact(api, key)
    steps = [{"id": MARK, "do": "wait", "for": "9d"}]
    definition = {"title": MARK, "reentry": "always", "steps": steps}
    await api.ask("PUT", "/v1/sequences/welcome", {"definition": definition}, key=key)
    body = {"addresses": [member["address"]]}
    answer = await api.ask("POST", "/v1/sequences/welcome/enrolments", body, key=key)
    return {"name": "welcome", "version": "1", "enrolment": str(answer.json["contacts"][0]["enrolment"])}


async def a_campaign(api: ServedApi, key: str) -> dict[str, str]:
    body = {
        "name": "summer",
        "title": MARK,
        "audience": {"lists": [MARK]},
        "from": f"shop@{MARK}.example",
        "variants": [{"subject": MARK, "text": MARK}],
    }
    await api.ask("POST", "/v1/campaigns", body, key=key)
    return {"name": "summer"}


async def a_mailbox(api: ServedApi, key: str) -> dict[str, str]:
    return {"address": f"me@{MARK}.example"}


#: By the beginning of a path with braces: makes what they name; answers with their values.
async def a_notification(api: ServedApi, key: str) -> dict[str, str]:
    await a_template(api, key)
    made = await a_contact(api, key)
    body = {"to": made["address"], "template": "greeting", "from": f"me@{MARK}.example"}
    return {"id": (await api.ask("POST", "/v1/notifications", body, key=key)).json["id"]}


THINGS: dict[str, Callable[[ServedApi, str], Awaitable[dict[str, str]]]] = {
    "/v1/batches/{id}": a_batch,
    "/v1/keys/{id}": a_key,
    "/v1/messages/{id}": an_id,
    "/v1/templates/{name}": a_template,
    "/v1/layouts/{name}": a_template,
    "/v1/partials/{name}": a_template,
    "/v1/suppressions/{address}": a_suppression,
    "/v1/webhooks/{id}": a_webhook,
    "/v1/recipients/{address}": an_address,
    "/v1/tags/{tag}": a_tag,
    "/v1/domains/{domain}": a_domain,
    "/v1/contacts/{address}": a_contact,
    "/v1/lists/{name}": a_list,
    "/v1/segments/{name}": a_segment,
    "/v1/imports/{id}": an_import,
    "/v1/sequences/{name}": a_sequence,
    "/v1/campaigns/{name}": a_campaign,
    "/v1/notifications/{id}": a_notification,
    "/v1/mailboxes/{address}": a_mailbox,
}
#: Bodies that are valid for routes without an example.
BODIES: dict[str, object] = {
    f"POST {place}/email/batch{end}": [{"From": "a@example.org", "To": "ann@example.net", "TextBody": "x"}]
    for place in ("", "/postmark")
    for end in ("", "/")
}


def body_of(route: Route) -> object:
    """A body that the route takes; ``None`` if it takes none."""
    if f"{route.method} {route.path}" in BODIES:
        return BODIES[f"{route.method} {route.path}"]
    if route.examples:
        return dict(next(iter(route.examples.values())))
    return {} if route.body is not None else None


class TenantsApartTests(TestCase):
    #: There are many routes.
    timeout = 600

    async def stranger(self, api: ServedApi, number: int) -> str:
        """One who has done nothing yet."""
        await api.tenant(f"stranger{number}", f"stranger{number}.example")
        return await api.key(f"stranger{number}")

    async def asked(self, with_key: bool) -> None:
        api = await ServedApi(self, submission={"future_release": "36500d"}).started()
        await api.tenant(OWNER, f"{MARK}.example")
        owner = await api.key(OWNER, name=MARK)
        routes = [route for route in api.server.api.application.routes if route.scope is not None]
        self.assertGreater(len(routes), 5)
        for number, route in enumerate(routes):
            if with_key and route.media == "text/event-stream":
                continue  # It has no end; tests.e2e.test_following shows whose events it has.
            values: dict[str, str] = {}
            for start, make in THINGS.items():
                if route.path.startswith(start):
                    made = await make(api, owner)
                    values = {name: made[name] for name in route.parameters if name in made}
            self.assertEqual(set(route.parameters), set(values), f"{route.path}: no thing for it in THINGS")
            path = re.sub(r"{(\w+)}", lambda match, values=values: values[match[1]], route.path)
            name = f"{route.method} {path}"
            body = body_of(route)
            key = await self.stranger(api, number) if with_key else ""
            # Of one address only so many wrong keys are looked at.
            address = f"192.0.2.{number % 250 + 1}"
            answer = await api.ask(route.method, path, body, key=key, address=address)
            if not with_key:
                self.assertEqual(401, answer.status, name)
            elif values and route.method == "PUT":
                # Names are of the tenant's choice: it is made for the stranger, and the owner's stays.
                self.assertIn(answer.status, (200, 201, 403, 404, 422), f"{name}: {answer}")
            elif values:
                self.assertIn(answer.status, (403, 404), f"{name}: {answer}")
            self.assertNotIn(MARK.encode(), answer.content, f"{name}: {answer}")
            self.assertLess(answer.status, 500, f"{name}: {answer}")
            if values and route.method == "GET":
                # It was there all the time, and still is.
                # A batch may not be that far.
                self.assertIn((await api.ask("GET", path, key=owner)).status, (200, 409), name)

    async def test_without_a_key(self) -> None:
        await self.asked(False)

    async def test_with_the_key_of_another(self) -> None:
        await self.asked(True)
