"""All nouns of the registry, on one database."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mta.registry import (
    batches,
    domains,
    endpoints,
    idempotency,
    keys,
    post_secrets,
    suppressions,
    templates,
    tenants,
    usage,
    verifications,
)
from mta.registry.batches import Batches
from mta.registry.database import Database, Direct, IDatabase
from mta.registry.domains import SendingDomains
from mta.registry.endpoints import Endpoints
from mta.registry.keys import Keys
from mta.registry.schema import DATABASE, Tables
from mta.registry.suppressions import Suppressions
from mta.registry.templates import Templates
from mta.registry.tenants import Tenants
from mta.registry.verifications import Verifications

#: The tables of every noun; a new noun is added here and in :class:`Registry`.
TABLES: tuple[Tables, ...] = (
    tenants.TABLES,
    keys.TABLES,
    domains.TABLES,
    templates.TABLES,
    batches.TABLES,
    idempotency.TABLES,
    usage.TABLES,
    suppressions.TABLES,
    endpoints.TABLES,
    verifications.TABLES,
    post_secrets.TABLES,
)


class Registry:
    """The stores.

    :param database: what they are kept in.
    :param configured: the domains of the configuration, lower case.
    """

    def __init__(self, database: IDatabase, configured: Iterable[str] = ()) -> None:
        self.database = database
        self.tenants = Tenants(database)
        self.keys = Keys(database)
        self.domains = SendingDomains(database, configured)
        self.templates = Templates(database)
        self.endpoints = Endpoints(database)
        self.verifications = Verifications(database)
        self.suppressions = Suppressions(database)
        self.batches = Batches(database)


def database(state: Path, reactor: Any) -> Database:
    """The database of a worker, to be started."""
    return Database(state / DATABASE, TABLES, reactor)


def direct(state: Path) -> Direct:
    """The database for a command while no server runs.

    :raise TemporarilyUnavailable: with a text for the operator.
    """
    return Direct(state / DATABASE, TABLES)
