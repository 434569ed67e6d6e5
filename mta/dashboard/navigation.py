"""All pages that a person can go to, in one place: the menu.

An entry is shown where its page is there, to those who have the page's right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mta.dashboard.role import Person, Right


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the menu.

    :ivar title: what stands there.
    :ivar path: of a page without braces.
    :ivar icon: the name of a symbol in ``pages/icons.html``.
    :ivar words: what else a person may look for.
    """

    title: str
    path: str
    icon: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the menu, and what stands under it."""

    title: str
    entries: tuple[Entry, ...]


MENU = (
    Section(
        "",
        (Entry("Overview", "/dashboard/", "pulse", "home start health"),),
    ),
    Section(
        "Mail",
        (
            Entry("Messages", "/dashboard/messages", "search", "trace search recipient sender"),
            Entry("Queue", "/dashboard/queue", "queue", "waiting deferred destinations"),
            Entry("Held", "/dashboard/held", "hold", "quarantine"),
            Entry("Log", "/dashboard/log", "log", "journal events live"),
        ),
    ),
    Section(
        "Insight",
        (
            Entry("Analytics", "/dashboard/analytics", "chart", "statistics rates plots"),
            Entry("Domains", "/dashboard/domains", "globe", "dns dkim spf dmarc"),
            Entry("Reports", "/dashboard/reports", "report", "dmarc tls"),
            Entry("Alerts", "/dashboard/alerts", "bell", "rules"),
        ),
    ),
    Section(
        "Audience",
        (
            Entry("Contacts", "/dashboard/contacts", "people", "lists segments import"),
            Entry("Sequences", "/dashboard/sequences", "flow", "automation drip"),
            Entry("Campaigns", "/dashboard/campaigns", "megaphone", "newsletter a/b"),
        ),
    ),
    Section(
        "Application",
        (
            Entry("Templates", "/dashboard/templates", "template", "preview"),
            Entry("Suppressions", "/dashboard/suppressions", "block", "bounces unsubscribed"),
            Entry("Webhooks", "/dashboard/webhooks", "hook", "endpoints attempts"),
            Entry("Keys", "/dashboard/keys", "key", "api"),
        ),
    ),
    Section(
        "Server",
        (
            Entry("Accounts", "/dashboard/accounts", "person", "sign-ins bans sessions"),
            Entry("Your sessions", "/dashboard/sessions", "shield", "sign out"),
        ),
    ),
)


def menu_for(person: Person, rights: Mapping[str, Right]) -> list[Section]:
    """What somebody sees of the menu.

    :param rights: of all pages that can be looked at, by path.
    """
    found = []
    for section in MENU:
        entries = tuple(
            entry
            for entry in section.entries
            if (right := rights.get(entry.path)) is not None and person.may(right)
        )
        if entries:
            found.append(Section(section.title, entries))
    return found


def entry_of(path: str) -> str:
    """The path of the entry that a page stands under: the longest that it begins with."""
    best = ""
    for section in MENU:
        for entry in section.entries:
            place = entry.path.rstrip("/")
            inside = path == entry.path or (entry.path != "/dashboard/" and path.startswith(place + "/"))
            if inside and len(entry.path) > len(best):
                best = entry.path
    return best
