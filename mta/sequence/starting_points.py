"""Sequences to begin with: each is whole, and is to be changed."""

from __future__ import annotations

from dataclasses import dataclass

_HEAD = """title   = "{title}"
from    = "The Shop <hello@{domain}>"
reentry = "{reentry}"                # never, after_end, always
"""
_NIGHT = """
[quiet]                              # nothing is sent at night, where the contact is
from  = "21:00"
until = "08:00"
"""


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """One.

    :ivar name: in addresses, and of the sequence at first.
    :ivar words: what it is for.
    :ivar body: its TOML, but for the head.
    :ivar templates: what is to be there.
    """

    name: str
    title: str
    words: str
    reentry: str
    body: str
    templates: tuple[str, ...]

    def text(self, domain: str) -> str:
        """The whole definition.

        :param domain: from which is sent.
        """
        return _HEAD.format(title=self.title, domain=domain, reentry=self.reentry) + self.body


STARTING_POINTS = (
    StartingPoint(
        "welcome",
        "Welcome",
        "Greets who has signed up, reminds who did not look, and stops as soon as they buy.",
        "never",
        """
[[triggers]]
event = "signed_up"                  # POST /v1/events tells of it

[[exits]]
name = "has bought"
when = { event = "purchase" }
goal = true
"""
        + _NIGHT
        + """
[[steps]]
id       = "welcome"
do       = "send"
template = "welcome"

[[steps]]
id        = "curious"
do        = "wait_until"
when      = { clicked = "welcome" }
timeout   = "2d"
then      = "tips"
otherwise = "remind"

[[steps]]
id       = "remind"
do       = "send"
template = "welcome-again"
next     = "morning"

[[steps]]
id       = "tips"
do       = "send"
template = "tips"

[[steps]]
id   = "morning"
do   = "wait_until"
time = "09:00"
days = ["mon", "tue", "wed", "thu"]

[[steps]]
id       = "offer"
do       = "send"
template = "offer"
""",
        ("welcome", "welcome-again", "tips", "offer"),
    ),
    StartingPoint(
        "win-back",
        "Win back",
        "Writes to who has opened nothing for long; who stays silent is marked, and left in peace.",
        "never",
        """
[[triggers]]
segment  = "silent"                  # such as {"not": {"behaviour": "opened", "within": "90d"}}
existing = true

[[exits]]
name = "is back"
when = { event = "purchase" }
goal = true
"""
        + _NIGHT
        + """
[[steps]]
id       = "miss-you"
do       = "send"
template = "miss-you"

[[steps]]
id        = "reaction"
do        = "wait_until"
when      = { any = [{ opened = "miss-you" }, { clicked = "miss-you" }] }
timeout   = "7d"
then      = "back"
otherwise = "last-try"

[[steps]]
id   = "back"
do   = "exit"
goal = true

[[steps]]
id       = "last-try"
do       = "send"
template = "last-try"

[[steps]]
id  = "pause"
do  = "wait"
for = "14d"

[[steps]]
id         = "asleep"
do         = "set"
attributes = { asleep = true }
""",
        ("miss-you", "last-try"),
    ),
    StartingPoint(
        "after-purchase",
        "After a purchase",
        "Thanks at once, asks for a review a week later, and offers more to who liked it.",
        "after_end",
        """
[[triggers]]
event = "purchase"

[cap]                                # of all sequences together
messages = 2
within   = "1d"

[[steps]]
id       = "thanks"
do       = "send"
template = "thanks"

[[steps]]
id  = "week"
do  = "wait"
for = "7d"

[[steps]]
id       = "review"
do       = "send"
template = "review"

[[steps]]
id        = "reviewed"
do        = "wait_until"
when      = { event = "reviewed", where = { stars = { at_least = 4 } } }
timeout   = "14d"
then      = "more"
otherwise = "end"

[[steps]]
id       = "more"
do       = "send"
template = "more-like-this"

[[steps]]
id = "end"
do = "exit"
""",
        ("thanks", "review", "more-like-this"),
    ),
)
BY_NAME = {one.name: one for one in STARTING_POINTS}
