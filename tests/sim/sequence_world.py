"""A world for sequences: who the contacts are and what they do, known from their numbers alone.

Everything happens at whole hours, so that many contacts are due at once.  :func:`expected` tells what each
of them gets by the rules, in a way of its own: it walks along one contact's days, and knows nothing of
engines, tables, or what has been kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from zoneinfo import ZoneInfo

#: Monday, 2027-03-22 00:00 UTC; clocks in Europe are changed on the Sunday after.
BEGIN = 1_805_673_600
HOUR = 3600
#: Later than everything.
FOREVER = 1 << 50
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "", "Pacific/Auckland")
TENANT = "shop"

SEQUENCE = """
title = "Simulated"
from = "Shop <hello@shop.example>"
reentry = "after_end"

[[triggers]]
event = "signed_up"
where = { real = true }

[[exits]]
name = "bought"
when = { event = "purchase", where = { amount = { at_least = 10 } } }
goal = true

[quiet]
from = "21:00"
until = "08:00"

[[steps]]
id = "welcome"
do = "send"
template = "welcome"

[[steps]]
id = "reaction"
do = "wait_until"
when = { clicked = "welcome" }
timeout = "2d"
then = "offer"
otherwise = "opened"

[[steps]]
id = "opened"
do = "branch"
when = { opened = "welcome" }
then = "nudge"
otherwise = "remind"

[[steps]]
id = "remind"
do = "send"
template = "remind"
next = "morning"

[[steps]]
id = "nudge"
do = "send"
template = "nudge"
next = "pause"

[[steps]]
id = "offer"
do = "send"
template = "offer"
next = "mark"

[[steps]]
id = "mark"
do = "set"
attributes = { interested = true }
next = "pause"

[[steps]]
id = "pause"
do = "wait"
for = "20h"

[[steps]]
id = "morning"
do = "wait_until"
time = "09:00"
days = ["mon", "tue", "wed", "thu"]

[[steps]]
id = "pro"
do = "branch"
when = { any = [{ attribute = "plan", is = "pro" }, { attribute = "interested", is = true }] }
then = "vip"
otherwise = "last"

[[steps]]
id = "vip"
do = "send"
template = "vip"
next = "end"

[[steps]]
id = "last"
do = "send"
template = "last"

[[steps]]
id = "end"
do = "exit"
"""


@dataclass(frozen=True, slots=True)
class Nature:
    """What one contact is like; in hours; -1: never.

    :ivar signs: when the application tells that it has signed up.
    :ivar real: whether that counts.
    :ivar opens: how long after the welcome it opens it; so ``clicks``.
    :ivar bounces: how long after it the welcome comes back for good.
    :ivar buys: when it buys, and for how much.
    :ivar leaves: when it unsubscribes.
    """

    signs: tuple[int, ...]
    real: bool
    opens: int
    clicks: int
    bounces: int
    buys: int
    amount: int
    leaves: int
    zone: str
    pro: bool


def nature(number: int) -> Nature:
    """That of a contact."""
    dice = iter(blake2b(f"contact {number}".encode(), digest_size=32).digest())

    def one(of: int) -> int:
        return next(dice) % of

    first = one(96)
    bounces = 1 + one(3) if not one(15) else -1
    return Nature(
        (first,) if one(6) else (first, first + 1 + one(250)),
        real=bool(one(12)),
        opens=1 + one(80) if one(3) and bounces < 0 else -1,
        clicks=1 + one(90) if not one(3) and bounces < 0 else -1,
        bounces=bounces,
        buys=first + one(150) if not one(4) else -1,
        amount=5 + one(10),
        leaves=first + one(200) if not one(8) else -1,
        zone=ZONES[one(len(ZONES))],
        pro=not one(4),
    )


def expected(number: int) -> list[tuple[int, str]]:
    """When a contact gets which message, by the rules.

    What happens at the same instant as a step is known before the step is made.
    """
    who = nature(number)
    found: list[tuple[int, str]] = []
    interested, bounced, busy = False, FOREVER, -1
    for sign in [BEGIN + hour * HOUR for hour in who.signs] if who.real else []:
        if sign <= busy:
            # It is in it still, or leaves it at this very instant.
            continue
        stop = FOREVER if who.leaves < 0 else BEGIN + who.leaves * HOUR
        bought = FOREVER if who.buys < 0 or who.amount < 10 else BEGIN + who.buys * HOUR
        if bought >= sign:
            stop = min(stop, bought)
        visits: list[tuple[int, str]] = []
        welcome = awake(sign, who.zone)
        visits.append((welcome, "welcome"))
        sent = welcome < min(stop, bounced)
        click = welcome + who.clicks * HOUR if who.clicks > 0 and sent else FOREVER
        opened = welcome + who.opens * HOUR if who.opens > 0 and sent else FOREVER
        if sent and who.bounces > 0:
            bounced = min(bounced, welcome + who.bounces * HOUR)
        patience = welcome + 48 * HOUR
        liked = interested
        if click <= patience:
            second = awake(click, who.zone)
            visits.append((second, "offer"))
            liked = liked or second < stop
            ready = second + 20 * HOUR
        else:
            second = awake(patience, who.zone)
            visits.append((second, "nudge" if opened <= patience else "remind"))
            ready = second + 20 * HOUR if opened <= patience else second
        third = morning(ready, who.zone)
        visits.append((third, "vip" if who.pro or liked else "last"))
        found += [(at, what) for at, what in visits if at < min(stop, bounced)]
        interested = liked
        busy = min(stop, third) if stop > sign else sign
    return found


@lru_cache(maxsize=100_000)
def awake(at: int, zone: str) -> int:
    """The first quarter of an hour from then on that is not at night."""
    while not 8 <= datetime.fromtimestamp(at, ZoneInfo(zone or "UTC")).hour < 21:
        at += 900
    return at


@lru_cache(maxsize=100_000)
def morning(at: int, zone: str) -> int:
    """The first nine in the morning, Monday to Thursday."""
    while datetime.fromtimestamp(at, ZoneInfo(zone or "UTC")).strftime("%H:%M %a") not in _MORNINGS:
        at += 900
    return at


_MORNINGS = {f"09:00 {day}" for day in ("Mon", "Tue", "Wed", "Thu")}
