"""What an operator and applications have set, and what must not be lost: tenants, keys and so on.

One SQLite database, ``registry.db`` in the state directory, common to all workers.  It is written
in one thread (:mod:`~mta.registry.database`), and what requests need of it is held in memory until
another process or this one changes it, which costs no disk access to find out
(:class:`~mta.registry.cached.Cached`).

A module is called after its noun.  Each declares its tables (:class:`~mta.registry.schema.Tables`),
and every method of a store takes the tenant first: what belongs to another tenant is not there.
"""
