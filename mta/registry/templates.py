"""Templates, layouts and partials of tenants, in versions that never change.

A version is a piece of JSON that this module does not look into, but for the names of layouts and
partials in its sources, by which :meth:`Templates.bundle` puts a template together.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mta.registry.database import IDatabase
from mta.registry.schema import Tables
from mta.template.bundle import Bundle, Parts, Translation

Kind = Literal["template", "layout", "partial"]
KINDS: tuple[Kind, ...] = ("template", "layout", "partial")
#: Under which name what is included is found: ``{% include "partials/footer" %}``.
FOLDERS: dict[Kind, str] = {"layout": "layouts", "partial": "partials"}
_FOLDER_KINDS: dict[str, Kind] = {folder: kind for kind, folder in FOLDERS.items()}
NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
#: A name of a layout or partial, as it stands in a source.
_REFERENCE = re.compile(r"""["'](layouts|partials)/([a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?)["']""")
#: Versions of one template that are kept; who writes one more must delete it and begin again.
MOST_VERSIONS = 1000
#: What one tenant may have of each kind.
MOST = 2000
#: Bundles that are remembered.
_REMEMBERED = 200

TABLES = Tables(
    "templates",
    (
        (
            """CREATE TABLE templates (
                tenant TEXT NOT NULL,
                kind TEXT NOT NULL,
                name TEXT NOT NULL,
                live INTEGER NOT NULL,
                created REAL NOT NULL,
                PRIMARY KEY (tenant, kind, name)
            ) WITHOUT ROWID""",
            """CREATE TABLE template_versions (
                tenant TEXT NOT NULL,
                kind TEXT NOT NULL,
                name TEXT NOT NULL,
                version INTEGER NOT NULL,
                created REAL NOT NULL,
                note TEXT NOT NULL,
                source TEXT NOT NULL,
                PRIMARY KEY (tenant, kind, name, version)
            )""",
        ),
    ),
)


class NoTemplate(LookupError):
    """The tenant has no such template, layout, partial or version."""


class TooMany(ValueError):
    """The tenant has as many as it may have."""


class InUse(ValueError):
    """Something else includes it."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template, layout or partial.

    :ivar live: the version that is used; 0: none yet.
    :ivar latest: the last version there is.
    :ivar created: in seconds since 1970.
    """

    kind: Kind
    name: str
    live: int
    latest: int
    created: float


@dataclass(frozen=True, slots=True)
class Version:
    """One version.

    :ivar source: JSON values; see :func:`bundle_of`.
    :ivar note: what its author says of it.
    """

    kind: Kind
    name: str
    number: int
    created: float
    note: str
    source: Mapping[str, Any]


class Templates:
    """Those of all tenants.

    :param database: keeps them.
    """

    def __init__(self, database: IDatabase) -> None:
        self._database = database
        self._bundles: OrderedDict[tuple[str, str, int], tuple[Bundle, int]] = OrderedDict()
        self._version = -1

    # --- looking ---------------------------------------------------------------

    async def page(self, tenant: str, kind: Kind, after: str, limit: int) -> list[Template]:
        """Those of one kind by name, from behind ``after``."""
        return await self._database.read(lambda base: _page(base, tenant, kind, after, limit))

    async def get(self, tenant: str, kind: Kind, name: str) -> Template:
        """One.

        :raise NoTemplate: if there is none.
        """
        return await self._database.read(lambda base: _get(base, tenant, kind, name))

    async def versions(self, tenant: str, kind: Kind, name: str, before: int, limit: int) -> list[Version]:
        """Versions, the last first, from before a number (0: from the last).

        :raise NoTemplate: if there is no such template.
        """

        def work(base: sqlite3.Connection) -> list[Version]:
            _get(base, tenant, kind, name)
            rows = base.execute(
                "SELECT version, created, note, source FROM template_versions"
                " WHERE tenant = ? AND kind = ? AND name = ? AND (version < ?4 OR ?4 = 0)"
                " ORDER BY version DESC LIMIT ?5",
                (tenant, kind, name, before, limit),
            )
            return [
                Version(kind, name, number, created, note, json.loads(source))
                for number, created, note, source in rows
            ]

        return await self._database.read(work)

    async def version(self, tenant: str, kind: Kind, name: str, number: int = 0) -> Version:
        """One version.

        :param number: 0: the live one, or the last if none is live.
        :raise NoTemplate: if there is none.
        """
        return await self._database.read(lambda base: _version(base, tenant, kind, name, number))

    async def bundle(self, tenant: str, name: str, number: int = 0) -> tuple[Bundle, int]:
        """A template as it is rendered, with the live versions of what it includes; and its version.

        :param number: 0: the live one.
        :raise NoTemplate: if there is none, or none is live.
        """
        now = self._database.version(TABLES.noun)
        if now != self._version or now < 0:
            self._bundles.clear()
            self._version = now
        key = (tenant, name, number)
        found = self._bundles.get(key)
        if found is not None:
            self._bundles.move_to_end(key)
            return found
        found = await self._database.read(lambda base: _bundle(base, tenant, name, number))
        if now == self._version and now >= 0:
            self._bundles[key] = found
            while len(self._bundles) > _REMEMBERED:
                self._bundles.popitem(last=False)
        return found

    async def with_included(self, tenant: str, kind: Kind, name: str, source: Mapping[str, Any]) -> Bundle:
        """A source that is not kept, with what it includes: to find out whether it may be kept.

        A layout or partial is looked at as if it were a template.
        """
        return await self._database.read(
            lambda base: bundle_of(source, _included(base, tenant, json.dumps(source)))
        )

    # --- changing ----------------------------------------------------------------

    async def add(
        self,
        tenant: str,
        kind: Kind,
        name: str,
        source: Mapping[str, Any],
        now: float,
        *,
        note: str = "",
        activate: bool = True,
    ) -> Version:
        """Keep another version; the first one makes the template.

        A source that is the same as the last version's makes none; it is answered with.

        :param activate: whether it is live from now on.
        :raise TooMany: if it is one too many.
        """
        text = json.dumps(source, sort_keys=True)

        def work(base: sqlite3.Connection) -> Version:
            try:
                found = _get(base, tenant, kind, name)
            except NoTemplate:
                found = None
                (count,) = base.execute(
                    "SELECT count(*) FROM templates WHERE tenant = ? AND kind = ?", (tenant, kind)
                ).fetchone()
                if count >= MOST:
                    raise TooMany(f"there are {count} already, and {MOST} is the most") from None
                base.execute("INSERT INTO templates VALUES (?, ?, ?, 0, ?)", (tenant, kind, name, now))
            number = 1 if found is None else found.latest + 1
            if found is not None:
                last = _version(base, tenant, kind, name, found.latest)
                if json.dumps(last.source, sort_keys=True) == text:
                    if activate:
                        _activate(base, tenant, kind, name, last.number)
                    return last
                if found.latest >= MOST_VERSIONS:
                    raise TooMany(f"{name} has {found.latest} versions, and {MOST_VERSIONS} is the most")
            base.execute(
                "INSERT INTO template_versions VALUES (?, ?, ?, ?, ?, ?, ?)",
                (tenant, kind, name, number, now, note, text),
            )
            if activate:
                _activate(base, tenant, kind, name, number)
            return Version(kind, name, number, now, note, source)

        return await self._database.change(TABLES.noun, work)

    async def activate(self, tenant: str, kind: Kind, name: str, number: int) -> Template:
        """Use a version from now on.

        :raise NoTemplate: if there is none.
        """

        def work(base: sqlite3.Connection) -> Template:
            _version(base, tenant, kind, name, number)
            _activate(base, tenant, kind, name, number)
            return _get(base, tenant, kind, name)

        return await self._database.change(TABLES.noun, work)

    async def forget(self, tenant: str) -> None:
        """Forget all of a tenant that is gone: who has its name later must not find it."""
        await self._database.change(TABLES.noun, lambda base: _forget(base, tenant))

    async def remove(self, tenant: str, kind: Kind, name: str) -> None:
        """Forget all versions.

        :raise NoTemplate: if there is none.
        :raise InUse: if a live version of another one includes it.
        """

        def work(base: sqlite3.Connection) -> None:
            _get(base, tenant, kind, name)
            if kind in FOLDERS:
                users = _users(base, tenant, f"{FOLDERS[kind]}/{name}")
                if users:
                    raise InUse(f"{', '.join(users[:5])} include it")
            values = (tenant, kind, name)
            base.execute("DELETE FROM templates WHERE tenant = ? AND kind = ? AND name = ?", values)
            base.execute("DELETE FROM template_versions WHERE tenant = ? AND kind = ? AND name = ?", values)

        await self._database.change(TABLES.noun, work)


def _forget(base: sqlite3.Connection, tenant: str) -> None:
    base.execute("DELETE FROM templates WHERE tenant = ?", (tenant,))
    base.execute("DELETE FROM template_versions WHERE tenant = ?", (tenant,))


def bundle_of(source: Mapping[str, Any], included: Mapping[str, Parts]) -> Bundle:
    """The bundle of a version's source.

    :param source: ``subject``, ``text``, ``html``, ``locale``, ``translations`` (by locale: parts and
        ``messages``), ``strict``, ``inline_css``.
    """
    return Bundle(
        parts=parts_of(source),
        locale=source.get("locale") or "en",
        translations={
            locale: Translation(parts_of(one), one.get("messages") or {})
            for locale, one in (source.get("translations") or {}).items()
        },
        included=included,
        strict=source.get("strict", True),
        inline_css=source.get("inline_css", True),
    )


def parts_of(source: Mapping[str, Any]) -> Parts:
    """The parts of a source or of a translation."""
    return Parts(source.get("subject") or "", source.get("text") or "", source.get("html") or "")


def _page(base: sqlite3.Connection, tenant: str, kind: Kind, after: str, limit: int) -> list[Template]:
    rows = base.execute(
        "SELECT name, live, created, (SELECT max(version) FROM template_versions v"
        " WHERE v.tenant = t.tenant AND v.kind = t.kind AND v.name = t.name)"
        " FROM templates t WHERE tenant = ? AND kind = ? AND name > ? ORDER BY name LIMIT ?",
        (tenant, kind, after, limit),
    )
    return [Template(kind, name, live, latest or 0, created) for name, live, created, latest in rows]


def _get(base: sqlite3.Connection, tenant: str, kind: Kind, name: str) -> Template:
    row = base.execute(
        "SELECT live, created, (SELECT max(version) FROM template_versions v"
        " WHERE v.tenant = t.tenant AND v.kind = t.kind AND v.name = t.name)"
        " FROM templates t WHERE tenant = ? AND kind = ? AND name = ?",
        (tenant, kind, name),
    ).fetchone()
    if row is None:
        raise NoTemplate(f"there is no {kind} {name!r:.80}")
    return Template(kind, name, row[0], row[2] or 0, row[1])


def _version(base: sqlite3.Connection, tenant: str, kind: Kind, name: str, number: int) -> Version:
    if not number:
        found = _get(base, tenant, kind, name)
        number = found.live or found.latest
    row = base.execute(
        "SELECT created, note, source FROM template_versions"
        " WHERE tenant = ? AND kind = ? AND name = ? AND version = ?",
        (tenant, kind, name, number),
    ).fetchone()
    if row is None:
        raise NoTemplate(f"there is no version {number} of {kind} {name!r:.80}")
    return Version(kind, name, number, row[0], row[1], json.loads(row[2]))


def _activate(base: sqlite3.Connection, tenant: str, kind: Kind, name: str, number: int) -> None:
    base.execute(
        "UPDATE templates SET live = ? WHERE tenant = ? AND kind = ? AND name = ?",
        (number, tenant, kind, name),
    )


def _bundle(base: sqlite3.Connection, tenant: str, name: str, number: int) -> tuple[Bundle, int]:
    if not number:
        number = _get(base, tenant, "template", name).live
        if not number:
            raise NoTemplate(f"no version of template {name!r:.80} is live")
    version = _version(base, tenant, "template", name, number)
    return bundle_of(version.source, _included(base, tenant, json.dumps(version.source))), number


def references(source: str) -> Iterator[tuple[Kind, str]]:
    """The layouts and partials that a source names.

    :param source: as JSON, or as a template has it.
    """
    for folder, name in _REFERENCE.findall(source.replace('\\"', '"')):
        yield _FOLDER_KINDS[folder], name


def _included(base: sqlite3.Connection, tenant: str, source: str) -> dict[str, Parts]:
    """What a source includes, and what that includes, by name; what is not there is left out."""
    found: dict[str, Parts] = {}
    open_: list[tuple[Kind, str]] = list(references(source))
    while open_:
        kind, name = open_.pop()
        place = f"{FOLDERS[kind]}/{name}"
        if place in found:
            continue
        row = base.execute(
            "SELECT source FROM template_versions v JOIN templates t USING (tenant, kind, name)"
            " WHERE t.tenant = ? AND t.kind = ? AND t.name = ? AND v.version = t.live",
            (tenant, kind, name),
        ).fetchone()
        if row is None:
            continue
        found[place] = parts_of(json.loads(row[0]))
        open_ += references(row[0])
    return found


def _users(base: sqlite3.Connection, tenant: str, place: str) -> list[str]:
    """What includes something, in its live version."""
    rows = base.execute(
        "SELECT t.kind, t.name, v.source FROM templates t JOIN template_versions v USING (tenant, kind, name)"
        " WHERE tenant = ? AND v.version = t.live AND instr(v.source, ?) ORDER BY kind, name",
        (tenant, place),
    )
    users = []
    for kind, name, source in rows:
        if any(f"{FOLDERS[of]}/{what}" == place for of, what in references(source)):
            users.append(f"{kind} {name}")
    return users
