"""Posts events to the applications of tenants, as Standard Webhooks has it.

The journal is followed into a durable outbox (:mod:`~mta.webhook.outbox`), one for each shard, with
the place up to which it was read in the same transaction: nothing is forgotten.  Each endpoint has a
lane of its own (:mod:`~mta.webhook.lane`), so that a slow or dead one delays nobody else's.  A post
goes to an address that was checked just before (:mod:`~mta.webhook.guard`).

What comes twice, as after a crash, has the same ``webhook-id``.
"""
